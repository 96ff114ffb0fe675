/**
 * The output store on files: a folder per session, two files per agent (agent-file.ts). O1: nothing is held in
 * memory for a session in which nothing happens, and no file is open between two calls. O2: `append` never waits and
 * never throws.
 */
import { join } from 'node:path';
import type { NewLine, OutputLine, OutputStore } from '../ports/output.ts';
import type { Place } from '../ports/runtime.ts';
import { Followers } from './followers.ts';
import { Blocks } from './pending.ts';
import { SessionOutput } from './session-output.ts';
import { isSessionName } from './session-name.ts';

/** Where output is kept, and how much of it. */
export interface FileOutputOptions {
  /** Absolute; made when the first line comes. */
  readonly folder: string;
  /** Kept of one agent, bytes on disk; the older half goes when both are full. Default 32 MiB. */
  readonly maxBytesPerAgent?: number;
  /** What may wait in memory in all, bytes. Default 64 MiB. */
  readonly maxWaitingBytes?: number;
  /** Pause between a line and its being written, ms. Default 100. */
  readonly flushAfter?: number;
  /** Asked before lines are written: false drops and counts them. Default: there is always room. */
  readonly hasRoom?: () => boolean;
  /** Hears once of each spell in which output cannot be written. */
  readonly onError?: (error: unknown) => void;
}

/** A session in which this long nothing happened is forgotten (its files stay), ms. */
const FORGET_AFTER = 10_000;
/** Waiting bytes of one session that are written at once. */
const WRITE_AT = 512 * 1024;
/** Sessions written at once. */
const WRITERS = 16;

/** An output store that outlives the server. Opening touches no file. */
export function openFileOutput(options: FileOutputOptions): OutputStore {
  return new FileOutput(options);
}

class FileOutput implements OutputStore {
  private readonly sessions = new Map<string, SessionOutput>();
  /** Sessions used since the last look. */
  private readonly used = new Set<string>();
  private readonly dirty = new Set<string>();
  private readonly followers = new Followers();
  private readonly blocks = new Blocks();
  private waiting = 0;
  private flushTimer: NodeJS.Timeout | undefined;
  private forgetTimer: NodeJS.Timeout | undefined;
  private isFailing = false;
  private isClosed = false;

  constructor(private readonly options: FileOutputOptions) {}

  append(session: string, line: NewLine): void {
    const output = this.writable(session);
    if (!output) return;
    output.append(line);
    if (output.waiting > WRITE_AT) void output.flush();
  }

  countDropped(session: string, bytes: number): void {
    this.writable(session)?.countDropped(bytes);
  }

  async read(session: string, after: number, limit: number, agent?: string): Promise<readonly OutputLine[]> {
    return limit > 0 ? ((await this.output(session)?.read(after, limit, agent)) ?? []) : [];
  }

  async tail(session: string, limit: number, agent?: string): Promise<readonly OutputLine[]> {
    return limit > 0 ? ((await this.output(session)?.tail(limit, agent)) ?? []) : [];
  }

  async place(session: string, agent: string, attempt: number): Promise<Place | undefined> {
    return this.output(session)?.place(agent, attempt);
  }

  follow(session: string, take: (line: OutputLine) => void): () => void {
    return this.followers.add(session, take);
  }

  followAll(take: (session: string, line: OutputLine) => void): () => void {
    return this.followers.addForAll(take);
  }

  async droppedBytes(session: string): Promise<number> {
    return (await this.output(session)?.droppedBytes()) ?? 0;
  }

  async flush(session: string): Promise<void> {
    await this.sessions.get(session)?.flush();
  }

  async release(session: string): Promise<void> {
    const output = this.sessions.get(session);
    if (!output) return;
    await output.flush();
    if (output.isIdle) this.sessions.delete(session);
  }

  async purge(session: string): Promise<void> {
    const output = this.output(session);
    await output?.purge();
    if (output?.isIdle) this.sessions.delete(session);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.flushTimer);
    clearInterval(this.forgetTimer);
    await this.flushAll([...this.sessions.keys()]);
    this.sessions.clear();
  }

  private writable(session: string): SessionOutput | undefined {
    const output = this.isClosed ? undefined : this.output(session);
    if (!output) return undefined;
    this.dirty.add(session);
    this.flushTimer ??= setTimeout(() => {
      this.flushTimer = undefined;
      const dirty = [...this.dirty];
      this.dirty.clear();
      void this.flushAll(dirty);
    }, this.options.flushAfter ?? 100);
    return output;
  }

  /** The session's output, looked at now or already known; nothing for a name that is no session's. */
  private output(session: string): SessionOutput | undefined {
    if (!isSessionName(session)) return undefined;
    this.used.add(session);
    let output = this.sessions.get(session);
    if (!output) {
      output = new SessionOutput(join(this.options.folder, session), {
        maxBytesPerAgent: this.options.maxBytesPerAgent ?? 32 * 1024 * 1024,
        blocks: this.blocks,
        reserve: (bytes) => {
          if (this.waiting + bytes > (this.options.maxWaitingBytes ?? 64 * 1024 * 1024)) return false;
          this.waiting += bytes;
          return true;
        },
        free: (bytes) => {
          this.waiting -= bytes;
        },
        hasRoom: () => this.options.hasRoom?.() ?? true,
        announce: (line) => this.followers.tell(session, line),
        wrote: () => {
          this.isFailing = false;
        },
        failed: (error) => {
          if (!this.isFailing) this.options.onError?.(error);
          this.isFailing = true;
        },
      });
      this.sessions.set(session, output);
      if (!this.isClosed) this.forgetTimer ??= setInterval(() => this.forgetIdle(), FORGET_AFTER).unref();
    }
    return output;
  }

  private async flushAll(sessions: readonly string[]): Promise<void> {
    const queue = sessions.values();
    const writer = async (): Promise<void> => {
      for (const session of queue) await this.sessions.get(session)?.flush();
    };
    await Promise.all(Array.from({ length: Math.min(WRITERS, sessions.length) }, writer));
  }

  private forgetIdle(): void {
    for (const [session, output] of this.sessions) {
      if (!this.used.has(session) && output.isIdle) this.sessions.delete(session);
    }
    this.used.clear();
    if (this.sessions.size > 0) return;
    clearInterval(this.forgetTimer);
    this.forgetTimer = undefined;
  }
}
