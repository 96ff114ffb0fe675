/**
 * What of an agent's output gets through: as much as comes, up to a sustained rate with a generous burst. G1: what is
 * beyond waits its turn, so that lines stay in order. G2: what waits is bounded, and beyond that the oldest is given up:
 * the last lines say why something failed. G3: an agent never waits for a slow reader, since nobody could tell why it
 * hangs; whoever reads it does so at a bounded pace while something waits.
 */
import type { Line } from '../ports/runtime.ts';
import { HeldLines, type TakeLine } from './held-lines.ts';

/** How much gets through. */
export interface OutputLimits {
  /** Sustained, bytes per second. */
  readonly bytesPerSecond: number;
  /** What may come at once, bytes. */
  readonly burst: number;
  /** What may wait, bytes; a line counts 64 more than it has. */
  readonly held: number;
}

/** Where agents are read by the server itself. */
export const DEFAULT_OUTPUT_LIMITS: OutputLimits = {
  bytesPerSecond: 4 * 1024 * 1024,
  burst: 32 * 1024 * 1024,
  held: 2 * 1024 * 1024,
};

/** What a line costs besides its bytes: many short lines are as much work as few long ones. */
const COST_OF_A_LINE = 256;
/** Between two looks at what waits, ms. */
const LOOK_EVERY = 50;
/** Let through in one turn of the event loop, with what lines cost. */
const TURN = 512 * 1024;

/** A token bucket with a queue before it. */
export class OutputGate {
  private readonly waiting = new HeldLines();
  private tokens: number;
  private filledAt: number;
  private look: NodeJS.Timeout | undefined;

  /** `now` in ms. `giveUp`: lines that are not let through. */
  constructor(
    private readonly limits: OutputLimits,
    private readonly now: () => number,
    private readonly pass: TakeLine,
    private readonly giveUp: TakeLine,
  ) {
    this.tokens = limits.burst;
    this.filledAt = now();
  }

  /** Whether lines wait: there are more than the rate allows. */
  get isShut(): boolean {
    return !this.waiting.isEmpty;
  }

  /** Takes a line, whose bytes may change afterwards. */
  push(io: Line['io'], bytes: Buffer, time: number): void {
    if (this.waiting.isEmpty && this.pay(bytes.length)) return this.pass(io, bytes, time);
    this.waiting.add(io, bytes, time);
    while (this.waiting.cost > this.limits.held) this.waiting.shift(this.giveUp); // G2
    if (!this.waiting.isEmpty) this.look ??= setTimeout(() => this.lookAgain(), LOOK_EVERY).unref();
  }

  /** As `push`, for what can be had again while it was not let through: gives up what would have to wait. */
  pushOrGiveUp(io: Line['io'], bytes: Buffer, time: number): void {
    const take = this.waiting.isEmpty && this.pay(bytes.length) ? this.pass : this.giveUp;
    take(io, bytes, time);
  }

  /** Nothing more comes: lets everything through that waits, in turns of the event loop. */
  async finish(): Promise<void> {
    clearTimeout(this.look);
    while (!this.waiting.isEmpty) {
      for (let cost = 0; cost < TURN && !this.waiting.isEmpty; cost += COST_OF_A_LINE) {
        cost += this.waiting.width;
        this.waiting.shift(this.pass);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Forgets what waits. */
  clear(): void {
    clearTimeout(this.look);
    this.look = undefined;
    this.waiting.clear();
  }

  private lookAgain(): void {
    this.look = undefined;
    let cost = 0;
    while (cost < TURN && !this.waiting.isEmpty && this.pay(this.waiting.width)) {
      cost += this.waiting.width + COST_OF_A_LINE;
      this.waiting.shift(this.pass);
    }
    if (!this.waiting.isEmpty) this.look = setTimeout(() => this.lookAgain(), LOOK_EVERY).unref();
  }

  private pay(bytes: number): boolean {
    const cost = bytes + COST_OF_A_LINE;
    if (this.tokens < cost) {
      const now = this.now();
      const earned = ((now - this.filledAt) / 1_000) * this.limits.bytesPerSecond;
      this.tokens = Math.min(this.limits.burst, this.tokens + Math.max(0, earned));
      this.filledAt = now;
      if (this.tokens < cost) return false;
    }
    this.tokens -= cost;
    return true;
  }
}
