/**
 * Going on in the logs where the attached stream was cut, without loss or repeat. The attached stream has no
 * timestamps, so the first time the place is found by counting lines, or, when the log's beginning may have been
 * rotated away, by the last lines heard. From then on every line has a timestamp, and the next cut is mended by it.
 */
import type { Line } from '../../ports/runtime.ts';
import { LOG_FILE } from './spec.ts';

/** A log entry weighs this much more than its line, bytes. */
const ENTRY = 100;
/** Last lines that are known, to find a place by. */
export const REMEMBERED = 64;

interface Heard {
  readonly io: Line['io'];
  readonly text: string;
}

/** A place in the logs: an entry by its timestamp, how many bear it up to there, and lines of each stream heard after it. */
export interface LogPlace {
  readonly stamp: { readonly text: string; readonly entries: number };
  readonly counts: Readonly<Record<Line['io'], number>>;
}

/** How far a container's output was heard; bounded. */
export class LineMemory {
  /** The newest entry of the logs up to which everything was heard, as its timestamp spells it, and how many bear it. */
  stamp: { readonly text: string; readonly entries: number } | undefined;
  /** Lines of each stream heard after that entry, or since the container started. */
  counts: Record<Line['io'], number> = { out: 0, error: 0 };
  /** What was heard was heard by an earlier life: since then the log may have been rotated. */
  isRecalled = false;
  private readonly last: Heard[] = [];
  private weight = 0;
  private heardAt = 0;

  add(io: Line['io'], line: Buffer, now: number): void {
    this.counts[io] += 1;
    this.weight += line.length + ENTRY;
    this.remember(io, line, now);
  }

  /** Everything up to a place in the logs was heard. */
  goTo({ stamp, counts }: LogPlace): void {
    this.stamp = stamp;
    this.counts = { ...counts };
  }

  /** The place after the last line, in one word or two: enough for a later life of the server to go on there. */
  get place(): string {
    const { counts, weight, stamp } = this;
    const counted = `${counts.out}/${counts.error}/${weight}`;
    return stamp === undefined ? counted : `${counted} ${stamp.entries}@${stamp.text}`;
  }

  /** Takes up where an earlier life stood: the `place` after the last line that is kept of it, and the last ones, oldest first. */
  recall(place: string, kept: readonly Pick<Line, 'io' | 'text' | 'time'>[]): void {
    const match = /^(\d+)\/(\d+)\/(\d+)(?: (\d+)@(.+))?$/.exec(place);
    if (match === null) return;
    this.isRecalled = true;
    const [, out, error, weight, entries, text] = match;
    this.counts = { out: Number(out), error: Number(error) };
    this.weight = Number(weight);
    if (text !== undefined) this.stamp = { text, entries: Number(entries) };
    for (const line of kept) this.remember(line.io, Buffer.from(line.text), line.time);
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

  private remember(io: Line['io'], line: Buffer, time: number): void {
    this.heardAt = time;
    this.last.push({ io, text: keyOf(line) });
    if (this.last.length > REMEMBERED) this.last.shift();
  }
}

/** How far before the last line heard the logs are searched, s. */
const LOOK_BACK = 30;

/**
 * Reads the frames of a log with timestamps and hands on what was not heard before. The memory's place moves on only
 * where no line is half read: a long line is several entries, and after another cut it has to come again as a whole.
 */
export class CatchUp {
  private readonly skip: Record<Line['io'], number>;
  private skipStamped: number;
  private readonly from: string | undefined;
  private newest: { text: string; entries: number };
  private readonly isHalf: Record<Line['io'], boolean> = { out: false, error: false };
  private head: Buffer | undefined;

  constructor(
    memory: LineMemory,
    /** `whole`: the line ends with these bytes. `time`: when they were said, wall-clock ms. */
    private readonly take: (io: Line['io'], bytes: Buffer, whole: boolean, time: number) => void,
    /** Lines to skip of each stream, when they were counted by somebody who saw the log. */
    skip: Record<Line['io'], number> = memory.counts,
    /** Everything up to an entry was taken; how its stamp gets into the memory. */
    private readonly placed = (place: LogPlace): void => memory.goTo(place),
  ) {
    this.skip = { ...skip };
    this.from = memory.stamp?.text;
    this.skipStamped = memory.stamp?.entries ?? 0;
    this.newest = memory.stamp ?? { text: '', entries: 0 };
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

    if (stamp === this.from && this.skipStamped > 0) {
      this.skipStamped -= 1;
      return;
    }
    const entries = stamp === this.newest.text ? this.newest.entries + 1 : 1;
    this.newest = { text: stamp, entries };
    this.isHalf[io] = !whole;
    if (this.skip[io] === 0) this.take(io, text, whole, Date.parse(stamp));
    else if (whole) this.skip[io] -= 1;
    if (this.isHalf.out || this.isHalf.error) return;
    this.placed({ stamp: this.newest, counts: { ...this.skip } });
  }
}

/** A line of a log: what it may be known by (`keyOf`), as it was said and as it was kept. */
export type LogLine = readonly string[];

/**
 * How many lines of each stream at the beginning of a log were heard already: up to where the longest piece of the last
 * lines heard stands. Where several do, the number counted decides, then the later one. None stands there when the
 * log's beginning, and they with it, was rotated away.
 */
export function heardOf(
  memory: LineMemory,
  log: Readonly<Record<Line['io'], readonly LogLine[]>>,
): Record<Line['io'], number> {
  const place = (io: Line['io']): number => {
    const tail = memory.tail(io);
    const lines = log[io];
    const counted = memory.counts[io];
    if (tail.length === 0) return memory.isWhole ? counted : 0;
    let best = 0;
    let longest = 0;
    for (let end = lines.length; end > 0; end -= 1) {
      let length = 0;
      while (length < tail.length && length < end && lines[end - 1 - length]?.includes(tail.at(-1 - length)!))
        length += 1;
      if (length > longest || (length > 0 && length === longest && end === counted))
        [longest, best] = [length, end];
      if (longest === tail.length && end <= counted) break;
    }
    return best;
  };
  return { out: place('out'), error: place('error') };
}

/** What lines are compared by: the text, as it is kept. */
export function keyOf(line: Buffer): string {
  const text = line.subarray(0, 512).toString('utf8');
  return `${Math.min(line.length, COMPARED)}:${text.slice(0, 256)}`;
}

/** Longer lines were cut when they were kept, bytes. */
const COMPARED = 32 * 1024;

/** A timestamp of logs as `since` wants it: seconds and nanoseconds. */
function epochOf(stamp: string): string {
  const match = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(stamp);
  if (match === null) return '0';
  const seconds = Math.floor(Date.parse(`${match[1]}${match[3]}`) / 1_000);
  return `${seconds}.${(match[2] ?? '').padEnd(9, '0').slice(0, 9)}`;
}

const BLANK = 0x20;
const NEWLINE = 0x0a;
