/** What a server that starts takes, one after the other, and gives back in the reverse order. */
import type { Log } from '../ports/log.ts';

interface Taken {
  readonly name: string;
  readonly release: () => Promise<void> | void;
}

/** A pile of things to be given back. */
export class Acquired {
  private readonly pile: Taken[] = [];

  /** Puts what was just acquired on top. `name`: as a sentence about it would call it. */
  add(name: string, release: Taken['release']): void {
    this.pile.push({ name, release });
  }

  /**
   * Last acquired, first released; what fails is told and takes nothing else with it. Never rejects; resolves with whether
   * nothing failed.
   */
  async release(log: Log): Promise<boolean> {
    let inOrder = true;
    for (let taken = this.pile.pop(); taken !== undefined; taken = this.pile.pop()) {
      try {
        await taken.release();
      } catch (error) {
        inOrder = false;
        log.error(`Could not close ${taken.name} in good order.`, { error });
      }
    }
    return inOrder;
  }
}
