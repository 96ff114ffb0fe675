/** Launches of all sessions take turns: so many at once, the rest in the order in which they came. */

/** A place in the queue, or a launch under way. */
export interface Turn {
  /** Gives the place to the next one; call it once the launch is over, however it went. */
  done(): void;
}

interface Waiting {
  readonly name: string;
  begin(): void;
}

/** One for the whole server. */
export class LaunchQueue {
  private underWay = 0;
  private readonly waiting: Waiting[] = [];

  constructor(private readonly atOnce: number) {}

  /** Resolves when it is this one's turn, or with undefined when `signal` aborts first. `name` is for `placeOf`. */
  turn(name: string, signal: AbortSignal): Promise<Turn | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    if (this.underWay < this.atOnce) return Promise.resolve(this.begin());
    return new Promise((resolve) => {
      const giveUp = (): void => {
        this.waiting.splice(this.waiting.indexOf(waiting), 1);
        resolve(undefined);
      };
      const waiting = {
        name,
        begin: () => {
          signal.removeEventListener('abort', giveUp);
          resolve(this.begin());
        },
      };
      signal.addEventListener('abort', giveUp, { once: true });
      this.waiting.push(waiting);
    });
  }

  /** A sentence about a place in the queue; undefined for who is not in it. */
  placeOf(name: string): string | undefined {
    const index = this.waiting.findIndex((waiting) => waiting.name === name);
    if (index === -1) return undefined;
    return `It is number ${index + 1} of ${this.waiting.length} that wait for their launch; ${this.atOnce} are launched at once (limits.launchesAtOnce).`;
  }

  private begin(): Turn {
    this.underWay += 1;
    let over = false;
    return {
      done: () => {
        if (over) return;
        over = true;
        this.underWay -= 1;
        this.waiting.shift()?.begin();
      },
    };
  }
}
