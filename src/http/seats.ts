/** How many may follow at once, over sockets and event streams together. Source: docs/wire.md, "Limits". */
import { Refusal } from '../domain/refusal.ts';

/** What a server without configured limits takes. */
export const DEFAULT_SOCKETS = 10_000;

/** Returns what throws `limit_exceeded` while there are as many followers as there may be. `taken`: those there are now. */
export function seats(most: number, taken: () => number): () => void {
  return () => {
    if (taken() < most) return;
    throw new Refusal(
      'limit_exceeded',
      `${taken()} sockets and event streams are open, as many as this server takes (limits.sockets); close some, or try again later.`,
    );
  };
}
