/**
 * The append-only journal: every fact, in streams. One stream per session (`session/ID`), one per webhook
 * of a session (`outbox/ID/HOOK`) and one for all namespaces (`namespaces`). Within a stream `seq` counts 1, 2, 3 … without gap; `position` orders all records of
 * the journal as they were committed and may have gaps. One contract suite (test/contracts/journal.ts) runs on
 * every implementation.
 */
import type { JournalEvent } from '../domain/event.ts';

/** One fact with its envelope. */
export interface JournalRecord<E = JournalEvent> {
  readonly stream: string;
  readonly seq: number;
  readonly position: number;
  /** Wall-clock ms. */
  readonly time: number;
  readonly event: E;
}

/** What the catalogue knows of a stream, so that sessions can be listed without reading their events. */
export interface StreamHeader {
  readonly kind: 'session' | 'namespaces' | 'outbox';
  readonly id: string;
  readonly namespace: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Facts to be written together, or not at all. */
export interface Append {
  readonly stream: string;
  /** The stream's last seq as the caller knows it (0: new stream). Anything else there: the append is rejected. */
  readonly expectedSeq: number;
  readonly time: number;
  readonly events: readonly JournalEvent[];
  /** Required with the first append of a stream. */
  readonly header?: StreamHeader;
  /** The stream's story is over: it leaves the list of open streams. */
  readonly closes?: boolean;
}

/** One stream as the catalogue lists it. */
export interface StreamInfo extends StreamHeader {
  readonly stream: string;
  readonly lastSeq: number;
  /** Time of the first record. */
  readonly openedAt: number;
  /** Time of the record that closed it; absent while open. */
  readonly closedAt?: number;
}

/** Which streams to list. All given parts must hold. */
export interface StreamQuery {
  readonly kind?: StreamHeader['kind'];
  readonly namespace?: string;
  readonly id?: string;
  /** All pairs must match. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Bounds on `openedAt`, inclusive and exclusive, ms. */
  readonly openedFrom?: number;
  readonly openedBefore?: number;
  readonly open?: boolean;
  /** Opaque place to go on from, as a page returned it. */
  readonly cursor?: string;
  readonly limit: number;
}

/** One page of the catalogue. */
export interface StreamPage {
  /** Newest first. */
  readonly streams: readonly StreamInfo[];
  readonly next?: string;
}

/** Why the journal could not take an append; the message is a sentence that names the file. */
export class JournalError extends Error {
  /** With `damaged`: the seq of the record that is. */
  readonly seq: number | undefined;

  constructor(
    readonly code:
      | 'conflict' // the stream is not where the append expected it, or is still open and cannot be dropped
      | 'full' // no space left
      | 'unavailable' // read-only, locked by another program, I/O error
      | 'corrupt' // the file cannot be read
      | 'damaged' // a record of this stream is missing or not what was written; other streams are whole
      | 'newer_version'
      | 'closed' // this journal object was closed
      | 'bad_cursor', // a page was asked for with a cursor that no page returned: the caller's fault
    message: string,
    options?: { readonly cause?: unknown; readonly seq?: number },
  ) {
    super(message, options?.cause === undefined ? {} : { cause: options.cause });
    this.name = 'JournalError';
    this.seq = options?.seq;
  }
}

/** The journal. */
export interface Journal {
  /**
   * Resolves once the events are durable (as the sync mode defines it), with their records in order. Appends of
   * different streams made in one turn of the event loop share one commit; a rejected one takes no other with it.
   * Rejects with JournalError: nothing of this append is stored then.
   */
  append(append: Append): Promise<readonly JournalRecord[]>;
  /**
   * Records of one stream with seq > after, oldest first, at most `limit`; an unknown stream has none. Rejects with
   * `damaged` when one of them is missing or is not what was written.
   */
  read(stream: string, after: number, limit: number): Promise<readonly JournalRecord[]>;
  /** Records of the given event types over all streams with position > after, in order of position; damaged ones are left out. */
  readTypes(types: readonly string[], after: number, limit: number): Promise<readonly JournalRecord[]>;
  /** Position of the newest record; 0 when empty. */
  lastPosition(): Promise<number>;
  streams(query: StreamQuery): Promise<StreamPage>;
  /** Deletes a closed stream with all its records. */
  drop(stream: string): Promise<void>;
  /** Resolves when a write would succeed; rejects with JournalError otherwise. For readiness. */
  probe(): Promise<void>;
  close(): Promise<void>;
}
