/**
 * What of an agent's output gets through: as much as comes, up to a sustained rate with a generous burst. Beyond it
 * its pipe is read at a bounded pace, and whole lines are given up and counted. An agent never waits for a slow reader:
 * nobody could tell why it hangs.
 */
export interface OutputLimits {
  /** Sustained, bytes per second. */
  readonly bytesPerSecond: number;
  /** What may come at once, bytes. */
  readonly burst: number;
  /** Nothing is given up: who takes the lines bounds them, and keeps the newest. */
  readonly keepsAll?: boolean;
}

export const DEFAULT_OUTPUT_LIMITS: OutputLimits = {
  bytesPerSecond: 4 * 1024 * 1024,
  burst: 32 * 1024 * 1024,
};

/** What a line costs besides its bytes: many short lines are as much work as few long ones. */
const COST_OF_A_LINE = 256;

/** A token bucket. `now` in ms. */
export class OutputGate {
  private tokens: number;
  private filledAt: number;
  private shut = false;

  constructor(
    private readonly limits: OutputLimits,
    private readonly now: () => number,
  ) {
    this.tokens = limits.burst;
    this.filledAt = now();
  }

  /** Whether the last line was beyond the rate. */
  get isShut(): boolean {
    return this.shut;
  }

  passes(bytes: number): boolean {
    this.shut = !this.take(bytes);
    return !this.shut || this.limits.keepsAll === true;
  }

  private take(bytes: number): boolean {
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
