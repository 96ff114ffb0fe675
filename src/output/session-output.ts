/**
 * The output of one session while something happens with it. S1: reading and writing files follow each other, so a
 * reader never meets a file that is being rolled. S2: a line has its number before anybody sees it; numbers go on
 * where the files end. S3: what waits to be written is bounded; beyond it the oldest is given up and counted.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NewLine, OutputLine } from '../ports/output.ts';
import type { Place } from '../ports/runtime.ts';
import { AgentFile, agentIn, CURRENT, OLDER, replaceFile } from './agent-file.ts';
import { cutText, EncodedLine, printedOf } from './line-code.ts';
import { mergeFirst, mergeLast } from './merge.ts';
import { PendingLines } from './pending.ts';
import type { Blocks } from './pending.ts';

/** What a session's output shares with the store's others. */
export interface SessionOutputContext {
  readonly maxBytesPerAgent: number;
  readonly blocks: Blocks;
  /** Whether the store has room for this many more bytes in memory; takes it when it has. */
  reserve(bytes: number): boolean;
  free(bytes: number): void;
  /** Whether the disk has room for lines. */
  hasRoom(): boolean;
  /** Tells followers of a new line. */
  announce(line: OutputLine): void;
  /** Lines could be written, or could not. */
  wrote(): void;
  failed(error: unknown): void;
}

/** What may wait to be written of one session, bytes. */
const MAX_WAITING = 8 * 1024 * 1024;
/** What a line costs in memory besides its text, bytes. */
const COST_OF_A_LINE = 256;
/** Given up of an agent's lines at once where there is no room, as they are written, bytes. */
const GIVEN_UP_AT_ONCE = 4 * 1024;
const DROPPED_FILE = 'dropped.json';

/** Takes, writes and reads the lines of one session (S1 to S3). */
export class SessionOutput {
  private next: number | undefined;
  private loading: Promise<void> | undefined;
  /** Lines that came before the files were looked at. */
  private unnumbered: NewLine[] = [];
  private unwritten = new Map<string, PendingLines>();
  private waitingBytes = 0;
  private readonly files = new Map<string, AgentFile>();
  private dropped = 0;
  private writtenDropped = 0;
  private queue: Promise<unknown> = Promise.resolve();
  private queued = 0;
  /** The flush that has not begun yet. */
  private coming: Promise<void> | undefined;

  constructor(
    private readonly folder: string,
    private readonly context: SessionOutputContext,
  ) {}

  append(line: NewLine): void {
    const { text, lost } = cutText(line.text);
    this.dropped += lost;
    const cost = printedOf(text) + COST_OF_A_LINE;
    while (this.waitingBytes + cost > MAX_WAITING || !this.context.reserve(cost)) {
      if (this.giveUpOldest(line.agent)) continue;
      this.dropped += printedOf(text);
      return;
    }
    this.waitingBytes += cost;
    const kept = lost > 0 ? { ...line, text } : line;
    if (this.next !== undefined) this.number(kept);
    else {
      this.unnumbered.push(kept);
      void this.load().catch(() => undefined); // the next flush or read tries again, and tells
    }
  }

  countDropped(bytes: number): void {
    this.dropped += bytes;
  }

  /** Bytes that wait to be written. */
  get waiting(): number {
    return this.waitingBytes;
  }

  get isDirty(): boolean {
    return this.waitingBytes > 0 || this.dropped !== this.writtenDropped;
  }

  get isIdle(): boolean {
    return this.queued === 0 && !this.isDirty;
  }

  /** Writes what waits; never rejects: what cannot be written is given up, counted and told. */
  flush(): Promise<void> {
    // One that waits for its turn writes for everybody: under a flood each line asks.
    this.coming ??= this.inTurn(async () => {
      this.coming = undefined;
      try {
        await this.load();
        await this.write();
      } catch (error) {
        this.giveUp();
        this.context.failed(error);
      }
    });
    return this.coming;
  }

  async read(after: number, limit: number, agent?: string): Promise<readonly OutputLine[]> {
    await this.flush();
    return this.inTurn(() =>
      mergeFirst(
        this.filesOf(agent).map((file) => file.from(after)),
        limit,
      ),
    );
  }

  async tail(limit: number, agent?: string): Promise<readonly OutputLine[]> {
    await this.flush();
    return this.inTurn(async () => {
      const pieces = await Promise.all(this.filesOf(agent).map((file) => file.last(limit)));
      return mergeLast(pieces, limit);
    });
  }

  async place(agent: string, attempt: number): Promise<Place | undefined> {
    await this.inTurn(() => this.load());
    await this.flush();
    return this.inTurn(async () => this.files.get(agent)?.place(attempt));
  }

  async droppedBytes(): Promise<number> {
    await this.inTurn(() => this.load());
    return this.dropped;
  }

  purge(): Promise<void> {
    return this.inTurn(async () => {
      await this.load().catch(() => undefined);
      this.giveUp();
      this.files.clear();
      this.dropped = 0;
      this.writtenDropped = 0;
      this.next = 1;
      await rm(this.folder, { recursive: true, force: true });
    });
  }

