/**
 * What one agent of one session printed: two files, the current one and the one before it. When the current one has
 * its share of the bytes, it takes the place of the older, whose lines are gone. Nothing is open between two calls.
 * Calls of one session follow each other (session-output.ts sees to it).
 */
import { createHash } from 'node:crypto';
import { open, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { OutputLine } from '../ports/output.ts';
import type { Place } from '../ports/runtime.ts';
import { decodeHeader, decodeLine, encodeHeader, numberOf, placeIn, printedOf } from './line-code.ts';
import type { LineSource } from './merge.ts';
import type { PendingLines, Piece } from './pending.ts';

export const CURRENT = '.log';
export const OLDER = '.older.log';
/** Read at once, bytes. */
const BLOCK = 64 * 1024;
/** How far back a place is looked for, bytes: some lines, however long. */
const LOOKED_THROUGH = 512 * 1024;
const NEWLINE = 0x0a;

/** A name that any file system takes, from one that may hold anything: readable, and never two agents' the same. */
export function fileNameOf(agent: string): string {
  const readable = agent.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 48);
  return `${readable}-${createHash('sha256').update(agent).digest('hex').slice(0, 12)}`;
}

/** The agent whose lines a file holds; nothing when it does not say. */
export async function agentIn(path: string): Promise<string | undefined> {
  const header = await withFile(path, async (file) => (await readLine(file, 0))?.text);
  return header === undefined ? undefined : decodeHeader(header);
}

/** Appends to and reads the two files of one agent. */
export class AgentFile {
  private readonly current: string;
  private readonly older: string;
  /** Bytes in the current file; unknown at first and after a failure. */
  private size: number | undefined;
  /** What the agent printed of the lines in each, with their ends, bytes; unknown where an earlier life wrote it. */
  private printed: number | undefined;
  private olderPrinted: number | undefined;

  constructor(
    folder: string,
    readonly agent: string,
    private readonly maxBytes: number,
  ) {
    const base = join(folder, fileNameOf(agent));
    this.current = base + CURRENT;
    this.older = base + OLDER;
  }

  /**
   * Writes lines, and takes out of `lines` what is written; `rolledAway` hears what the agent printed of the lines that
   * go for them, bytes. Rejects as the file system does.
   */
  async append(lines: PendingLines, rolledAway: (printed: number) => void): Promise<void> {
    try {
      this.size ??= await this.prepare();
      while (!lines.isEmpty) {
        const piece = lines.first(this.maxBytes / 2 - this.size, this.size === 0 ? 1 : 0);
        if (piece.lines === 0) {
          rolledAway(await this.roll());
          continue;
        }
        await this.write(piece);
        lines.shift(piece);
      }
    } catch (error) {
      this.size = this.printed = undefined;
      throw error;
    }
  }

  /** The highest number in the files; 0 when there is none. */
  async lastNumber(): Promise<number> {
    const [last] = await this.last(1);
    return last?.number ?? 0;
  }

  /** The place the newest line of that attempt came from; nothing when none of the last lines says. */
  async place(attempt: number): Promise<Place | undefined> {
    for (const path of [this.current, this.older]) {
      const texts = await withFile(path, async (file) => {
        const { size } = await file.stat();
        const from = Math.max(0, size - LOOKED_THROUGH);
        return (await readBlock(file, from, size - from)).toString('utf8').split('\n');
      });
      for (const text of texts?.toReversed() ?? []) {
        const place = placeIn(text, attempt);
        if (place !== undefined) return place;
      }
    }
    return undefined;
  }

  /** The last lines, at most `limit`, in order. */
  async last(limit: number): Promise<readonly OutputLine[]> {
    const newest = await this.lastOf(this.current, limit);
    if (newest.length >= limit) return newest;
    return [...(await this.lastOf(this.older, limit - newest.length)), ...newest];
  }

  /** The lines with a number above `after`. */
  from(after: number): LineSource {
    const files = [this.older, this.current];
    let offset: number | undefined;
    const more = async (): Promise<readonly OutputLine[]> => {
      for (let path = files[0]; path !== undefined; path = files[0]) {
        const piece = await withFile(path, async (file) => {
          offset ??= await placeOf(file, after);
          return readLines(file, offset);
        });
        if (piece && piece.next > (offset ?? 0)) {
          offset = piece.next;
          const lines = piece.texts.flatMap((text) => {
            const line = decodeLine(text, this.agent);
            return line && line.number > after ? [line] : [];
          });
          if (lines.length > 0) return lines;
          continue;
        }
        files.shift();
        offset = undefined;
      }
      return [];
    };
    return { more };
  }

  /** Bytes of the current file. Sees to it that it begins with its header and ends with the end of a line. */
  private async prepare(): Promise<number> {
    const size = (await stat(this.current).catch(missing))?.size ?? 0;
    if (size === 0) return 0;
    if ((await agentIn(this.current)) === undefined) {
      // Its very first write was cut short: there is nothing in it.
      await rm(this.current, { force: true });
      return 0;
    }
    const last = await withFile(this.current, async (file) => (await readBlock(file, size - 1, 1))[0]);
    if (last === NEWLINE) return size;
    await appendTo(this.current, Buffer.from('\n'));
    return size + 1;
  }

