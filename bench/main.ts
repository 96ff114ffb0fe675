/**
 * `npm run bench [-- --json] [-- NAME…]`: every claim of speed comes from here. Prints a table, or with `--json` one
 * JSON document. Exits with 0 whatever the numbers say: a bar that is not met is a row that says so.
 */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { meets, type Bench, type Row } from './harness.ts';
import { flood } from './flood.ts';
import { idleSessions } from './idle-sessions.ts';
import { journal } from './journal-rows.ts';
import { recovery } from './recovery.ts';
import { sessions } from './sessions.ts';
import { sockets } from './sockets.ts';
import { toolCalls } from './tool-calls.ts';
import { wakes } from './wakes.ts';

const BENCHES: readonly Bench[] = [
  toolCalls,
  wakes,
  sessions,
  sockets,
  journal,
  idleSessions,
  flood,
  recovery,
];

const HEAD = ['', 'median', '', 'low–high', 'p99', 'bare', 'ratio', 'bar', ''] as const;

const { values, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => BENCHES.every((bench) => bench.name !== name));
if (values.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`There is no benchmark called ${unknown.join(', ')}.\n`);
  console.error('npm run bench [-- --json] [-- NAME…]\n');
  for (const { name, about } of BENCHES) console.error(`${name}\n  ${about}\n`);
  process.exit(values.help ? 0 : 2);
}

const chosen = BENCHES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const results: { readonly name: string; readonly about: string; readonly rows: readonly Row[] }[] = [];
if (!values.json) console.log(`${machine()}\n`);
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
  const rows = results.map((result) => ({
    ...result,
    rows: result.rows.map((row) => ({ ...row, met: meets(row) })),
  }));
  const document = {
    command: ['npm', 'run', 'bench', ...(positionals.length > 0 ? ['--', ...positionals] : [])].join(' '),
    commit: commit(),
    date: new Date().toISOString(),
    machine: machine(),
    benches: rows,
  };
  console.log(JSON.stringify(document, null, 2));
}

function cells(row: Row): readonly string[] {
  const range = row.low === undefined || row.high === undefined ? '' : `${short(row.low)}–${short(row.high)}`;
  const { bar } = row;
  const limit =
    bar === undefined ? '' : bar.atLeast === undefined ? `≤ ${bar.atMost ?? ''}` : `≥ ${bar.atLeast}`;
  const met = meets(row);
  return [
    row.name,
    short(row.value),
    row.unit,
    range,
    row.p99 === undefined ? '' : short(row.p99),
    row.baseline === undefined ? '' : short(row.baseline),
    row.ratio === undefined ? '' : row.ratio.toFixed(2),
    met === undefined ? limit : `${limit} ${met ? 'met' : 'NOT MET'}`,
    row.note ?? '',
  ];
}

function line(columns: readonly string[]): string {
  const widths = [46, 9, 12, 19, 8, 9, 6, 15, 0];
  return columns
    .map((text, at) =>
      at === 0 || at > 6 || at === 2 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0),
    )
    .join(' ')
    .trimEnd();
}

function short(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

function machine(): string {
  const cores = cpus();
  return `Node ${process.versions.node}, ${process.platform} ${process.arch}, ${cores.length} × ${cores[0]?.model.trim() ?? 'unknown processor'}`;
}

function commit(): string {
  try {
    const head = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
    const dirty = execFileSync('git', ['status', '--porcelain'], { encoding: 'utf8' }).trim() !== '';
    return dirty ? `${head} with changes` : head;
  } catch {
    return 'unknown';
  }
}
