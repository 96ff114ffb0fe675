/** The report team as real processes on real folders; its facts are checked by other means than its own. */
import { mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runTeam } from './team.ts';
import { World } from './world.ts';

let world: World;
let folder: string;
let place: string;
let output: string;

beforeEach(() => {
  world = new World();
  ({ folder, place } = world);
  output = join(folder, 'out', 'report.md');
});
afterEach(() => world.remove());

const TODO = 'TO' + 'DO';
const GOOD = { scout: 0, historian: 0, analyst: 0, writer: 0 };
const survey = async () => {
  const outcome = await runTeam({ path: place, output });
  expect(outcome.stderr).toEqual({ scout: '', historian: '', analyst: '', writer: '' });
  expect(outcome.exits).toEqual(GOOD);
  return {
    ...outcome,
    report: readFileSync(output, 'utf8'),
    result: outcome.closed?.result as Record<string, unknown>,
  };
};

test('a git repository: what it keeps, its languages, its history, its open TODOs', async () => {
  world.git('init', '-q', '-b', 'trunk');
  world.write(
    'lib/main.ts',
    `// ${TODO}(ada): speed this up\nconst x = 1;\nexport { x }; /* FIX${'ME'} naming */\n`,
  );
  world.write('lib/util.py', `x = 1  # ${TODO} explain\nprint("${TODO}: not one")`);
  world.write('README.md', '# Place\n\nText.\n');
  world.write('logo.png', Buffer.from([0x89, 0x50, 0, 1, 2, 3]));
  world.write('.gitignore', 'ignored/\n*.log\n');
  world.write('ignored/big.ts', 'x\n'.repeat(1_000));
  world.write('noise.log', 'x\n');
  world.git('add', '.');
  world.git('commit', '-q', '-m', 'Begin | with *care*');
  world.write('new.ts', 'let y;\n');

  const { report, result, messages } = await survey();

  expect(result).toMatchObject({
    root: place,
    files: 6,
    lines: 3 + 2 + 3 + 2 + 1,
    binaryFiles: 1,
    mainLanguage: 'TypeScript',
    languages: { TypeScript: 4, Python: 2, Markdown: 3, 'Ignore list': 2 },
    openTodos: 3,
    commits: 1,
    lastCommit: {
      hash: world.git('log', '-1', '--format=%h'),
      date: '2026-03-04T05:06:07+02:00',
      author: 'Ada Lovelace',
      subject: 'Begin | with *care*',
    },
  });
  expect(report).toContain('| TypeScript | 2 | 4 | 36.4 % |');
  expect(report).toContain('of 2026-03-04 05:06 +02:00 by Ada Lovelace: Begin \\| with \\*care\\*');
  expect(report).toContain('- 1 file with changes that are not committed');
  expect(report).toContain(`- \`lib/main.ts:1\` ${TODO}(ada): speed this up`);
  expect(report).toContain(`- \`lib/main.ts:3\` FIX${'ME'} naming\n`);
  expect(report).toContain(`- \`lib/util.py:1\` ${TODO} explain`);
  expect(report).toMatch(/`lib\/main\.ts` \| \d+ B \| 3 \| TypeScript \| 2026-03-04 05:06 \+02:00 \|/);
  expect(report).toMatch(/`new\.ts` \| 7 B \| 1 \| TypeScript \| .* \(file time\) \|/);
  expect(report).not.toMatch(/ignored\/|noise\.log/);
  expect(messages.map(({ senderName }) => senderName)).toEqual(
    expect.arrayContaining(['scout', 'historian', 'analyst', 'writer']),
  );
});

test('the report of an earlier run is not counted, and the same facts give the same report', async () => {
  output = join(place, 'report.md');
  world.write('a.txt', 'one\n');
  const first = await survey();
  const second = await survey();
  expect(second.report).toBe(first.report);
  expect(first.result).toMatchObject({ files: 1, lines: 1 });
});

