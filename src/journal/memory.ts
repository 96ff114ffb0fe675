/**
 * A journal that lives as long as the process: for tests, demos and sessions nobody wants kept. Records are kept by
 * reference (events are immutable), an append is done before `append` returns, and its promise is already resolved.
 */

import type {
  Append,
  Journal,
  JournalRecord,
  StreamHeader,
  StreamInfo,
  StreamPage,
  StreamQuery,
} from '../ports/journal.ts';
import { decodeCursor, encodeCursor, TOP } from './cursor.ts';
import { conflict, headerMissing, journalClosed, stillOpen } from './refusals.ts';

interface MemoryStream {
  readonly stream: string;
  readonly header: StreamHeader;
  readonly openedAt: number;
  /** Counts the streams as they were opened. */
  readonly ordinal: number;
  readonly records: JournalRecord[];
  closedAt?: number;
}

const NAME = 'in memory';
const NOTHING: Promise<readonly JournalRecord[]> = Promise.resolve(Object.freeze([]));

class MemoryJournal implements Journal {
  #streams = new Map<string, MemoryStream>();
  /** Sorted by openedAt, then by ordinal: oldest first. */
  #catalogue: MemoryStream[] = [];
  /** All records by position, for followers of the whole journal. */
  #records: JournalRecord[] = [];
  #position = 0;
  #opened = 0;
  #closed = false;

  append(append: Append): Promise<readonly JournalRecord[]> {
    if (this.#closed) return Promise.reject(journalClosed(NAME));
    const { stream, time, events } = append;
    let target = this.#streams.get(stream);
    const lastSeq = target === undefined ? 0 : target.records.length;
    if (append.expectedSeq !== lastSeq) return Promise.reject(conflict(append, lastSeq));
    if (target === undefined) {
      if (events.length === 0) return NOTHING;
      if (append.header === undefined) return Promise.reject(headerMissing(append));
      target = this.#open(stream, append.header, time);
    }
    const records: JournalRecord[] = [];
    for (let at = 0; at < events.length; at++) {
      const record = {
        stream,
        seq: lastSeq + at + 1,
        position: ++this.#position,
        time,
        event: events[at]!,
      };
      records.push(record);
      target.records.push(record);
      this.#records.push(record);
    }
    if (append.closes === true) target.closedAt ??= time;
    return Promise.resolve(records);
  }

  async read(stream: string, after: number, limit: number): Promise<readonly JournalRecord[]> {
    this.#assertOpen();
    const from = Math.max(0, after);
    return this.#streams.get(stream)?.records.slice(from, from + limit) ?? [];
  }

  async readTypes(types: readonly string[], after: number, limit: number): Promise<readonly JournalRecord[]> {
    this.#assertOpen();
    const found: JournalRecord[] = [];
    for (let at = this.#firstAfter(after); at < this.#records.length && found.length < limit; at++) {
      const record = this.#records[at]!;
      if (types.includes(record.event.type)) found.push(record);
    }
    return found;
  }

  async lastPosition(): Promise<number> {
    this.#assertOpen();
    return this.#records.at(-1)?.position ?? 0;
  }

  async streams(query: StreamQuery): Promise<StreamPage> {
    this.#assertOpen();
    const below = query.cursor === undefined ? TOP : decodeCursor(query.cursor);
    const streams: StreamInfo[] = [];
    let last: MemoryStream | undefined;
    for (let at = this.#catalogue.length - 1; at >= 0; at--) {
      const entry = this.#catalogue[at]!;
      const isBelow =
        entry.openedAt < below.openedAt ||
        (entry.openedAt === below.openedAt && entry.ordinal < below.ordinal);
      if (!isBelow || !matches(entry, query)) continue;
      if (streams.length === query.limit) {
        return last === undefined ? { streams } : { streams, next: encodeCursor(last) };
      }
      streams.push(info(entry));
      last = entry;
    }
    return { streams };
  }

  async drop(stream: string): Promise<void> {
    this.#assertOpen();
    const entry = this.#streams.get(stream);
    if (entry === undefined) return;
    if (entry.closedAt === undefined) throw stillOpen(stream);
    this.#streams.delete(stream);
    this.#catalogue = this.#catalogue.filter((other) => other !== entry);
    this.#records = this.#records.filter((record) => record.stream !== stream);
  }

  async probe(): Promise<void> {
    this.#assertOpen();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#streams.clear();
    this.#catalogue = [];
    this.#records = [];
  }

  #open(stream: string, header: StreamHeader, time: number): MemoryStream {
    const entry: MemoryStream = { stream, header, openedAt: time, ordinal: ++this.#opened, records: [] };
    this.#streams.set(stream, entry);
    // Nearly always the newest; only a clock that went back (in a test, say) puts it further down.
    let at = this.#catalogue.length;
    while (at > 0 && this.#catalogue[at - 1]!.openedAt > time) at--;
    this.#catalogue.splice(at, 0, entry);
    return entry;
  }

  /** Index of the first record behind `position`, by bisection. */
  #firstAfter(position: number): number {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#records[middle]!.position > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #assertOpen(): void {
    if (this.#closed) throw journalClosed(NAME);
  }
}

function matches(entry: MemoryStream, query: StreamQuery): boolean {
  const { header } = entry;
  if (query.kind !== undefined && header.kind !== query.kind) return false;
  if (query.namespace !== undefined && header.namespace !== query.namespace) return false;
  if (query.id !== undefined && header.id !== query.id) return false;
  if (query.open !== undefined && (entry.closedAt === undefined) !== query.open) return false;
  if (query.openedFrom !== undefined && entry.openedAt < query.openedFrom) return false;
  if (query.openedBefore !== undefined && entry.openedAt >= query.openedBefore) return false;
  for (const [key, value] of Object.entries(query.annotations ?? {})) {
    if (!Object.hasOwn(header.annotations, key) || header.annotations[key] !== value) return false;
  }
  return true;
}

function info(entry: MemoryStream): StreamInfo {
  const { kind, id, namespace, annotations } = entry.header;
  const { stream, openedAt, closedAt } = entry;
  const shown = { stream, kind, id, namespace, annotations, lastSeq: entry.records.length, openedAt };
  return closedAt === undefined ? shown : { ...shown, closedAt };
}

/**
 * A journal in memory, empty. Nothing in it looks at the clock; `now` is taken so that every journal opens with the
 * same options.
 */
export function openMemoryJournal(_options?: { readonly now?: () => number }): Journal {
  return new MemoryJournal();
}
