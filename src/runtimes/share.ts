/**
 * A share of the event loop for work that never ends, such as what a flood of output makes. W1: one piece at a time,
 * in the order asked for. W2: after a piece as much time is left to others as keeps the work to its share.
 */

/** Time owed to others that is not worth a pause yet, ms. */
const SHORTEST = 4;

/** Hands out turns (W1, W2), and with them the one buffer that the work is done in. */
export class Share {
  private last: Promise<unknown> = Promise.resolve();
  private owedUntil = 0;
  private buffer: Buffer | undefined;

  /** `rest`: how much longer than a piece took the loop is left to others. `size`: bytes of the buffer. */
  constructor(
    private readonly rest: number,
    private readonly size: number,
  ) {}

  /** Does a piece of the work when it is its turn; the buffer is its own until then. Rejects as the piece does. */
  use<T>(piece: (buffer: Buffer) => Promise<T>): Promise<T> {
    const turn = this.last.then(() => this.turn(piece));
    this.last = turn.catch(() => undefined).then(() => this.pause());
    return turn;
  }

  private async turn<T>(piece: (buffer: Buffer) => Promise<T>): Promise<T> {
    const began = performance.now();
    try {
      return await piece((this.buffer ??= Buffer.allocUnsafeSlow(this.size)));
    } finally {
      const now = performance.now();
      this.owedUntil = Math.max(this.owedUntil, now) + (now - began) * this.rest;
    }
  }

  private async pause(): Promise<void> {
    const owed = this.owedUntil - performance.now();
    if (owed >= SHORTEST) await new Promise((resolve) => setTimeout(resolve, owed).unref());
  }
}
