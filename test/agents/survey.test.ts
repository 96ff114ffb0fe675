/** What the scout and the historian find out, without their conversation. */
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { historyOf, lastChanges } from '../../agents/historian/history.ts';
import { listFiles, rootOf } from '../../agents/scout/files.ts';
import { languageOf } from '../../agents/scout/languages.ts';
import { measure } from '../../agents/scout/measure.ts';
import { nameFromBytes, nameToBytes, shownName } from '../../agents/shared/names.ts';
import { count, moment, share, size } from '../../agents/shared/words.ts';
import { DATE, World } from './world.ts';

let world: World;
beforeEach(() => void (world = new World()));
afterEach(() => world.remove());

const files = async (place = world.place): Promise<readonly string[]> => (await listFiles(place)).names;

describe('the files of a folder', () => {
  test('none', async () => {
    expect(await listFiles(world.place)).toMatchObject({ how: 'walk', names: [], links: 0 });
  });

  test('that git keeps or would keep, and that are still there', async () => {
    world.git('init', '-q');
    for (const name of ['.gitignore', 'kept', 'gone', 'changed']) world.write(name, 'shut\n');
    world.commit('All');
    world.git('rm', '-q', '--cached', 'changed');
    world.write('new', '');
    world.write('shut', '');
    world.write('other/x', '');
    repositoryInside('other');
    rmSync(join(world.place, 'gone'));
    const listing = await listFiles(world.place);
    expect(listing).toMatchObject({ how: 'git', names: ['.gitignore', 'changed', 'kept', 'new'] });
    expect(listing.leftOut).toEqual(['other/']);
  });

  /** Makes a folder of the place a repository of its own, with a commit. */
  function repositoryInside(name: string): void {
    world.git('init', '-q', name);
    world.git('-C', name, 'add', '.');
    world.git('-C', name, 'commit', '-q', '-m', 'Inner');
  }

  test('in a part of a repository that git ignores: all the same', async () => {
    world.git('init', '-q');
    world.write('.gitignore', 'out/\n');
    world.write('out/a.c', 'int a;\n');
    expect(await listFiles(join(world.place, 'out'))).toMatchObject({ how: 'walk', names: ['a.c'] });
  });

  test('through no link, and without dependencies', async () => {
    world.write('deep/er/a', '');
    world.write('deep/node_modules/b', '');
    symlinkSync('.', join(world.place, 'loop'));
    symlinkSync('/etc', join(world.place, 'deep', 'etc'));
    expect(await listFiles(world.place)).toMatchObject({
      names: ['deep/er/a'],
      links: 2,
      leftOut: ['deep/node_modules/'],
    });
  });

  test('but for one, and at most so many', async () => {
    for (const name of ['a', 'b', 'c']) world.write(name, '');
    expect((await listFiles(world.place, join(world.place, 'b'))).names).toEqual(['a', 'c']);
    expect(await listFiles(world.place, undefined, 2)).toMatchObject({ cut: true });
    expect((await listFiles(world.place, undefined, 2)).names).toHaveLength(2);
  });

  test.skipIf(process.getuid?.() === 0)('that cannot be read are named', async () => {
    world.write('shut.txt', 'x');
    mkdirSync(join(world.place, 'closed'));
    chmodSync(join(world.place, 'shut.txt'), 0);
    chmodSync(join(world.place, 'closed'), 0);
    const listing = await listFiles(world.place);
    chmodSync(join(world.place, 'closed'), 0o755);
    expect(listing.unreadable).toEqual(['closed/']);
    expect(await measure(world.place, listing.names)).toEqual({ rows: [], unreadable: ['shut.txt'] });
  });

  test('of what is no folder: a sentence', async () => {
    writeFileSync(join(world.folder, 'file'), '');
    await expect(rootOf(join(world.folder, 'file'))).rejects.toThrow(
      /file cannot be surveyed: it is not a folder\.$/,
    );
    await expect(rootOf(join(world.folder, 'no'))).rejects.toThrow(
      /no cannot be surveyed: it does not exist\.$/,
    );
  });
});

test.each([
  ['', 0],
  ['\n', 1],
  ['one', 1],
  ['one\n', 1],
  ['one\n\ntwo', 3],
  ['x\n'.repeat(700_000) + 'y', 700_001],
])('lines are counted as they end (%#)', async (content, lines) => {
  world.write('a.txt', content);
  expect((await measure(world.place, await files())).rows).toEqual([
    ['a.txt', content.length, lines, 'Text', expect.any(Number)],
  ]);
});

