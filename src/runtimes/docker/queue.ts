/** So many at a time, the others in the order they came: an engine gains nothing from more at once. */

/** Places for work under way at once. */
export class Places {
  private taken = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly places: number) {}

  /** Does it in its turn. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const giveBack = await this.take();
    try {
      return await work();
    } finally {
      giveBack();
    }
  }

  /** Resolves with what gives the place back (once). `queued` is called when there is none for now; aborting rejects. */
  async take(signal?: AbortSignal, queued?: (before: number) => void): Promise<() => void> {
    if (this.taken < this.places) this.taken += 1;
    else {
      queued?.(this.waiting.length);
      await this.turn(signal);
    }
    let isGiven = false;
    return () => {
      if (isGiven) return;
      isGiven = true;
      const next = this.waiting.shift();
      if (next === undefined) this.taken -= 1;
      else next(); // the place goes over
    };
  }

  private turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const mine = (): void => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        const at = this.waiting.indexOf(mine);
        if (at >= 0) this.waiting.splice(at, 1);
        reject(new Error('given up'));
      };
      this.waiting.push(mine);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }
}
