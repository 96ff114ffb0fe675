/**
 * Following the journal. A follower is a cursor: it keeps a short tail of what was just committed (the very records,
 * shared by all followers) and reads the journal whenever the tail does not reach back to its cursor. So it never
 * loses, never repeats, and a slow one costs no more than a quick one.
 */
import { sessionStream } from '../domain/event.ts';
import type { SessionKey } from '../domain/state.ts';
import type { Journal, JournalRecord } from '../ports/journal.ts';
import type { Feed } from './coral.ts';

/** Records a follower keeps before it falls back on reading the journal. */
const TAIL = 256;
/** Records read from the journal at once. */
const PAGE = 256;

/** The facts that start and end sessions and namespaces. */
export const MANAGER_EVENTS = [
  'session_opened',
  'session_executed',
  'session_ended',
  'session_closed',
  'namespace_created',
  'namespace_closed',
] as const;
const MANAGER_EVENT_SET: ReadonlySet<string> = new Set(MANAGER_EVENTS);

class Follower {
  private tail: JournalRecord[] = [];
  private wake: (() => void) | undefined;
  private news = false;
  ended = false;
  /** Nothing more will come: it ends with what is written. */
  finishing = false;

  push(records: readonly JournalRecord[]): void {
    for (const record of records) this.tail.push(record);
    if (this.tail.length > TAIL) this.tail = [];
    this.rouse();
  }

  rouse(): void {
    this.news = true;
    this.wake?.();
  }

  /** The tail, if it goes on right behind `seq`. */
  after(seq: number): readonly JournalRecord[] | undefined {
    const first = this.tail.find((record) => record.seq > seq);
    if (first?.seq !== seq + 1) return undefined;
    const records = this.tail.filter((record) => record.seq > seq);
    this.tail = [];
    return records;
  }

  /** Resolves when something was pushed since the last call, or at the end. */
  async next(): Promise<void> {
    if (!this.news && !this.ended) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = undefined;
    }
    this.news = false;
  }

  end(): void {
    this.ended = true;
    this.wake?.();
  }

  finish(): void {
    this.finishing = true;
    this.rouse();
  }
}

/** The one feed of the engine: the drain publishes to it, everybody follows it. */
export class LiveFeed implements Feed {
  private readonly followers = new Map<string, Set<Follower>>();
  private readonly managers = new Set<Follower>();

  constructor(
    private readonly journal: Journal,
    /** The last seq of a live session; throws `unknown_session`. */
    private readonly seqOf: (key: SessionKey) => number,
  ) {}

  /** How many readers follow now. */
  get size(): number {
    let size = this.managers.size;
    for (const set of this.followers.values()) size += set.size;
    return size;
  }

  /** Called from the drain with every commit. */
  publish(stream: string, records: readonly JournalRecord[]): void {
    const followers = this.followers.get(stream);
    if (followers !== undefined) for (const follower of followers) follower.push(records);
    if (this.managers.size > 0 && records.some((record) => MANAGER_EVENT_SET.has(record.event.type))) {
      for (const follower of this.managers) follower.rouse();
    }
  }

  session(key: SessionKey, after: number | undefined, signal: AbortSignal): AsyncIterable<JournalRecord> {
    const live = this.seqOf(key);
    return this.follow(sessionStream(key.sessionId), after ?? live, signal);
  }

  /** Any session's stream, live or closed, up to its `session_closed`. */
  follow(stream: string, after: number, signal: AbortSignal): AsyncIterable<JournalRecord> {
    // The subscription is in place before this returns: what is committed from now on is seen.
    const follower = new Follower();
    const set = this.followers.get(stream) ?? new Set();
    this.followers.set(stream, set.add(follower));
    const leave = (): void => {
      set.delete(follower);
      if (set.size === 0 && this.followers.get(stream) === set) this.followers.delete(stream);
    };
    return this.subscribe(follower, leave, signal, after, {
      read: async (seq) => follower.after(seq) ?? (await this.journal.read(stream, seq, PAGE)),
      cursorOf: (record) => record.seq,
      last: (record) => record.event.type === 'session_closed',
    });
  }

  manager(after: number | undefined, signal: AbortSignal): AsyncIterable<JournalRecord> {
    const follower = new Follower();
    this.managers.add(follower);
    const start = after ?? this.journal.lastPosition();
    return this.subscribe(follower, () => this.managers.delete(follower), signal, start, {
      read: (position) => this.journal.readTypes(MANAGER_EVENTS, position, PAGE),
      cursorOf: (record) => record.position,
      last: () => false,
    });
  }

  /** The server shuts down: every follower ends once it was given what is written. */
  close(): void {
    for (const set of this.followers.values()) for (const follower of set) follower.finish();
    for (const follower of this.managers) follower.finish();
  }

  private subscribe(
    follower: Follower,
    leave: () => void,
    signal: AbortSignal,
    start: number | Promise<number>,
    source: Source,
  ): AsyncIterable<JournalRecord> {
    // Also when nobody ever iterates: the end of the reader is the end of the subscription.
    const end = (): void => {
      signal.removeEventListener('abort', end);
      follower.end();
      leave();
    };
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    return walk(follower, start, source, end);
  }
}

interface Source {
  /** Records behind a cursor, oldest first; none when there are none yet. */
  read(cursor: number): Promise<readonly JournalRecord[]>;
  cursorOf(record: JournalRecord): number;
  /** Nothing comes after this record. */
  last(record: JournalRecord): boolean;
}

async function* walk(
  follower: Follower,
  start: number | Promise<number>,
  source: Source,
  end: () => void,
): AsyncGenerator<JournalRecord, void> {
  try {
    let cursor = await start;
    while (!follower.ended) {
      const records = await source.read(cursor);
      for (const record of records) {
        if (follower.ended) return;
        cursor = source.cursorOf(record);
        yield record;
        if (source.last(record)) return;
      }
      if (records.length > 0) continue;
      if (follower.finishing) return;
      await follower.next();
    }
  } finally {
    end();
  }
}