  private async write({ bytes, printed }: Piece): Promise<void> {
    const header = this.size === 0 ? [Buffer.from(encodeHeader(this.agent))] : [];
    if (this.size === 0) this.printed = 0;
    await appendTo(this.current, ...header, bytes);
    this.size! += bytes.length + (header[0]?.length ?? 0);
    if (this.printed !== undefined) this.printed += printed;
  }

  /** The current file becomes the older one, in whose place it is moved; what the agent printed of the lines that go, bytes. */
  private async roll(): Promise<number> {
    const gone = this.olderPrinted ?? (await printedIn(this.older, this.agent));
    await rename(this.current, this.older);
    this.olderPrinted = this.printed;
    this.size = this.printed = 0;
    return gone;
  }

  private async lastOf(path: string, limit: number): Promise<readonly OutputLine[]> {
    const lines = await withFile(path, async (file) => {
      const { size } = await file.stat();
      for (let width = BLOCK; ; width *= 4) {
        const from = Math.max(0, size - width);
        const texts = (await readBlock(file, from, size - from)).toString('utf8').split('\n');
        // Unless it begins where the file does, the first is the end of a line.
        const whole = from === 0 ? texts : texts.slice(1);
        const decoded = whole.flatMap((text) => decodeLine(text, this.agent) ?? []);
        if (decoded.length >= limit || from === 0) return decoded.slice(Math.max(0, decoded.length - limit));
      }
    });
    return lines ?? [];
  }
}

/** Makes a file with these contents in place of another, at once or not at all. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** What an agent printed of the lines in a file, with their ends, bytes; 0 when there is no such file. */
async function printedIn(path: string, agent: string): Promise<number> {
  const printed = await withFile(path, async (file) => {
    let sum = 0;
    for (let from = 0; ;) {
      const { texts, next } = await readLines(file, from);
      if (next === from) return sum;
      for (const text of texts) sum += printedOf(decodeLine(text, agent)?.text);
      from = next;
    }
  });
  return printed ?? 0;
}

/** Makes the file (0600) if it is not there. Rejects as the file system does; some of it may be written then. */
async function appendTo(path: string, ...pieces: readonly Buffer[]): Promise<void> {
  const file = await open(path, 'a', 0o600);
  try {
    for (const bytes of pieces) {
      for (let done = 0; done < bytes.length;) {
        done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
      }
    }
  } finally {
    await file.close();
  }
}

/** Where a line begins before which no number is above `after`; close to the first one that is. */
async function placeOf(file: FileHandle, after: number): Promise<number> {
  let low = 0;
  let high = (await file.stat()).size;
  while (after > 0 && high - low > BLOCK) {
    const middle = Math.floor((low + high) / 2);
    const found = await nextNumbered(file, middle, high);
    if (!found || found.number > after) high = middle;
    else low = found.at;
  }
  return low;
}

/** The first line with a number that begins after `from` and before `until`. */
async function nextNumbered(
  file: FileHandle,
  from: number,
  until: number,
): Promise<{ at: number; number: number } | undefined> {
  let at = (await readLine(file, from))?.next; // the rest of the line in whose middle this is
  while (at !== undefined && at < until) {
    const line = await readLine(file, at);
    if (!line) return undefined;
    const number = numberOf(line.text);
    if (number !== undefined) return { at, number };
    at = line.next;
  }
  return undefined;
}

async function readLine(file: FileHandle, from: number): Promise<{ text: string; next: number } | undefined> {
  for (let width = 4 * 1024; ; width *= 4) {
    const block = await readBlock(file, from, width);
    const end = block.indexOf(NEWLINE);
    if (end >= 0) return { text: block.toString('utf8', 0, end), next: from + end + 1 };
    if (block.length < width) return undefined;
  }
}

/** Whole lines from a place on, about a block of them; `next` is that place when there is none. */
async function readLines(file: FileHandle, from: number): Promise<{ texts: string[]; next: number }> {
  for (let width = BLOCK; ; width *= 4) {
    const block = await readBlock(file, from, width);
    const end = block.lastIndexOf(NEWLINE);
    if (end >= 0) return { texts: block.toString('utf8', 0, end).split('\n'), next: from + end + 1 };
    if (block.length < width) return { texts: [], next: from };
  }
}

async function readBlock(file: FileHandle, from: number, width: number): Promise<Buffer> {
  const block = Buffer.allocUnsafe(width);
  let filled = 0;
  while (filled < width) {
    const { bytesRead } = await file.read(block, filled, width - filled, from + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return block.subarray(0, filled);
}

/** Nothing when there is no such file. */
async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T | undefined> {
  const file = await open(path, 'r').catch(missing);
  if (!file) return undefined;
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

function missing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
}
