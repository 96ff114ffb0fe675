/**
 * The newest lines of a log, bounded by number and bytes. Their texts lie in buffers and not in the heap: lines that
 * come by the hundred thousand and go again would otherwise be what the garbage collector is busy with. For the same
 * reason the oldest block becomes the newest.
 */

/** Bytes of one block, and how many lines it takes. */
const BLOCK = 128 * 1024;
const LINES = 1_024;

/** A line as it is kept. `S`: where it came from, shared by many lines. */
export interface KeptLine<S> {
  readonly source: S;
  /** Wall-clock ms. */
  readonly time: number;
  readonly text: string;
}

/** Lines that follow each other; the last line of one that is full is followed by the first of the next. */
class Block<S> {
  /** Number of its first line. */
  first = 0;
  private count = 0;
  private readonly sources: S[] = [];
  private readonly times = new Float64Array(LINES);
  private readonly ends = new Uint32Array(LINES);
  private used = 0;

  constructor(private readonly bytes: Buffer) {}

  /** Forgets what it holds. */
  begin(first: number): void {
    this.first = first;
    this.count = 0;
    this.used = 0;
  }

  get size(): number {
    return this.bytes.length;
  }

  get next(): number {
    return this.first + this.count;
  }

  hasRoom(width: number): boolean {
    return this.count < LINES && this.used + width <= this.bytes.length;
  }

  add(source: S, time: number, text: string): void {
    const at = this.count++;
    this.sources[at] = source;
    this.used += this.bytes.write(text, this.used, 'utf8');
    this.times[at] = time;
    this.ends[at] = this.used;
  }

  sourceOf(number: number): S {
    return this.sources[number - this.first]!;
  }

  line(number: number): KeptLine<S> {
    const at = number - this.first;
    const text = this.bytes.toString('utf8', at === 0 ? 0 : this.ends[at - 1], this.ends[at]);
    return { source: this.sourceOf(number), time: this.times[at]!, text };
  }
}

/** Keeps the newest lines; numbers count from 0 over the life of the ring. */
export class LogRing<S> {
  private readonly blocks: Block<S>[] = [];
  private bytes = 0;
  /** The block that went last. */
  private spare: Block<S> | undefined;

  /** At most `size` lines, and about `mostBytes` bytes. */
  constructor(
    private readonly size: number,
    private readonly mostBytes: number,
  ) {}

  /** Number of the line to come. */
  get next(): number {
    return this.blocks.at(-1)?.next ?? 0;
  }

  /** Number of the oldest line kept. */
  get first(): number {
    return Math.max(this.blocks[0]?.first ?? 0, this.next - this.size);
  }

  add(source: S, time: number, text: string): void {
    const width = Buffer.byteLength(text);
    let block = this.blocks.at(-1);
    if (block === undefined || !block.hasRoom(width)) {
      block = this.room(width);
      this.blocks.push(block);
      this.bytes += block.size;
    }
    block.add(source, time, text);
    const [oldest] = this.blocks;
    if (oldest === undefined || oldest === block) return;
    if (oldest.next > this.first && this.bytes <= this.mostBytes) return;
    this.blocks.shift();
    this.bytes -= oldest.size;
    if (oldest.size === BLOCK) this.spare = oldest;
  }

  /** Where a line came from, without its text; undefined when it is not kept. */
  sourceOf(number: number): S | undefined {
    return this.blockOf(number)?.sourceOf(number);
  }

  /** Undefined when it is not kept (any more). */
  at(number: number): KeptLine<S> | undefined {
    return this.blockOf(number)?.line(number);
  }

  /** An empty block for the lines to come, of which the first takes so many bytes. */
  private room(width: number): Block<S> {
    let block = width <= BLOCK ? this.spare : undefined;
    if (block === undefined) block = new Block(Buffer.allocUnsafeSlow(Math.max(BLOCK, width)));
    else this.spare = undefined;
    block.begin(this.next);
    return block;
  }

  private blockOf(number: number): Block<S> | undefined {
    if (number < this.first || number >= this.next) return undefined;
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.blocks[middle]!.first <= number) low = middle;
      else high = middle - 1;
    }
    return this.blocks[low];
  }
}
