/** The journals, each against the contract of the port. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import { openSqliteJournal } from '../../src/journal/sqlite.ts';
import { journalContract } from '../contracts/journal.ts';

journalContract('memory', async () => {
  const journal = openMemoryJournal();
  return { journal, dispose: () => journal.close() };
});

for (const sync of ['normal', 'full'] as const) {
  journalContract(`SQLite, sync ${sync}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coral-journal-'));
    const open = () => openSqliteJournal({ file: join(folder, 'journal.sqlite'), sync, now: () => 5000 });
    let journal = open();
    return {
      journal,
      reopen: async () => {
        await journal.close();
        journal = open();
        return journal;
      },
      dispose: async () => {
        await journal.close();
        await rm(folder, { recursive: true });
      },
    };
  });
}