test('a folder without git: a walk that follows no link and leaves dependencies out', async () => {
  world.write('a.rb', 'puts 1\n');
  world.write('deep/b.rb', 'puts 2\n');
  world.write('node_modules/x/index.js', 'x\n');
  symlinkSync('.', join(place, 'loop'));
  symlinkSync('../..', join(place, 'deep', 'up'));
  symlinkSync('nowhere', join(place, 'dangling'));
  utimesSync(join(place, 'deep/b.rb'), 1_800_000_000, 1_800_000_000);
  const { report, result } = await survey();
  expect(result).toMatchObject({
    files: 2,
    lines: 2,
    languages: { Ruby: 2 },
    commits: null,
    lastCommit: null,
  });
  expect(report).toContain('| Symbolic links (not followed) | 3 |');
  expect(report).toContain('Left out: `node_modules/`.');
  expect(report).toMatch(
    /\| File \| Changed \|\n\| --- \| --- \|\n\| `deep\/b\.rb` \| 2027-01-15 08:00 UTC \|/,
  );
});

test('names of any bytes', async () => {
  world.git('init', '-q');
  const names: (string | Buffer)[] = [
    'with space.ts',
    'new\nline.ts',
    'bar|tick`.ts',
    'ünï😀.ts',
    '-dash.ts',
    ':(glob)*.ts',
    Buffer.from([0xff, 0xfe, 0x2e, 0x74, 0x73]),
  ];
  for (const name of names) world.write(name, `// ${TODO} here\n`);
  world.git('add', '.');
  world.git('commit', '-q', '-m', 'Names');
  const { report, result } = await survey();
  expect(result).toMatchObject({ files: 7, languages: { TypeScript: 7 }, openTodos: 7 });
  expect(report).toContain('`new\\x0aline.ts:1`');
  expect(report).toContain('`\\xff\\xfe.ts:1`');
  expect(report).toContain('``bar\\|tick`.ts``');
});

test('an inventory too large for one message comes in parts and is counted whole', async () => {
  for (let n = 0; n < 30; n += 1) {
    mkdirSync(join(place, `folder-${n}`));
    for (let m = 0; m < 100; m += 1)
      writeFileSync(join(place, `folder-${n}`, `a-file-with-a-longer-name-${m}.ts`), 'let a;\nlet b;\n');
  }
  const { result, messages } = await survey();
  expect(result).toMatchObject({ files: 3_000, lines: 6_000, languages: { TypeScript: 6_000 } });
  expect(messages.filter(({ text }) => text.includes('"kind":"inventory"')).length).toBeGreaterThan(2);
  expect(Math.max(...messages.map(({ text }) => text.length))).toBeLessThan(80_000);
});

describe('when it cannot be done', () => {
  test('a path that is no folder is named by the scout, and everybody leaves', async () => {
    const { exits, stderr, closed } = await runTeam({ path: join(folder, 'nowhere'), output });
    expect(exits).toEqual({ scout: 1, historian: 0, analyst: 0, writer: 1 });
    expect(stderr['scout']).toBe(`${folder}/nowhere cannot be surveyed: it does not exist.\n`);
    expect(stderr['writer']).toMatch(/^scout gave up: .* cannot be surveyed/);
    expect(closed).toBeUndefined();
  });

  test('a report that cannot be written is the writer’s failure', async () => {
    world.write('a.txt', 'x\n');
    const { exits, stderr } = await runTeam({ path: place, output: place });
    expect(exits).toEqual({ scout: 0, historian: 0, analyst: 0, writer: 1 });
    expect(stderr['writer']).toBe(`The report cannot be written to ${place}: it is a folder.\n`);
  });

  test('a colleague who dies without a word is missed, and nobody waits for ever', async () => {
    world.write('a.txt', 'x\n');
    const { exits, stderr } = await runTeam({ path: place, output }, { analyst: ['sh', '-c', 'exit 3'] });
    expect(exits).toEqual({ scout: 0, historian: 0, analyst: 3, writer: 1 });
    expect(stderr['writer']).toBe('analyst has ended without a word.\n');
  });
});
