/**
 * A row of the journal as a record, and the sum that tells whether it still is what was written. A row whose sum is
 * missing was written before there were sums: it is believed if it can be read.
 */
import { crc32 } from 'node:zlib';
import { upgrade } from '../domain/event.ts';
import type { JournalEvent } from '../domain/event.ts';
import { JournalError } from '../ports/journal.ts';
import type { JournalRecord } from '../ports/journal.ts';

/** An event as its table has it; `ref` is the number of its stream. */
export interface EventRow {
  readonly stream: string;
  readonly ref: number;
  readonly seq: number;
  readonly position: number;
  readonly time: number;
  readonly version: number;
  readonly body: string;
  readonly sum: number | null;
}

/** CRC-32 of a row's body, begun with its numbers: none of them changes without being seen. */
export function sumOf(
  position: number,
  ref: number,
  seq: number,
  time: number,
  version: number,
  body: string,
): number {
  const numbers =
    Math.imul(position, 31) ^ Math.imul(ref, 17) ^ Math.imul(seq, 13) ^ Math.imul(version, 7) ^ time;
  return crc32(body, numbers >>> 0);
}

/** A row of one stream, whose name and number need not be read again for each: the columns of `EventRow` from `seq` on. */
export type StreamRowValues = readonly [
  seq: number,
  position: number,
  time: number,
  version: number,
  body: string,
  sum: number | null,
];

/** The record in a row; undefined when the row is not what was written. */
export function recordIn({ stream, ref, seq, position, time, version, body, sum }: EventRow) {
  return recordOf(stream, ref, [seq, position, time, version, body, sum]);
}

function recordOf(
  stream: string,
  ref: number,
  [seq, position, time, version, body, sum]: StreamRowValues,
): JournalRecord | undefined {
  if (sum !== null && sum !== sumOf(position, ref, seq, time, version, body)) return undefined;
  try {
    return { stream, seq, position, time, event: upgrade(JSON.parse(body) as JournalEvent, version) };
  } catch {
    return undefined;
  }
}

/** The records of one stream from behind `after` on. Throws JournalError `damaged` at the first that is not there or not whole. */
export function recordsIn(
  { name, ref }: { readonly name: string; readonly ref: number },
  rows: readonly StreamRowValues[],
  after: number,
  file: string,
): JournalRecord[] {
  return rows.map((row, index) => {
    const expected = after + index + 1;
    if (row[0] !== expected) throw damaged(name, expected, 'is missing', file);
    const record = recordOf(name, ref, row);
    if (record === undefined) throw damaged(name, expected, 'is not what was written', file);
    return record;
  });
}

function damaged(stream: string, seq: number, what: string, file: string): JournalError {
  return new JournalError(
    'damaged',
    `Record ${seq} of ${stream} in the journal ${file} ${what}: restore a backup to have it back, or do without it; all else is served.`,
    { seq },
  );
}
