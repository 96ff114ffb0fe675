/** Where a server keeps what happened, what is secret and what agents print: in its state folder, or in memory alone. */
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { roomForLogs } from '../disk-room.ts';
import { openMemoryJournal } from '../journal/memory.ts';
import { openSqliteJournal } from '../journal/sqlite.ts';
import { openMemoryVault } from '../journal/vault-memory.ts';
import { openSqliteVault } from '../journal/vault.ts';
import { openFileOutput } from '../output/files.ts';
import { openMemoryOutput } from '../output/memory.ts';
import type { Host } from '../ports/host.ts';
import type { Journal } from '../ports/journal.ts';
import type { Log } from '../ports/log.ts';
import type { OutputStore } from '../ports/output.ts';
import type { Vault } from '../ports/vault.ts';
import type { Acquired } from './acquired.ts';
import { journalCopies } from './journal-copies.ts';

/** What a server remembers by. */
export interface Storage {
  readonly journal: Journal;
  readonly vault: Vault;
  readonly output: OutputStore;
  /** Makes a copy of the journal; absent: there is no file to copy. */
  readonly backup?: ReturnType<typeof journalCopies>;
}

interface StorageParts {
  /** The state folder. */
  readonly folder: string;
  readonly host: Host;
  readonly log: Log;
  readonly acquired: Acquired;
}

/** As the configuration says. Throws JournalError when a file cannot be used. */
export function openStorage(config: Config, parts: StorageParts): Storage {
  return config.journal.kind === 'sqlite' ? inFiles(config, parts) : inMemory(config, parts);
}

function inFiles(config: Config, { folder, host, log, acquired }: StorageParts): Storage {
  const journal = openSqliteJournal({
    file: join(folder, 'journal.db'),
    sync: config.journal.sync,
    now: () => host.now(),
    warn: (sentence) => log.error(sentence),
  });
  acquired.add('the journal', () => journal.close());
  const vault = openSqliteVault({ file: join(folder, 'vault.db'), keyFile: join(folder, 'vault.key') });
  acquired.add('the vault', () => vault.close());
  const output = openFileOutput({
    folder: join(folder, 'output'),
    maxBytesPerAgent: config.logging.maxAgentOutput,
    hasRoom: roomForLogs(folder),
    onError: (error) => log.error('The output of agents cannot be written.', { error }),
  });
  acquired.add('the output of agents', () => output.close());
  const backup = journalCopies(join(folder, 'copies'), journal, () => host.uuid());
  return { journal, vault, output, backup };
}

function inMemory(config: Config, { host, acquired }: StorageParts): Storage {
  const journal = openMemoryJournal({ now: () => host.now() });
  acquired.add('the journal', () => journal.close());
  const output = openMemoryOutput({ maxBytesPerAgent: config.logging.maxAgentOutput });
  acquired.add('the output of agents', () => output.close());
  return { journal, vault: openMemoryVault(), output };
}
