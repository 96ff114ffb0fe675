/**
 * Going on in the logs where the attached stream was cut, without loss or repeat. The attached stream has no
 * timestamps, so the first time the place is found by counting lines, or, when the log's beginning may have been
 * rotated away, by the last lines heard. From then on every line has a timestamp, and the next cut is mended by it.
 */
import type { Line } from '../../ports/runtime.ts';
import { LOG_FILE } from './spec.ts';

/** A log entry weighs this much more than its line, bytes. */
const ENTRY = 100;
const REMEMBERED = 64;

interface Heard {
  readonly io: Line['io'];
  readonly text: string;
}

/** What was heard of a container so far; bounded. */
export class LineMemory {
  /** Lines of each stream since the container started. */
  readonly counts: Record<Line['io'], number> = { out: 0, error: 0 };
  /** The newest timestamp that logs told, as they spell it, and how many entries bore it. */
  stamp: { text: string; entries: number } | undefined;
  private readonly last: Heard[] = [];
  private weight = 0;
  private heardAt = 0;

  add(io: Line['io'], line: Buffer, now: number): void {
    this.counts[io] += 1;
    this.weight += line.length + ENTRY;
    this.heardAt = now;
    this.last.push({ io, text: keyOf(line) });
    if (this.last.length > REMEMBERED) this.last.shift();
  }

  /** `since` for the next reading of logs: from the last timestamp, else from what may be the beginning. */
  since(): string | undefined {
    if (this.stamp !== undefined) return epochOf(this.stamp.text);
    return this.isWhole ? undefined : String(Math.max(0, Math.floor(this.heardAt / 1_000) - LOOK_BACK));
  }

  /** The log still begins with the container's first line. */
  get isWhole(): boolean {
    return this.weight < LOG_FILE * 0.8;
  }

  /** The last lines of one stream, newest last. */
  tail(io: Line['io']): readonly string[] {
    return this.last.filter((heard) => heard.io === io).map(({ text }) => text);
  }
}

/** How far before the last line heard the logs are searched, s. */
const LOOK_BACK = 30;

/** Reads the frames of a log with timestamps and hands on what was not heard before. */
export class CatchUp {
  private readonly skip: Record<Line['io'], number>;
  private skipStamped: number;
  private readonly stamp: string | undefined;
  private head: Buffer | undefined;

  constructor(
    private readonly memory: LineMemory,
    /** `whole`: the line ends with these bytes. */
    private readonly take: (io: Line['io'], bytes: Buffer, whole: boolean) => void,
    /** Lines to skip of each stream, when they were counted by somebody who saw the log. */
    skip: Record<Line['io'], number> = { ...memory.counts },
  ) {
    this.stamp = memory.stamp?.text;
    this.skipStamped = memory.stamp?.entries ?? 0;
    this.skip = this.stamp === undefined ? skip : { out: 0, error: 0 };
  }

  /** A piece of a frame; each entry of the log is one frame: its timestamp, a blank, and at most 16 KB of a line. */
  push(io: Line['io'], bytes: Buffer, last: boolean): void {
    // Entries are short, so they are joined before they are looked at.
    this.head = this.head === undefined ? Buffer.from(bytes) : Buffer.concat([this.head, bytes]);
    if (!last) return;
    const entry = this.head;
    this.head = undefined;
    this.entry(io, entry);
  }

  private entry(io: Line['io'], entry: Buffer): void {
    const blank = entry.indexOf(BLANK);
    const stamp = entry.subarray(0, Math.max(blank, 0)).toString('latin1');
    const whole = entry.at(-1) === NEWLINE;
    const text = entry.subarray(blank + 1, whole ? entry.length - 1 : entry.length);

    if (this.stamp !== undefined && stamp === this.stamp && this.skipStamped > 0) {
      this.skipStamped -= 1;
      return;
    }
    if (stamp === this.memory.stamp?.text) this.memory.stamp.entries += 1;
    else this.memory.stamp = { text: stamp, entries: 1 };

    if (this.skip[io] > 0) {
      if (whole) this.skip[io] -= 1;
      return;
    }
    this.take(io, text, whole);
  }
}

/**
 * How many lines of each stream at the beginning of a log were heard already: of all places where the last lines
 * heard stand, the longest match counts, and the later one of two equals.
 */
export function heardOf(
  memory: LineMemory,
  log: Readonly<Record<Line['io'], readonly string[]>>,
): Record<Line['io'], number> {
  const place = (io: Line['io']): number => {
    const tail = memory.tail(io);
    const lines = log[io];
    let best = 0;
    let longest = 0;
    for (let end = lines.length; end > 0; end -= 1) {
      let length = 0;
      while (length < tail.length && length < end && lines[end - 1 - length] === tail.at(-1 - length))
        length += 1;
      if (length > longest) [longest, best] = [length, end];
      if (longest === tail.length) break;
    }
    return best;
  };
  return { out: place('out'), error: place('error') };
}

/** What lines are compared by. */
export function keyOf(line: Buffer): string {
  return line.length <= 256
    ? line.toString('latin1')
    : `${line.length}:${line.subarray(0, 256).toString('latin1')}`;
}

/** A timestamp of logs as `since` wants it: seconds and nanoseconds. */
function epochOf(stamp: string): string {
  const match = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(stamp);
  if (match === null) return '0';
  const seconds = Math.floor(Date.parse(`${match[1]}${match[3]}`) / 1_000);
  return `${seconds}.${(match[2] ?? '').padEnd(9, '0').slice(0, 9)}`;
}

const BLANK = 0x20;
const NEWLINE = 0x0a;
