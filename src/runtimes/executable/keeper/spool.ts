/**
 * What an agent printed, on disk, between the keeper who writes and the server who reads. A folder per attempt; in it
 * segments named by the place of their first byte in all that was ever written. S1: a segment is finished when the
 * next one, which begins where it ends, is there. S2: the reader removes what it has read and is kept elsewhere; the
 * writer removes the oldest for want of room. S3: a line never lies in two segments, and a place is always the end of a
 * line. S4: a segment begins with how much was printed before it, so that a reader who finds one gone knows what it missed.
 *
 * A record is a line: `o` or `e`, the time, a blank and the text; `d` and bytes that were given up; `t` and a total (S4).
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Ending } from '../../../domain/exit.ts';
import type { Handle } from '../../../ports/runtime.ts';

const SEGMENT = '.spool';
const HANDLE_FILE = 'handle.json';
const EXIT_FILE = 'exit.json';

/** How much of one agent is kept for a server that does not read. */
export interface SpoolLimits {
  /** Bytes of a segment. */
  readonly segment: number;
  /** Bytes in all. */
  readonly total: number;
}

export const DEFAULT_SPOOL_LIMITS: SpoolLimits = { segment: 1024 * 1024, total: 16 * 1024 * 1024 };

/** The folder's name of one thing: a hash, since agents' names may hold anything. */
export function spoolKey(handle: Handle): string {
  const mark = typeof handle['mark'] === 'string' ? handle['mark'] : '';
  return createHash('sha256').update(`${handle.id}\n${mark}`).digest('hex').slice(0, 32);
}

/** The segment that begins at a place. */
export function segmentName(start: number): string {
  return `${String(start).padStart(15, '0')}${SEGMENT}`;
}

/** Where the segments among these names begin, in order. */
export function segmentStarts(names: readonly string[]): number[] {
  return names
    .filter((name) => name.endsWith(SEGMENT))
    .map((name) => Number(name.slice(0, -SEGMENT.length)))
    .filter((start) => Number.isSafeInteger(start))
    .sort((a, b) => a - b);
}

/** One record of a spool. */
export interface SpoolRecord {
  readonly tag: string;
  /** Of a line its time, ms; of the others bytes. */
  readonly value: number;
  /** Where its text begins, and where the record ends, in the bytes it was found in. */
  readonly from: number;
  readonly end: number;
}

/** The records in these bytes, of which the last one is whole. */
export function* records(bytes: Buffer): Generator<SpoolRecord, void> {
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0x0a, start) + 1;
    const tag = String.fromCharCode(bytes[start]!);
    const isLine = tag === 'o' || tag === 'e';
    const from = isLine ? bytes.indexOf(0x20, start) + 1 : end;
    yield { tag, value: numberIn(bytes, start + 1, (isLine ? from : end) - 1), from, end };
    start = end;
  }
}

/** Digits as a number. Parsed here: under a flood, each line would cost a string. */
function numberIn(bytes: Buffer, from: number, end: number): number {
  let number = 0;
  for (let at = from; at < end; at += 1) number = number * 10 + (bytes[at]! - 0x30);
  return number;
}

/** How much was printed up to the end of a record, line ends included, when so much was printed before it. */
export function printedAfter(before: number, { tag, value, from, end }: SpoolRecord): number {
  if (tag === 't') return value;
  return before + (tag === 'd' ? value : end - from);
}

/** Writes the spool of one attempt. Never throws: what the disk does not take is dropped and counted. */
export class SpoolWriter {
  private readonly starts: number[];
  private start: number;
  private size: number;
  private file: number | undefined;
  private pending: string[] = [];
  private pendingBytes = 0;
  private lost = 0;
  /** All that was ever written, and what was given up before it could be. */
  private printed = 0;
  private pendingPrinted = 0;

