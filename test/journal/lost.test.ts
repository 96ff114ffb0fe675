/** Records that are lost without a trace where they were: behind a damaged place in the log of a killed writer, or at the end of a stream. */
import { closeSync, copyFileSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkJournal, compactJournal } from '../../src/journal/maintenance.ts';
import { openSqliteJournal, type SqliteJournal } from '../../src/journal/sqlite.ts';
import { damageOfWal } from '../../src/journal/sqlite-wal.ts';
import { opening, said } from '../contracts/journal-events.ts';

const COMMITS = 40;
/** Sizes of the header of the log, of a frame's header, and of a page. */
const [HEADER, FRAME_HEADER, PAGE] = [32, 24, 4096];

let folder: string;
let file: string;
let warnings: string[];
let journal: SqliteJournal | undefined;
const open = (path = file): SqliteJournal =>
  (journal = openSqliteJournal({
    file: path,
    sync: 'normal',
    now: () => 1_000,
    warn: (sentence) => warnings.push(sentence),
  }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coral-lost-'));
  file = join(folder, 'journal.db');
  warnings = [];
});
afterEach(async () => {
  await journal?.close();
  await rm(folder, { recursive: true });
});

/** The files of a journal as a writer leaves them that is killed after so many commits. */
async function killed(): Promise<void> {
  const living = join(folder, 'living.db');
  await open(living).append(opening('of an earlier life'));
  await journal!.close();
  open(living);
  for (let n = 1; n <= COMMITS; n += 1)
    await journal!.append(opening(`s${n}`, { events: [said('x'.repeat(n))] }));
  for (const suffix of ['', '-wal']) copyFileSync(`${living}${suffix}`, `${file}${suffix}`);
  await journal!.close();
}

/** Turns one bit of the log. */
function flip(at: number): void {
  const wal = openSync(`${file}-wal`, 'r+');
  const [byte = 0] = readFileSync(`${file}-wal`).subarray(at, at + 1);
  writeSync(wal, Buffer.from([byte ^ 4]), 0, 1, at);
  closeSync(wal);
}

const sessions = async (): Promise<number> => (await journal!.streams({ limit: 1_000 })).streams.length;

describe('the log of a killed writer', () => {
  it('is read to its end, and nobody is warned', async () => {
    await killed();
    expect(damageOfWal(file)).toBeUndefined();
    open();
    expect([await sessions(), warnings]).toEqual([1 + COMMITS, []]);
  });

  it.each([
    ['a page', HEADER + 20 * (FRAME_HEADER + PAGE) + FRAME_HEADER + 2_000],
    ['the sum of a frame', HEADER + 20 * (FRAME_HEADER + PAGE) + 20],
    ['its own sum', 25],
    ['what tells it from older ones', 17],
  ])('in which a bit of %s has turned is told of: what follows is lost', async (_what, at) => {
    await killed();
    flip(at);
    const { commits = 0 } = damageOfWal(file) ?? {};
    expect(checkJournal(file).problems[0]).toContain(`${commits} commits behind that place cannot be read`);
    open();
    expect(warnings).toEqual([
      expect.stringContaining(`${commits} commits behind that place cannot be read`),
    ]);
    const left = await sessions();
    expect(left).toBeLessThan(COMMITS);
    expect(commits).toBeGreaterThan(0);
    expect(left + commits).toBeLessThanOrEqual(1 + COMMITS);
    expect(existsSync(`${file}-wal.damaged`)).toBe(true);
    // It goes on with what there is.
    await journal!.append(opening('after'));
    await journal!.close();
    expect(damageOfWal(file)).toBeUndefined();
    warnings = [];
    open();
    expect([await sessions(), warnings]).toEqual([left + 1, []]);
  });

  it('that ends in the middle of a commit is as it should be', async () => {
    await killed();
    flip(readFileSync(`${file}-wal`).length - 100);
    expect(damageOfWal(file)).toBeUndefined();
    open();
    expect([await sessions(), warnings]).toEqual([COMMITS, []]);
  });
});

describe('a check of the journal', () => {
  const change = (sql: string): void => {
    const database = new Database(file);
    database.exec(sql);
    database.close();
  };
  beforeEach(async () => {
    open();
    for (const id of ['a', 'b', 'c'])
      await journal!.append(opening(id, { events: ['1', '2', '3'].map(said) }));
  });

  it('misses records at the end of a stream, which nothing else would', async () => {
    await journal!.close();
    change('DELETE FROM events WHERE stream = 2 AND seq = 3');
    expect(checkJournal(file).problems).toEqual([
      '1 of the records that were written are not there, at the end of one stream or several.',
    ]);
  });

  it('does not miss those that were dropped', async () => {
    await journal!.append({
      stream: 'session/c',
      expectedSeq: 3,
      time: 2_000,
      events: [said('4')],
      closes: true,
    });
    await journal!.drop('session/c');
    expect(await journal!.streams({ limit: 9 })).toMatchObject({ streams: [{ id: 'b' }, { id: 'a' }] });
    await journal!.append(opening('d'));
    await journal!.close();
    expect(checkJournal(file)).toMatchObject({ problems: [], events: 7 });
    change("INSERT INTO dropped SELECT ref FROM streams WHERE id = 'a'; DELETE FROM streams WHERE id = 'a'");
    compactJournal(file);
    expect(checkJournal(file)).toMatchObject({ problems: [], events: 4 });
  });
});
