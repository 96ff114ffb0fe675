/**
 * The journal's tables. `streams.ref` and `events.position` are given by the program; a position is never used twice.
 *
 * - `streams` is the catalogue. The last seq of a stream is the highest in `events`: said once.
 * - `annotations` repeats the catalogue's annotations and opening time so that "the newest streams with this pair" is
 *   a walk along one index, however rare or common the pair is.
 * - `events.sum` tells whether a record is what was written (sqlite-record.ts).
 * - `dropped` names streams that left the catalogue and whose records are still being deleted.
 * - `facts` holds single values: the version of the events, the highest position and the number of dropped records, the
 *   last probe. With the number dropped, the highest position tells how many records there must be: no position is left out.
 */
import type Database from 'better-sqlite3';
import { EVENT_VERSION } from '../domain/event.ts';
import { newerVersion, openSqliteFile } from './sqlite-file.ts';
import type { SyncMode } from './sqlite-file.ts';

/** "Corl". */
export const JOURNAL_APPLICATION_ID = 0x436f726c;
/** Layout of the tables below. Format 1 had no sums. */
export const JOURNAL_FORMAT = 2;

/** Events that followers of the whole journal read: the only ones found by type without a scan. */
const MILESTONES = [
  'session_opened',
  'session_executed',
  'session_ended',
  'session_closed',
  'namespace_created',
  'namespace_closed',
] as const;

/** Written into the index and, word for word, into the query: SQLite uses a partial index only then. */
export const IS_MILESTONE = `type IN (${MILESTONES.map((type) => `'${type}'`).join(', ')})`;

/** True when all these types are marked in the table, so that the index answers. */
export function areMilestones(types: readonly string[]): boolean {
  return types.every((type) => (MILESTONES as readonly string[]).includes(type));
}

const TABLES = `
  CREATE TABLE streams (
    ref INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    annotations TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER
  );
  CREATE INDEX streams_by_time ON streams (opened_at);
  CREATE INDEX streams_by_namespace ON streams (namespace, opened_at);
  CREATE INDEX streams_by_id ON streams (id);
  CREATE INDEX streams_open ON streams (opened_at) WHERE closed_at IS NULL;

  CREATE TABLE annotations (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    PRIMARY KEY (key, value, opened_at, stream)
  ) WITHOUT ROWID;

  CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    type TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    sum INTEGER
  );
  CREATE UNIQUE INDEX events_by_stream ON events (stream, seq);
  CREATE INDEX events_milestones ON events (position) WHERE ${IS_MILESTONE};

  CREATE TABLE dropped (stream INTEGER PRIMARY KEY);
  CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO facts VALUES ('event_version', ${EVENT_VERSION}), ('dropped_records', 0);
`;

/** Opens (or makes) a journal file. Throws JournalError as `openSqliteFile` does; `warn` hears of what is lost. */
export function openJournalFile(
  file: string,
  sync: SyncMode,
  busyTimeoutMs: number,
  warn?: (sentence: string) => void,
): Database.Database {
  const target = { what: 'journal', file } as const;
  const database = openSqliteFile({
    ...target,
    applicationId: JOURNAL_APPLICATION_ID,
    format: JOURNAL_FORMAT,
    tables: TABLES,
    upgrades: ['ALTER TABLE events ADD COLUMN sum INTEGER'],
    sync,
    busyTimeoutMs,
    ...(warn !== undefined && { warn }),
  });
  const written = readEventVersion(database);
  if (written > EVENT_VERSION) {
    database.close();
    throw newerVersion(target, `events of version ${written}`, `version ${EVENT_VERSION}`);
  }
  if (written < EVENT_VERSION) {
    database.prepare("UPDATE facts SET value = ? WHERE name = 'event_version'").run(EVENT_VERSION);
  }
  return database;
}

function readEventVersion(database: Database.Database): number {
  const value = database.prepare("SELECT value FROM facts WHERE name = 'event_version'").pluck().get();
  return typeof value === 'number' ? value : 0;
}
