/**
 * `npm run bench -- [--json] [--write FILE] [--guard] [NAME…]`: every claim of speed comes from here. Prints a table,
 * or with `--json` one JSON document; `--write` also puts the results into a document. Exits with 0 whatever the
 * numbers say: a bar that is not met is a row that says so. Only `--guard` fails (`guard.ts`).
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { BENCHES } from './benches.ts';
import { guard } from './guard.ts';
import { meets, type Row } from './harness.ts';
import { cells, HEAD, line, written, type Origin, type Result } from './report.ts';

const { values, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    write: { type: 'string' },
    guard: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => BENCHES.every((bench) => bench.name !== name));
if (values.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`There is no benchmark called ${unknown.join(', ')}.\n`);
  console.error('npm run bench -- [--json] [--write FILE] [--guard] [NAME…]\n');
  for (const { name, about } of BENCHES) console.error(`${name}\n  ${about}\n`);
  process.exit(values.help ? 0 : 2);
}

const chosen = BENCHES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
if (values.guard) {
  const found = await guard(chosen, ({ name }, row) =>
    console.log(line([`${name}: ${row.name}`, ...cells(row).slice(1)])),
  );
  for (const row of found) console.error(`Too slow, twice: ${line(cells(row))}`);
  process.exit(found.length > 0 ? 1 : 0);
}

const origin: Origin = {
  command: ['npm', 'run', 'bench', ...(positionals.length > 0 ? ['--', ...positionals] : [])].join(' '),
  commit: commit(),
  date: new Date().toISOString(),
  machine: machine(),
};
const results: Result[] = [];
if (!values.json) console.log(`${origin.machine}\n`);
for (const bench of chosen) {
  const rows: Row[] = [];
  if (!values.json) console.log(`${bench.name}: ${bench.about}\n${line(HEAD)}`);
  await bench.run((row) => {
    rows.push(row);
    if (!values.json) console.log(line(cells(row)));
  });
  if (!values.json) console.log();
  results.push({ name: bench.name, about: bench.about, rows });
}
if (values.json) {
  const benches = results.map((result) => ({
    ...result,
    rows: result.rows.map((row) => ({ ...row, met: meets(row) })),
  }));
  console.log(JSON.stringify({ ...origin, benches }, null, 2));
}
if (values.write !== undefined) {
  writeFileSync(values.write, await written(readFileSync(values.write, 'utf8'), BENCHES, results, origin));
}

function machine(): string {
  const cores = cpus();
  return `Node ${process.versions.node}, ${process.platform} ${process.arch}, ${cores.length} × ${cores[0]?.model.trim() ?? 'unknown processor'}`;
}

function commit(): string {
  try {
    const head = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
    const dirty =
      execFileSync('git', ['status', '--porcelain', '--', ':!docs/performance.md'], {
        encoding: 'utf8',
      }).trim() !== '';
    return dirty ? `${head} with changes` : head;
  } catch {
    return 'unknown';
  }
}
