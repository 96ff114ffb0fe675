/** Copies a whole database, however long that takes and whoever writes to it meanwhile through the same connection. */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type Database from 'better-sqlite3';
import { JournalError } from '../ports/journal.ts';
import { storageError } from './storage-error.ts';

/** To `target`, which must not exist, for its owner alone, and on the disk before it gets its name. */
export async function copyDatabase(
  database: Database.Database,
  target: string,
): Promise<{ readonly bytes: number }> {
  if (existsSync(target)) {
    throw new JournalError(
      'unavailable',
      `${target} exists already: name a file that does not, for the backup of ${database.name}.`,
    );
  }
  const draft = `${target}.partial`;
  const leftovers = [draft, `${draft}-wal`, `${draft}-shm`, `${draft}-journal`];
  const sweep = (): void => leftovers.forEach((file) => rmSync(file, { force: true }));
  try {
    sweep();
    closeSync(openSync(draft, 'wx', 0o600));
    await database.backup(draft);
    settle(draft);
    renameSync(draft, target);
    settle(dirname(target));
    return { bytes: statSync(target).size };
  } catch (cause) {
    throw storageError({ what: 'journal', file: target }, 'written', cause);
  } finally {
    sweep();
  }
}

function settle(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
