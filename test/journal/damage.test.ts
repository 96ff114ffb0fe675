/** Records that are not what was written are found when they are read, and take no other stream with them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionEvent } from '../../src/domain/event.ts';
import { checkJournal } from '../../src/journal/maintenance.ts';
import { openSqliteJournal, type SqliteJournal } from '../../src/journal/sqlite.ts';
import { opening, said } from '../contracts/journal-events.ts';

let folder: string;
let file: string;
let journal: SqliteJournal;

const open = (): SqliteJournal => (journal = openSqliteJournal({ file, sync: 'normal', now: () => 1000 }));
const change = (sql: string): void => {
  const database = new Database(file);
  database.exec(sql);
  database.close();
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coral-damage-'));
  file = join(folder, 'journal.db');
  open();
  for (const id of ['a', 'b', 'c']) await journal.append(opening(id, { events: ['1', '2', '3'].map(said) }));
  await journal.close();
});
afterEach(async () => {
  await journal.close();
  await rm(folder, { recursive: true });
});

describe('a record of one stream that is damaged', () => {
  it.each([
    ['text that was changed', "UPDATE events SET body = replace(body, 'alice', 'mabel') WHERE position = 5"],
    ['text that is cut off', 'UPDATE events SET body = substr(body, 1, 20) WHERE position = 5'],
    ['another time', 'UPDATE events SET time = time + 1 WHERE position = 5'],
    ['another version', 'UPDATE events SET version = 0 WHERE position = 5'],
    ['a record that is gone', 'DELETE FROM events WHERE position = 5'],
    ['a record of another stream', 'UPDATE events SET stream = 2, seq = 4 WHERE position = 7', 4],
  ])('is found by reading it: %s', async (_name, damage, seq = 2) => {
    change(damage);
    open();
    await expect(journal.read('session/b', 0, 10)).rejects.toMatchObject({ code: 'damaged', seq });
    await expect(journal.read('session/b', seq - 1, 10)).rejects.toMatchObject({ code: 'damaged', seq });
    expect(await journal.read('session/b', 0, seq - 1)).toHaveLength(seq - 1);
    expect(await journal.read('session/a', 0, 10)).toHaveLength(3);
  });

  it('is left out for those who read all streams', async () => {
    open();
    const opened: SessionEvent = { type: 'session_closed' };
    await journal.append(opening('d', { events: [opened] }));
    await journal.append(opening('e', { events: [opened] }));
    await journal.append(opening('f', { events: [opened] }));
    await journal.close();
    change("UPDATE events SET body = '{}' WHERE type = 'session_closed' AND position < 12");
    open();
    expect(await journal.readTypes(['session_closed'], 0, 1)).toMatchObject([{ stream: 'session/f' }]);
  });
});

it('a journal from before there were sums is brought up to date and goes on', async () => {
  change('ALTER TABLE events DROP COLUMN sum; PRAGMA user_version = 1');
  expect(checkJournal(file)).toMatchObject({ problems: [], events: 9 });
  open();
  expect(await journal.read('session/a', 0, 10)).toHaveLength(3);
  await journal.append({ stream: 'session/a', expectedSeq: 3, time: 2000, events: [said('new')] });
  await journal.close();
  expect(checkJournal(file)).toMatchObject({ problems: [], events: 10 });
  change("UPDATE events SET body = replace(body, 'alice', 'mabel') WHERE seq = 4");
  open();
  await expect(journal.read('session/a', 0, 10)).rejects.toMatchObject({ code: 'damaged', seq: 4 });
});