test('a file with a zero byte near its beginning is binary', async () => {
  world.write('near', Buffer.concat([Buffer.alloc(7_999, 'x'), Buffer.from([0])]));
  world.write('far', Buffer.concat([Buffer.alloc(8_000, 'x'), Buffer.from([0])]));
  const { rows } = await measure(world.place, await files());
  expect(rows.map(([name, , lines, language]) => [name, lines, language])).toEqual([
    ['far', 1, 'Other'],
    ['near', null, null],
  ]);
});

test.each([
  ['lib/a.ts', 'TypeScript'],
  ['A.PY', 'Python'],
  ['deep/Makefile', 'Make'],
  ['Dockerfile.dev', 'Dockerfile'],
  ['.gitignore', 'Ignore list'],
  ['.ts', 'Other'],
  ['noise.xyz', 'Other'],
])('%s is %s', (name, language) => expect(languageOf(name)).toBe(language));

describe('a history', () => {
  test('of a folder inside a repository is its own', async () => {
    world.git('init', '-q', '-b', 'trunk');
    world.write('one/a.c', 'int a;\n');
    world.commit('One');
    world.write('two/b.c', 'int b;\n');
    world.commit('Two');
    world.write('one/new.c', '');
    expect(await historyOf(join(world.place, 'one'))).toEqual({
      kind: 'history',
      git: true,
      branch: 'trunk',
      commits: 1,
      first: DATE,
      last: {
        hash: world.git('log', '-1', '--format=%h', '--', 'one'),
        date: DATE,
        author: 'Ada Lovelace',
        subject: 'One',
      },
      people: [{ name: 'Ada Lovelace', commits: 1 }],
      peopleCount: 1,
      uncommitted: 1,
    });
    expect(await historyOf(world.place)).toMatchObject({
      commits: 2,
      last: { subject: 'Two' },
      uncommitted: 1,
    });
  });

  test('without a commit, and without git', async () => {
    expect(await historyOf(world.place)).toEqual({ kind: 'history', git: false });
    world.git('init', '-q');
    world.write('a', '');
    expect(await historyOf(world.place)).toEqual({ kind: 'history', git: true, commits: 0, uncommitted: 1 });
  });

  test('of one file is its last commit, or its own time where it is not committed', async () => {
    world.git('init', '-q');
    for (const name of ['kept', '*', 'changed']) world.write(name, 'x');
    world.commit('All');
    world.write('changed', 'y');
    world.write('new', '');
    expect(await lastChanges(world.place, ['kept', '*', 'changed', 'new', 'nowhere'])).toEqual([
      { file: 'kept', date: DATE, how: 'commit' },
      { file: '*', date: DATE, how: 'commit' },
      { file: 'changed', date: expect.any(String), how: 'file' },
      { file: 'new', date: expect.any(String), how: 'file' },
    ]);
  });
});

describe('names and numbers', () => {
  test.each([
    [Buffer.from('ünï😀'), 'ünï😀', 'ünï😀'],
    [Buffer.from([0x61, 0xff, 0xc3]), 'a\udcff\udcc3', 'a\\xff\\xc3'],
    [Buffer.from([0xed, 0xa0, 0x80]), '\udced\udca0\udc80', '\\xed\\xa0\\x80'],
    [Buffer.from('a\nb'), 'a\nb', 'a\\x0ab'],
    [Buffer.from('\ufffd\ufeff'), '\ufffd\ufeff', '\ufffd\ufeff'],
  ])('bytes become a name and the same bytes again (%#)', (bytes, name, shown) => {
    expect(nameFromBytes(bytes)).toBe(name);
    expect(nameToBytes(name)).toEqual(bytes);
    expect(shownName(name)).toBe(shown);
  });

  test('are written for people', () => {
    expect([size(999), size(1_000), size(999_949), size(999_950), size(1_234_567_890)]).toEqual(['999 B', '1.0 kB', '999.9 kB', '1.0 MB', '1.2 GB']); // prettier-ignore
    expect([count(1_234_567), share(1, 3), share(0, 0)]).toEqual(['1,234,567', '33.3 %', '–']);
    expect(moment('2026-11-22T20:04:59.123Z')).toBe('2026-11-22 20:04 UTC');
    expect(moment(DATE)).toBe('2026-03-04 05:06 +02:00');
  });
});
