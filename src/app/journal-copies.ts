/** Copies of the journal that are made for somebody to take away: in a folder of their own, gone when they were read. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { JournalCopy } from '../http/door.ts';
import type { SqliteJournal } from '../journal/sqlite.ts';

/** Returns what makes one; what an earlier server left is removed now. `name`: a fresh one each time. */
export function journalCopies(
  folder: string,
  journal: Pick<SqliteJournal, 'backup'>,
  name: () => string,
): () => Promise<JournalCopy> {
  rmSync(folder, { recursive: true, force: true });
  return async () => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const file = join(folder, `${name()}.db`);
    await journal.backup(file);
    return { file, remove: () => rmSync(file, { force: true }) };
  };
}
