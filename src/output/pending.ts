/**
 * Lines on their way to a file. They lie as they are written in buffers that are used again: under a flood, strings
 * that wait would outlive the collections of young garbage, and the process would never give that memory back.
 */
import type { EncodedLine } from './line-code.ts';

/** What a block takes at most: one of a quiet agent, and one of an agent that prints much. */
const SMALL = { bytes: 4 * 1024, lines: 64 };
const LARGE = { bytes: 128 * 1024, lines: 2 * 1024 };
/** Large blocks kept for the next lines, in all. */
const KEPT = 8;

/** Whole lines of a block. */
export interface Piece {
  readonly bytes: Buffer;
  readonly lines: number;
  /** What the agent printed of them, with their ends. Bytes. */
  readonly printed: number;
}

/** Lines that follow each other: the first `taken` of them are written already. */
class Block {
  readonly ends: Uint32Array;
  readonly printed: Uint32Array;
  readonly bytes: Buffer;
  lines = 0;
  taken = 0;

  constructor(bytes: number, lines: number) {
    this.bytes = Buffer.allocUnsafeSlow(bytes);
    this.ends = new Uint32Array(lines);
    this.printed = new Uint32Array(lines);
  }

  get used(): number {
    return this.lines === 0 ? 0 : this.ends[this.lines - 1]!;
  }

  get begin(): number {
    return this.taken === 0 ? 0 : this.ends[this.taken - 1]!;
  }

  add(line: EncodedLine, printed: number): boolean {
    const { used, lines } = this;
    if (lines === this.ends.length || used + line.atMost > this.bytes.length) return false;
    this.ends[lines] = line.write(this.bytes, used);
    this.printed[lines] = printed;
    this.lines += 1;
    return true;
  }
}

/** Where blocks come from and go to, shared by all agents. */
export class Blocks {
  private readonly spare: Block[] = [];

  /** A block that has room for a line. */
  take({ atMost }: EncodedLine, isFirst: boolean): Block {
    if (isFirst && atMost <= SMALL.bytes) return new Block(SMALL.bytes, SMALL.lines);
    if (atMost > LARGE.bytes) return new Block(atMost, 1);
    return this.spare.pop() ?? new Block(LARGE.bytes, LARGE.lines);
  }

  give(block: Block): void {
    if (block.bytes.length !== LARGE.bytes || this.spare.length >= KEPT) return;
    block.lines = block.taken = 0;
    this.spare.push(block);
  }
}

/** The lines of one agent that are not written yet, oldest first. */
export class PendingLines {
  private readonly queue: Block[] = [];

  constructor(private readonly blocks: Blocks) {}

  /** `printed`: bytes that the agent printed of it, with its end. */
  add(line: EncodedLine, printed: number): void {
    if (this.queue.at(-1)?.add(line, printed) === true) return;
    const block = this.blocks.take(line, this.queue.length === 0);
    block.add(line, printed);
    this.queue.push(block);
  }

  get isEmpty(): boolean {
    return this.queue.length === 0;
  }

  /** The oldest lines: as many whole ones as lie together and take at most so many bytes; of `atLeast` one even if it is longer. */
  first(room: number, atLeast: 0 | 1): Piece {
    const [block] = this.queue;
    if (block === undefined) return { bytes: Buffer.alloc(0), lines: 0, printed: 0 };
    const { taken, begin } = block;
    let lines = 0;
    let printed = 0;
    while (taken + lines < block.lines && (lines < atLeast || block.ends[taken + lines]! - begin <= room)) {
      printed += block.printed[taken + lines]!;
      lines += 1;
    }
    const end = lines === 0 ? begin : block.ends[taken + lines - 1];
    return { bytes: block.bytes.subarray(begin, end), lines, printed };
  }

  /** They are written: takes them out. */
  shift({ lines }: Piece): void {
    const block = this.queue[0]!;
    block.taken += lines;
    if (block.taken < block.lines) return;
    this.queue.shift();
    this.blocks.give(block);
  }

  /** Gives all up; what the agent printed of them, bytes. */
  clear(): number {
    let printed = 0;
    while (!this.isEmpty) {
      const piece = this.first(Infinity, 0);
      printed += piece.printed;
      this.shift(piece);
    }
    return printed;
  }
}
