/** Who wants to hear of new lines, by session. */
import type { OutputLine } from '../ports/output.ts';

/** Tells each follower of a session every line, in order. */
export class Followers {
  private readonly everything = new Set<(session: string, line: OutputLine) => void>();
  private readonly takers = new Map<string, Set<(line: OutputLine) => void>>();

  add(session: string, take: (line: OutputLine) => void): () => void {
    // A function of its own for each call: the same one may follow twice.
    const taker = (line: OutputLine): void => take(line);
    const takers = this.takers.get(session) ?? new Set();
    this.takers.set(session, takers.add(taker));
    return () => {
      takers.delete(taker);
      if (takers.size === 0 && this.takers.get(session) === takers) this.takers.delete(session);
    };
  }

  /** Hears of every session. */
  addForAll(take: (session: string, line: OutputLine) => void): () => void {
    const taker = (session: string, line: OutputLine): void => take(session, line);
    this.everything.add(taker);
    return () => this.everything.delete(taker);
  }

  tell(session: string, line: OutputLine): void {
    for (const take of this.everything) take(session, line);
    for (const take of this.takers.get(session) ?? []) take(line);
  }
}
