/** What the embedded journal promises beyond the contract: grouping, modest files, drops that survive a crash. */
import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkJournal } from '../../src/journal/maintenance.ts';
import { openSqliteJournal } from '../../src/journal/sqlite.ts';
import type { Commit, SqliteJournal } from '../../src/journal/sqlite.ts';
import { header, opening, said } from '../contracts/journal-events.ts';

let folder: string;
let file: string;
let journal: SqliteJournal;
let commits: Commit[];

const open = (): SqliteJournal =>
  openSqliteJournal({ file, sync: 'normal', now: () => 1000, onCommit: (commit) => commits.push(commit) });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coral-sqlite-'));
  file = join(folder, 'deep', 'journal.sqlite');
  commits = [];
  journal = open();
});
afterEach(async () => {
  await journal.close();
  await rm(folder, { recursive: true });
});

describe('grouping', () => {
  it('commits what came in one turn of the event loop at once, and tells so', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, n) => journal.append(opening(`s${n}`))));
    expect(commits).toMatchObject([{ appends: 20, events: 20 }]);

    await journal.append(opening('later', { events: [said('1'), said('2')] }));
    expect(commits).toMatchObject([{ appends: 20 }, { appends: 1, events: 2 }]);
    expect(commits[1]!.ms).toBeGreaterThan(0);
    expect(journal.stats()).toEqual({ commits: 2, events: 22, lastCommitMs: commits[1]!.ms });
  });

  it('has a lone append durable by the next turn', async () => {
    let done = false;
    void journal.append(opening('a')).then(() => (done = true));
    await nextTurn();
    expect(done).toBe(true);
  });

  it('rejects an event that JSON cannot hold, and takes the others of the turn', async () => {
    const knot: Record<string, unknown> = {};
    knot.itself = knot;
    const outcomes = await Promise.allSettled([
      journal.append(opening('a')),
      journal.append(
        opening('b', { events: [{ type: 'session_stopping', cause: 'requested', result: knot }] }),
      ),
      journal.append(opening('c')),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    await journal.close();
    expect(checkJournal(file)).toMatchObject({ problems: [], streams: 2 });
  });
});

describe('files', () => {
  it('are for their owner alone', async () => {
    await journal.append(opening('a'));
    const names = readdirSync(join(folder, 'deep'));
    expect(names.toSorted()).toEqual(['journal.sqlite', 'journal.sqlite-wal']);
    for (const name of names) expect(statSync(join(folder, 'deep', name)).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'deep')).mode & 0o777).toBe(0o700);
  });

  it('are one file after a close in good order', async () => {
    await journal.append(opening('a'));
    await journal.close();
    expect(readdirSync(join(folder, 'deep'))).toEqual(['journal.sqlite']);
  });
});

describe('backup', () => {
  it('copies the journal at one moment while others append', async () => {
    await journal.append(opening('a', { events: Array.from({ length: 2000 }, () => said('x'.repeat(500))) }));
    const target = join(folder, 'copy.sqlite');
    let done = false;
    const backup = journal.backup(target).then((result) => {
      done = true;
      return result;
    });
    let seq = 2000;
    while (!done) await journal.append({ ...opening('a'), expectedSeq: seq++ });

    expect(await backup).toEqual({ bytes: statSync(target).size });
    expect(seq).toBeGreaterThan(2001);
    const { problems, events } = checkJournal(target);
    expect(problems).toEqual([]);
    expect(events).toBeGreaterThanOrEqual(2000);
    expect(events).toBeLessThanOrEqual(seq);
    expect(await journal.read('session/a', 0, 10_000)).toHaveLength(seq);
  });
});

describe('drop', () => {
  const rows = (sql: string): number => {
    const database = new Database(file);
    try {
      return database.prepare(sql).pluck().get() as number;
    } finally {
      database.close();
    }
  };
  const long = opening('long', {
    events: Array.from({ length: 3500 }, (_, n) => said(String(n))),
    header: header('long', { annotations: { team: 'x' } }),
    closes: true,
  });

  it('leaves no row of a long stream, and lets others append meanwhile', async () => {
    await journal.append(long);
    let dropped = false;
    const dropping = journal.drop('session/long').then(() => (dropped = true));
    await journal.append(opening('a'));

    expect(dropped).toBe(false);
    expect(await journal.read('session/long', 0, 10)).toEqual([]);
    expect(await journal.readTypes(['message_sent'], 0, 10)).toHaveLength(1);
    await dropping;
    await journal.close();
    expect(rows('SELECT count(*) FROM events')).toBe(1);
    expect(rows('SELECT count(*) FROM annotations')).toBe(0);
    expect(rows('SELECT count(*) FROM dropped')).toBe(0);
  });

  it('goes on after a restart cut it short', async () => {
    await journal.append(long);
    const dropped = journal.drop('session/long');
    await journal.close();
    await dropped;
    expect(rows('SELECT count(*) FROM events')).toBe(3500);
    expect(checkJournal(file)).toMatchObject({ problems: [], streams: 0 });

    journal = open();
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    const [next] = await journal.append(opening('a'));
    expect(next!.position).toBe(3501);
    await journal.close();
    expect(rows('SELECT count(*) FROM events')).toBe(1);
    expect(rows('SELECT count(*) FROM dropped')).toBe(0);
  });

  it('follows the append that closed the stream in the same turn', async () => {
    const closing = journal.append(opening('a', { closes: true }));
    const dropped = journal.drop('session/a');
    expect(await closing).toHaveLength(1);
    await dropped;
    expect((await journal.streams({ limit: 1 })).streams).toEqual([]);
  });
});
