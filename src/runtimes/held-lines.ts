/**
 * Lines that wait, first in, first out. They lie in buffers and not in the heap: lines that come by the hundred
 * thousand and go again would otherwise be what the garbage collector is busy with.
 */
import type { Line } from '../ports/runtime.ts';

/** Bytes of one block, unless a line is longer, and how many lines it takes. */
const BLOCK = 64 * 1024;
const LINES = 1_024;
/** What a line takes besides its bytes: so many of no length fill a block as well. */
const COST_OF_A_LINE = BLOCK / LINES;

/** Takes a line; `bytes` are valid only during the call. `time`: wall-clock ms. */
export type TakeLine = (io: Line['io'], bytes: Buffer, time: number) => void;

/** Lines that follow each other, taken out where they begin and put in where they end. */
class Block {
  private readonly ends = new Uint32Array(LINES);
  private readonly times = new Float64Array(LINES);
  private readonly isError = new Uint8Array(LINES);
  private taken = 0;
  private count = 0;

  constructor(private readonly bytes: Buffer) {}

  get isEmpty(): boolean {
    return this.taken === this.count;
  }

  get size(): number {
    return this.bytes.length;
  }

  /** Bytes of its first line. */
  get width(): number {
    return this.ends[this.taken]! - this.begin;
  }

  add(io: Line['io'], line: Buffer, time: number): boolean {
    const used = this.count === 0 ? 0 : this.ends[this.count - 1]!;
    if (this.count === LINES || used + line.length > this.bytes.length) return false;
    line.copy(this.bytes, used);
    this.ends[this.count] = used + line.length;
    this.times[this.count] = time;
    this.isError[this.count] = io === 'error' ? 1 : 0;
    this.count += 1;
    return true;
  }

  shift(take: TakeLine): void {
    const bytes = this.bytes.subarray(this.begin, this.ends[this.taken]);
    const at = this.taken++;
    take(this.isError[at] === 1 ? 'error' : 'out', bytes, this.times[at]!);
  }

  clear(): void {
    this.taken = this.count = 0;
  }

  private get begin(): number {
    return this.taken === 0 ? 0 : this.ends[this.taken - 1]!;
  }
}

/** A queue of lines. */
export class HeldLines {
  private readonly blocks: Block[] = [];
  /** The block that went last. */
  private spare: Block | undefined;
  private held = 0;

  get isEmpty(): boolean {
    return this.blocks.length === 0;
  }

  /** What all lines take, bytes: their own, and so many more for each. */
  get cost(): number {
    return this.held;
  }

  /** Bytes of the oldest line; 0 when there is none. */
  get width(): number {
    return this.blocks[0]?.width ?? 0;
  }

  add(io: Line['io'], line: Buffer, time: number): void {
    if (this.blocks.at(-1)?.add(io, line, time) !== true) {
      const block = this.room(line.length);
      block.add(io, line, time);
      this.blocks.push(block);
    }
    this.held += line.length + COST_OF_A_LINE;
  }

  /** Takes the oldest line out. There is one. */
  shift(take: TakeLine): void {
    const block = this.blocks[0]!;
    this.held -= block.width + COST_OF_A_LINE;
    block.shift(take);
    if (!block.isEmpty) return;
    this.blocks.shift();
    if (block.size === BLOCK) this.spare = block;
  }

  clear(): void {
    this.blocks.length = 0;
    this.spare = undefined;
    this.held = 0;
  }

  private room(width: number): Block {
    const { spare } = this;
    if (spare === undefined || width > BLOCK)
      return new Block(Buffer.allocUnsafeSlow(Math.max(BLOCK, width)));
    this.spare = undefined;
    spare.clear();
    return spare;
  }
}
