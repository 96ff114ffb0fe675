/** Checking, copying and compacting a journal file. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { backupJournal, checkJournal, compactJournal } from '../../src/journal/maintenance.ts';
import { openSqliteJournal } from '../../src/journal/sqlite.ts';
import type { SqliteJournal } from '../../src/journal/sqlite.ts';
import { opening, said } from '../contracts/journal-events.ts';

describe('maintenance of a journal file', () => {
  let folder: string;
  let file: string;
  let journal: SqliteJournal;

  const open = (path = file): SqliteJournal =>
    openSqliteJournal({ file: path, sync: 'normal', now: () => 1000 });
  const change = (sql: string): void => {
    const database = new Database(file);
    database.exec(sql);
    database.close();
  };
  const inUse = expect.objectContaining({
    code: 'unavailable',
    message: expect.stringMatching(/another program holds it/),
  });
  const texts = ['1', '2', '3'].map(said);

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coral-maintenance-'));
    file = join(folder, 'journal.sqlite');
    journal = open();
    await journal.append(opening('a', { events: texts }));
    await journal.append(opening('b', { events: texts, closes: true }));
    await journal.close();
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  describe('check', () => {
    it('finds nothing wrong with a whole journal', () => {
      expect(checkJournal(file)).toEqual({
        problems: [],
        streams: 2,
        events: 6,
        bytes: statSync(file).size,
      });
    });

    it('says so when a server has the journal', async () => {
      journal = open();
      expect(() => checkJournal(file)).toThrowError(inUse);
      await journal.close();
    });

    it.each([
      [
        'a record that is missing in the middle',
        'DELETE FROM events WHERE stream = 1 AND seq = 2',
        'Records are missing from the stream session/a (2 records, numbered 1 to 3).',
      ],
      [
        'a stream whose first record is missing',
        'DELETE FROM events WHERE stream = 2 AND seq = 1',
        'Records are missing from the stream session/b (2 records, numbered 2 to 3).',
      ],
      [
        'a stream without records',
        'DELETE FROM events WHERE stream = 2',
        'Records are missing from the stream session/b (0 records, numbered 0 to 0).',
      ],
      [
        'records without a stream',
        'DELETE FROM streams WHERE ref = 2',
        'There are records of a stream that is not in the catalogue (number 2).',
      ],
      [
        'a record that is not JSON',
        "UPDATE events SET body = '{' WHERE position = 4",
        'Record 1 of session/b is not what was written.',
      ],
      [
        'a record under another type',
        "UPDATE events SET type = 'session_closed' WHERE position = 5",
        'Record 2 of session/b is not what was written.',
      ],
      [
        'a record that was changed and can still be read',
        "UPDATE events SET body = replace(body, 'alice', 'mabel') WHERE position = 2",
        'Record 2 of session/a is not what was written.',
      ],
    ])('finds %s', (_name, damage, problem) => {
      change(damage);

      expect(checkJournal(file).problems).toEqual([problem]);
    });

    it('finds damaged pages', async () => {
      journal = open();
      await journal.append(
        opening('c', { events: Array.from({ length: 200 }, (_, n) => said('x'.repeat(n))) }),
      );
      await journal.close();
      const database = new Database(file);
      const root = database
        .prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'events'")
        .pluck()
        .get() as number;
      database.close();
      const bytes = readFileSync(file);
      bytes.fill(0x5a, (root - 1) * 4096 + 200, root * 4096);
      writeFileSync(file, bytes);

      expect(checkJournal(file).problems[0]).toMatch(/^SQLite finds damage: /);
    });

    it('says so when there is no journal', () => {
      expect(() => checkJournal(join(folder, 'nothing'))).toThrowError(/There is no journal at .*nothing/);
      expect(existsSync(join(folder, 'nothing'))).toBe(false);
      writeFileSync(join(folder, 'text'), 'not a database, whatever its length may be'.repeat(40));
      expect(() => checkJournal(join(folder, 'text'))).toThrowError(
        expect.objectContaining({ code: 'corrupt' }),
      );
    });

    it('leaves a journal of a newer version alone', () => {
      change('PRAGMA user_version = 9');
      expect(() => checkJournal(file)).toThrowError(expect.objectContaining({ code: 'newer_version' }));
    });
  });

  describe('backup', () => {
    it('copies a journal, whole and for its owner alone', async () => {
      const target = join(folder, 'copy.sqlite');
      const { bytes } = await backupJournal(file, target);

      expect(bytes).toBe(statSync(target).size);
      expect((statSync(target).mode & 0o777).toString(8)).toBe('600');
      expect(readdirSync(folder).filter((name) => name.startsWith('copy'))).toEqual(['copy.sqlite']);
      expect(checkJournal(target)).toMatchObject({ problems: [], events: 6 });
      const copy = open(target);
      expect((await copy.read('session/a', 0, 10)).map((record) => record.event)).toEqual(texts);
      await copy.close();
    });

    it('overwrites nothing', async () => {
      const target = join(folder, 'copy.sqlite');
      writeFileSync(target, 'precious');

      await expect(backupJournal(file, target)).rejects.toThrowError(/copy\.sqlite exists already/);
      expect(statSync(target).size).toBe(8);
    });

    it('leaves nothing behind where it cannot write', async () => {
      await expect(backupJournal(file, join(folder, 'no', 'copy'))).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining(join(folder, 'no', 'copy')),
      });
    });
  });

  describe('compact', () => {
    it('gives the space of dropped streams back', async () => {
      journal = open();
      const events = Array.from({ length: 500 }, () => said('x'.repeat(1000)));
      await journal.append(opening('big', { events, closes: true }));
      await journal.drop('session/big');
      await journal.close();
      const { before, after } = compactJournal(file);

      expect(before).toBeGreaterThan(500_000);
      expect(after).toBeLessThan(150_000);
      expect(statSync(file).size).toBe(after);
      expect(checkJournal(file)).toMatchObject({ problems: [], streams: 2, events: 6 });
    });

    it('wants the journal for itself', async () => {
      journal = open();
      expect(() => compactJournal(file)).toThrowError(inUse);
      await journal.close();
    });
  });
});