  private filesOf(agent: string | undefined): AgentFile[] {
    return [...this.files.values()].filter((file) => agent === undefined || file.agent === agent);
  }

  private number(given: NewLine): void {
    const { at, ...line } = given;
    const numbered: OutputLine = { number: this.next!, ...line };
    this.next! += 1;
    let lines = this.unwritten.get(line.agent);
    if (!lines) this.unwritten.set(line.agent, (lines = new PendingLines(this.context.blocks)));
    lines.add(new EncodedLine(numbered, at), printedOf(line.text));
    this.context.announce(numbered);
  }

  /** Looks once at what the files hold (S2). */
  private load(): Promise<void> {
    this.loading ??= this.look().catch((error: unknown) => {
      this.loading = undefined;
      throw error;
    });
    return this.loading;
  }

  private async look(): Promise<void> {
    const names = await readdir(this.folder).catch(noneIfMissing);
    // An agent has one or two files; one is enough to know it.
    for (const name of names.filter((one) => one.endsWith(CURRENT) || one.endsWith(OLDER))) {
      const agent = await agentIn(join(this.folder, name));
      if (agent !== undefined && !this.files.has(agent)) this.files.set(agent, this.fileOf(agent));
    }
    const numbers = await Promise.all([...this.files.values()].map((file) => file.lastNumber()));
    const last = Math.max(0, ...numbers);
    if (names.includes(DROPPED_FILE)) {
      const before = await readDropped(join(this.folder, DROPPED_FILE));
      this.dropped += before;
      this.writtenDropped = before;
    }
    this.next = last + 1;
    const waiting = this.unnumbered;
    this.unnumbered = [];
    for (const line of waiting) this.number(line);
  }

  private fileOf(agent: string): AgentFile {
    return new AgentFile(this.folder, agent, this.context.maxBytesPerAgent);
  }

  private async write(): Promise<void> {
    while (this.unwritten.size > 0) {
      const batch = this.unwritten;
      const bytes = this.waitingBytes;
      this.unwritten = new Map();
      try {
        if (!this.context.hasRoom())
          throw new Error(
            'What is left of the disk is kept for the journal: free some space there and it goes on by itself.',
          );
        await mkdir(this.folder, { recursive: true, mode: 0o700 });
        for (const [agent, lines] of batch) {
          let file = this.files.get(agent);
          if (!file) this.files.set(agent, (file = this.fileOf(agent)));
          await file.append(lines, (printed) => (this.dropped += printed));
        }
      } catch (error) {
        for (const lines of batch.values()) this.dropped += lines.clear();
        throw error;
      } finally {
        this.release(bytes);
      }
      this.context.wrote();
    }
    if (this.dropped === this.writtenDropped) return;
    const dropped = this.dropped;
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await replaceFile(join(this.folder, DROPPED_FILE), `${JSON.stringify({ bytes: dropped })}\n`);
    this.writtenDropped = dropped;
  }

  /** Some of an agent's lines that wait longest; false when none does but those that are being written (S3). */
  private giveUpOldest(agent: string): boolean {
    const early = this.unnumbered.shift();
    if (early !== undefined) {
      this.dropped += printedOf(early.text);
      this.release(printedOf(early.text) + COST_OF_A_LINE);
      return true;
    }
    const lines = this.unwritten.get(agent);
    const piece = lines?.first(GIVEN_UP_AT_ONCE, 1);
    if (piece === undefined || piece.lines === 0) return false;
    lines?.shift(piece);
    this.dropped += piece.printed;
    this.release(piece.printed + piece.lines * COST_OF_A_LINE);
    return true;
  }

  private giveUp(): void {
    for (const lines of this.unwritten.values()) this.dropped += lines.clear();
    for (const line of this.unnumbered) this.dropped += printedOf(line.text);
    this.unwritten.clear();
    this.unnumbered = [];
    this.release(this.waitingBytes);
    // Not tried again until something else is to be written: a full disk would keep the server busy for nothing.
    this.writtenDropped = this.dropped;
  }

  private release(bytes: number): void {
    this.waitingBytes -= bytes;
    this.context.free(bytes);
  }

  private inTurn<T>(act: () => Promise<T>): Promise<T> {
    this.queued += 1;
    const done = this.queue.then(act).finally(() => (this.queued -= 1));
    this.queue = done.catch(() => undefined);
    return done;
  }
}

/** Anything else than a missing folder is trouble: numbers must not begin anew because a folder was not readable once. */
function noneIfMissing(error: unknown): string[] {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return [];
  throw error;
}

async function readDropped(path: string): Promise<number> {
  try {
    const { bytes } = JSON.parse(await readFile(path, 'utf8')) as { bytes?: unknown };
    return typeof bytes === 'number' && Number.isFinite(bytes) ? bytes : 0;
  } catch {
    return 0;
  }
}