  /** Goes on where an earlier keeper ended. */
  constructor(
    readonly folder: string,
    private readonly limits: SpoolLimits = DEFAULT_SPOOL_LIMITS,
    /** Whether the disk has room for what agents print. */
    private readonly hasRoom: () => boolean = () => true,
  ) {
    let size = 0;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      this.starts = segmentStarts(readdirSync(folder));
      const last = this.starts.at(-1);
      if (last !== undefined) {
        const bytes = wholeLines(join(folder, segmentName(last)));
        size = bytes.length;
        for (const record of records(bytes)) this.printed = printedAfter(this.printed, record);
      }
    } catch {
      this.starts = [];
    }
    if (this.starts.length === 0) this.starts.push(0);
    this.start = this.starts.at(-1)!;
    this.size = size;
  }

  /** `text` holds no line end. Written with the next `flush`. */
  line(io: 'out' | 'error', time: number, text: string): void {
    this.pendingPrinted += Buffer.byteLength(text) + 1;
    this.add(`${io === 'out' ? 'o' : 'e'}${Math.round(time)} ${text}\n`);
  }

  dropped(bytes: number): void {
    this.lost += bytes;
  }

  /** Lines that wait to be written, bytes. */
  get waiting(): number {
    return this.pendingBytes + (this.lost > 0 ? 1 : 0);
  }

  flush(): void {
    const { lost, pendingPrinted: printed } = this;
    const lines = this.pending.join('');
    if (lost === 0 && lines === '') return;
    this.pending = [];
    this.pendingBytes = 0;
    this.pendingPrinted = 0;
    const isWritten =
      this.hasRoom() && this.write(Buffer.from(lost > 0 ? `d${lost}\n${lines}` : lines, 'utf8'));
    this.lost = isWritten ? 0 : lost + printed;
    if (isWritten) this.printed += lost + printed;
    if (this.size >= this.limits.segment) this.roll();
  }

  close(): void {
    this.flush();
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }

  private add(record: string): void {
    this.pending.push(record);
    this.pendingBytes += record.length;
  }

  private write(bytes: Buffer): boolean {
    try {
      this.file ??= openSync(join(this.folder, segmentName(this.start)), 'a', 0o600);
      for (let done = 0; done < bytes.length;) done += writeSync(this.file, bytes, done);
      this.size += bytes.length;
      return true;
    } catch {
      try {
        if (this.file !== undefined) ftruncateSync(this.file, this.size);
      } catch {
        // The reader takes whole lines only; the next write that succeeds ends the torn one.
      }
      return false;
    }
  }

  private roll(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
    this.start += this.size;
    this.size = 0;
    this.starts.push(this.start);
    // There from the first moment, so that the reader sees that the one before is finished (S1, S4).
    this.write(Buffer.from(`t${this.printed}\n`));
    while (this.starts.length > 2 && this.start - this.starts[0]! > this.limits.total - this.limits.segment) {
      try {
        unlinkSync(join(this.folder, segmentName(this.starts.shift()!)));
      } catch {
        // The reader was here first (S2).
      }
    }
  }
}

/** A segment up to the end of its last whole line; what a killed keeper left after it is cut off. */
function wholeLines(path: string): Buffer {
  const bytes = readFileSync(path);
  const whole = bytes.lastIndexOf(0x0a) + 1;
  if (whole < bytes.length) {
    const file = openSync(path, 'r+');
    ftruncateSync(file, whole);
    closeSync(file);
  }
  return bytes.subarray(0, whole);
}

/** Notes in an attempt's folder what it is. */
export function writeHandle(folder: string, handle: Handle): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  replace(join(folder, HANDLE_FILE), handle);
}

/** Notes how it ended; its spool is complete before. */
export function writeExit(folder: string, ending: Ending): void {
  replace(join(folder, EXIT_FILE), ending);
}

/** What an attempt's folder is of; nothing when it does not say. */
export function readSpoolHandle(folder: string): Handle | undefined {
  return readJson(join(folder, HANDLE_FILE)) as Handle | undefined;
}

/** How it ended; nothing while it has not, or nobody noted it. */
export function readExit(folder: string): Ending | undefined {
  return readJson(join(folder, EXIT_FILE)) as Ending | undefined;
}

function replace(path: string, value: unknown): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
