/** Every statement the embedded journal runs again and again, prepared once. */
import type Database from 'better-sqlite3';
import { IS_MILESTONE } from './sqlite-schema.ts';

/** A stream as its table has it. */
export interface StreamRow {
  readonly ref: number;
  readonly closed_at: number | null;
  readonly last_seq: number;
}

/** The statements of the hot path, prepared once. */
export type Statements = ReturnType<typeof prepareStatements>;

// Records of a dropped stream find no stream to join and so are gone at once.
const RECORDS =
  'SELECT s.stream, e.stream AS ref, e.seq, e.position, e.time, e.version, e.body, e.sum FROM events e JOIN streams s ON s.ref = e.stream';
const OF_TYPES = 'e.type IN (SELECT value FROM json_each(?)) AND e.position > ? ORDER BY e.position LIMIT ?';

/** Prepares them all; the connection must have its tables by now. */
export function prepareStatements(database: Database.Database) {
  const prepare = (sql: string): Database.Statement => database.prepare(sql);
  return {
    begin: prepare('BEGIN IMMEDIATE'),
    commit: prepare('COMMIT'),
    rollback: prepare('ROLLBACK'),

    stream: prepare(
      `SELECT ref, closed_at, coalesce((SELECT max(seq) FROM events WHERE events.stream = ref), 0) AS last_seq
         FROM streams WHERE stream = ?`,
    ),
    insertStream: prepare(
      'INSERT INTO streams (stream, kind, id, namespace, annotations, opened_at) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    insertAnnotation: prepare('INSERT INTO annotations (key, value, opened_at, stream) VALUES (?, ?, ?, ?)'),
    insertEvent: prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)'),
    closeStream: prepare('UPDATE streams SET closed_at = coalesce(closed_at, ?) WHERE ref = ?'),

    refOf: prepare('SELECT ref FROM streams WHERE stream = ?').pluck(),
    read: prepare(
      'SELECT seq, position, time, version, body, sum FROM events WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?',
    ).raw(),
    readTypes: prepare(`${RECORDS} WHERE ${OF_TYPES}`),
    readMilestones: prepare(
      // The index is named so that a query that could not use it fails at start and not slowly.
      `${RECORDS.replace('events e', 'events e INDEXED BY events_milestones')} WHERE e.${IS_MILESTONE} AND ${OF_TYPES}`,
    ),
    lastPosition: prepare('SELECT coalesce(max(position), 0) FROM events').pluck(),
    highestPosition: prepare(
      `SELECT max(coalesce((SELECT max(position) FROM events), 0),
                  coalesce((SELECT value FROM facts WHERE name = 'highest_position'), 0))`,
    ).pluck(),

    keepHighestPosition: prepare(
      `INSERT INTO facts SELECT 'highest_position', max(position) FROM events WHERE true
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)`,
    ),
    dropAnnotations: prepare(
      `DELETE FROM annotations WHERE (key, value, opened_at, stream) IN
         (SELECT pair.key, pair.value, s.opened_at, s.ref FROM streams s, json_each(s.annotations) pair WHERE s.ref = ?)`,
    ),
    dropStream: prepare('DELETE FROM streams WHERE ref = ?'),
    rememberDropped: prepare('INSERT INTO dropped VALUES (?)'),
    dropped: prepare('SELECT stream FROM dropped LIMIT 1').pluck(),
    deleteSome: prepare(
      'DELETE FROM events WHERE position IN (SELECT position FROM events WHERE stream = ? LIMIT ?)',
    ),
    countDropped: prepare("UPDATE facts SET value = value + ? WHERE name = 'dropped_records'"),
    forgetDropped: prepare('DELETE FROM dropped WHERE stream = ?'),

    probe: prepare(
      "INSERT INTO facts VALUES ('probed_at', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    ),
  };
}
