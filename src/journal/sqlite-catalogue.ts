/** Pages of the catalogue: which streams there are, newest first, read along whichever index fits the question. */
import type Database from 'better-sqlite3';
import type { StreamHeader, StreamInfo, StreamPage, StreamQuery } from '../ports/journal.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';

interface Row {
  readonly ref: number;
  readonly stream: string;
  readonly kind: StreamHeader['kind'];
  readonly id: string;
  readonly namespace: string;
  readonly annotations: string;
  readonly opened_at: number;
  readonly closed_at: number | null;
  readonly last_seq: number | null;
}

/** Throws JournalError `bad_cursor`, and whatever SQLite throws. */
export function listStreams(database: Database.Database, query: StreamQuery): StreamPage {
  if (query.limit <= 0) return { streams: [] };
  const { sql, values } = question(query);
  // One more than asked for says whether there is a next page.
  const rows = database.prepare(`${sql} LIMIT ?`).all(...values, query.limit + 1) as Row[];
  const shown = rows.length > query.limit ? rows.slice(0, query.limit) : rows;
  const streams = shown.map(info);
  const last = shown.at(-1);
  return rows.length > query.limit && last !== undefined
    ? { streams, next: encodeCursor({ openedAt: last.opened_at, ordinal: last.ref }) }
    : { streams };
}

function question(query: StreamQuery): { sql: string; values: unknown[] } {
  const conditions: string[] = [];
  const values: unknown[] = [];
  const must = (condition: string, ...bound: unknown[]): void => {
    conditions.push(condition);
    values.push(...bound);
  };
  const [firstPair, ...otherPairs] = Object.entries(query.annotations ?? {});
  // The order is walked along the annotations when one is asked for, else along the streams.
  const walked = firstPair === undefined ? 's.opened_at, s.ref' : 'a.opened_at, a.stream';
  const time = firstPair === undefined ? 's.opened_at' : 'a.opened_at';
  if (firstPair !== undefined) must('a.key = ? AND a.value = ?', ...firstPair);
  for (const pair of otherPairs) {
    must(
      'EXISTS (SELECT 1 FROM annotations o WHERE o.key = ? AND o.value = ? AND o.opened_at = s.opened_at AND o.stream = s.ref)',
      ...pair,
    );
  }
  if (query.id !== undefined) must('s.id = ?', query.id);
  // An id names one stream or a few, and few are open of the many there ever were: with either at hand, the
  // namespace must not tempt SQLite to walk its index.
  if (query.namespace !== undefined) {
    const narrow = query.id !== undefined || query.open === true;
    must(narrow ? '+s.namespace = ?' : 's.namespace = ?', query.namespace);
  }
  if (query.kind !== undefined) must('s.kind = ?', query.kind);
  if (query.open !== undefined) must(query.open ? 's.closed_at IS NULL' : 's.closed_at IS NOT NULL');
  if (query.openedFrom !== undefined) must(`${time} >= ?`, query.openedFrom);
  if (query.openedBefore !== undefined) must(`${time} < ?`, query.openedBefore);
  if (query.cursor !== undefined) {
    const place = decodeCursor(query.cursor);
    must(`(${walked}) < (?, ?)`, place.openedAt, place.ordinal);
  }
  const from =
    firstPair === undefined
      ? 'streams s'
      : 'annotations a CROSS JOIN streams s ON s.ref = a.stream AND s.opened_at = a.opened_at';
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  const order = walked
    .split(', ')
    .map((column) => `${column} DESC`)
    .join(', ');
  return {
    sql: `SELECT s.*, (SELECT max(seq) FROM events e WHERE e.stream = s.ref) AS last_seq FROM ${from} ${where} ORDER BY ${order}`,
    values,
  };
}

function info(row: Row): StreamInfo {
  const shown = {
    stream: row.stream,
    kind: row.kind,
    id: row.id,
    namespace: row.namespace,
    annotations: annotationsIn(row.annotations),
    lastSeq: row.last_seq ?? 0,
    openedAt: row.opened_at,
  };
  return row.closed_at === null ? shown : { ...shown, closedAt: row.closed_at };
}

/** What cannot be read any more must not hide the stream: `coral journal check` tells of it. */
function annotationsIn(text: string): StreamHeader['annotations'] {
  try {
    return JSON.parse(text) as StreamHeader['annotations'];
  } catch {
    return {};
  }
}
