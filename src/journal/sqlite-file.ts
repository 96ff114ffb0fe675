/**
 * Opens one of Coral's SQLite files: makes it when it is not there (for its owner alone), looks whether it is ours,
 * of a version we understand and whole, and sets the connection up. What tables it has is its owner's business.
 *
 * The connection has the file to itself until it is closed (docs/decisions/journal-in-one-process.md says why): SQLite
 * then keeps the index of its write-ahead log in its own memory. Shared, the index is a mapped file, and where a disk
 * turns read-only or full under a mapped file the kernel ends the process with SIGBUS instead of reporting an error.
 */
import { accessSync, closeSync, constants, copyFileSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { JournalError } from '../ports/journal.ts';
import { storageError } from './storage-error.ts';
import type { StorageFile } from './storage-error.ts';
import { damageOfWal, type WalDamage } from './sqlite-wal.ts';

/** `normal`: a commit survives the death of the process; `full`: also a power failure (one disk flush a commit). */
export type SyncMode = 'normal' | 'full';

/** One of our database files: what it is called and how its tables are made. */
export interface SqliteFileSpec extends StorageFile {
  /** SQLite's `application_id`: says whose file it is. */
  readonly applicationId: number;
  /** SQLite's `user_version`: the layout of the tables. A higher one in the file is refused. */
  readonly format: number;
  /** Statements that make the tables; run on an empty file only. */
  readonly tables: string;
  /** Statements that bring format 1 to 2, 2 to 3 … Default: there was never another format. */
  readonly upgrades?: readonly string[];
  readonly sync: SyncMode;
  /** How long opening waits for another program that holds the file, ms. The thread stands still meanwhile. */
  readonly busyTimeoutMs: number;
  /** Hears, in a sentence, of what is lost without the file being damaged. */
  readonly warn?: (sentence: string) => void;
}

/** Files up to this size are checked page by page at every start: some 10 ms. `coral journal check` does any size. */
const QUICK_CHECK_BYTES = 4 * 1024 * 1024;
/** After a burst the write-ahead log is cut back to this size, bytes. */
const WAL_KEPT_BYTES = 32 * 1024 * 1024;
/**
 * Pages in the write-ahead log before they are moved into the file: a pause of some milliseconds. Twice SQLite's
 * default: fewer pauses, hardly longer ones.
 */
const CHECKPOINT_PAGES = 2000;

/**
 * Throws JournalError: `newer_version`, `corrupt` (not SQLite, not ours, or damaged), `full` or `unavailable`. The
 * file is as it was then.
 */
export function openSqliteFile(spec: SqliteFileSpec): Database.Database {
  let database: Database.Database | undefined;
  try {
    createFile(spec.file);
    // SQLite would open a file it may only read without a word.
    accessSync(spec.file, constants.R_OK | constants.W_OK);
    accessSync(dirname(spec.file), constants.W_OK);
    warnOfLoss(spec);
    database = new Database(spec.file, { timeout: spec.busyTimeoutMs });
    // Before the first look at the file, or the index is mapped already.
    database.pragma('locking_mode = EXCLUSIVE');
    const isNew = recognise(database, spec);
    configure(database, spec);
    if (isNew) createTables(database, spec);
    else {
      if (statSync(spec.file).size <= QUICK_CHECK_BYTES) quickCheck(database, spec);
      bringUpToDate(database, spec);
    }
    takeForWriting(database);
    return database;
  } catch (cause) {
    database?.close();
    throw storageError(spec, 'opened', cause);
  }
}

/** SQLite forgets what follows a damaged place in the write-ahead log: then it is said, and a copy is kept. */
function warnOfLoss({ what, file, warn }: SqliteFileSpec): void {
  const damage = damageOfWal(file);
  if (damage === undefined) return;
  const copy = `${file}-wal.damaged`;
  copyFileSync(`${file}-wal`, copy);
  warn?.(`${lossIn({ what, file }, damage)} A copy is in ${copy}.`);
}

/** What a damaged write-ahead log means, in a sentence. */
export function lossIn({ what, file }: StorageFile, { commits }: WalDamage): string {
  return (
    `The write-ahead log of the ${what} ${file} is damaged, and ${commits === 1 ? 'one commit' : `${commits} commits`} behind that place ` +
    `cannot be read: what was written last is lost unless a backup has it.`
  );
}

/** SQLite gives its side files the mode of the main one: what agents say to each other is for the owner alone. */
function createFile(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause;
  }
}

/** Whether the file is still empty. Throws when it is somebody else's or from a newer program. */
function recognise(database: Database.Database, spec: SqliteFileSpec): boolean {
  const applicationId = database.pragma('application_id', { simple: true }) as number;
  const format = database.pragma('user_version', { simple: true }) as number;
  const tables = database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() as number;
  if (applicationId === 0 && format === 0 && tables === 0) return true;
  if (applicationId !== spec.applicationId) {
    throw new JournalError(
      'corrupt',
      `${spec.file} is an SQLite file but not a ${spec.what} of Coral: name another file or move this one away.`,
    );
  }
  if (format > spec.format) throw newerVersion(spec, `format ${format}`, `format ${spec.format}`);
  return false;
}

/** The refusal of a file that a newer program wrote; `theirs` and `ours` name the two versions. */
export function newerVersion(target: StorageFile, theirs: string, ours: string): JournalError {
  return new JournalError(
    'newer_version',
    `The ${target.what} ${target.file} was written by a newer version of Coral (it has ${theirs}, this program knows up to ${ours}): run that version, or choose another state folder.`,
  );
}

function configure(database: Database.Database, spec: SqliteFileSpec): void {
  const mode = database.pragma('journal_mode = WAL', { simple: true }) as string;
  if (mode !== 'wal') {
    throw new JournalError(
      'unavailable',
      `The ${spec.what} ${spec.file} lies where SQLite cannot keep a write-ahead log (it offers "${mode}" instead): put the state folder on a local disk.`,
    );
  }
  database.pragma(`synchronous = ${spec.sync === 'full' ? 'FULL' : 'NORMAL'}`);
  database.pragma('foreign_keys = OFF');
  database.pragma('trusted_schema = OFF');
  database.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  database.pragma(`journal_size_limit = ${WAL_KEPT_BYTES}`);
}

function createTables(database: Database.Database, spec: SqliteFileSpec): void {
  database.transaction(() => {
    database.exec(spec.tables);
    database.pragma(`application_id = ${spec.applicationId}`);
    database.pragma(`user_version = ${spec.format}`);
  })();
}

function bringUpToDate(database: Database.Database, { format, upgrades = [] }: SqliteFileSpec): void {
  const found = database.pragma('user_version', { simple: true }) as number;
  if (found === format) return;
  database.transaction(() => {
    for (const statement of upgrades.slice(found - 1)) database.exec(statement);
    database.pragma(`user_version = ${format}`);
  })();
}

function quickCheck(database: Database.Database, spec: SqliteFileSpec): void {
  const verdict = database.pragma('quick_check(1)', { simple: true }) as string;
  if (verdict !== 'ok') {
    throw new JournalError(
      'corrupt',
      `The ${spec.what} ${spec.file} is damaged: move it away or restore a backup (${verdict}).`,
    );
  }
}

/** SQLite takes a lock when it first needs it; this takes the one for writing now, while refusing is easy. */
function takeForWriting(database: Database.Database): void {
  database.exec('BEGIN IMMEDIATE');
  database.exec('ROLLBACK');
}
