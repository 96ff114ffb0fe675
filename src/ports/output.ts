/**
 * What agents print, line by line, kept with the session until it is purged. Lines are numbered 1, 2, 3 … per
 * session in the order they arrived. Bounded: a line by bytes, an agent by rolling. Not part of the journal.
 */
import type { Place } from './runtime.ts';

/** A kept line. */
export interface OutputLine {
  readonly number: number;
  readonly time: number;
  readonly agent: string;
  readonly attempt: number;
  readonly io: 'out' | 'error';
  readonly text: string;
  /** Shown only to those who ask for sensitive lines. */
  readonly sensitive?: true;
}

/** A line as it comes. */
export interface NewLine extends Omit<OutputLine, 'number'> {
  /** The place after it, where it came from: kept with it, shown to nobody. */
  readonly at?: Place;
}

/** Keeps lines and hands them out. */
export interface OutputStore {
  /** Takes a line at once (memory first, disk soon after); never throws, never blocks the caller. */
  append(session: string, line: NewLine): void;
  /** The `at` of the newest kept line of that attempt of an agent; undefined when none has one. */
  place(session: string, agent: string, attempt: number): Promise<Place | undefined>;
  /** Counts bytes that were given up before they became a line (a runtime's `dropped`). */
  countDropped(session: string, bytes: number): void;
  /** Kept lines of a session with number > after, oldest first, at most `limit`; optionally of one agent. */
  read(session: string, after: number, limit: number, agent?: string): Promise<readonly OutputLine[]>;
  /** The newest `limit` lines, oldest first. */
  tail(session: string, limit: number, agent?: string): Promise<readonly OutputLine[]>;
  /** Calls `take` for every line appended from now on; returns what ends it. */
  follow(session: string, take: (line: OutputLine) => void): () => void;
  /** As `follow`, for the lines of all sessions. */
  followAll(take: (session: string, line: OutputLine) => void): () => void;
  /** Bytes of a session's output that were not kept (too long, rolled over, or too fast). */
  droppedBytes(session: string): Promise<number>;
  /** Everything of the session that was taken is on disk. */
  flush(session: string): Promise<void>;
  /** The session closed: files stay readable, nothing stays in memory. */
  release(session: string): Promise<void>;
  purge(session: string): Promise<void>;
  close(): Promise<void>;
}
