/**
 * Which keepers and servers go together. A keeper outlives the server that started it, so a server of another version
 * finds it: a newer one after an upgrade, an older one after a step back.
 *
 * The version is that of everything both rely on: the lines on the socket (protocol.ts), and what lies in the keeper's
 * folder (spool.ts). It is raised when what was said or written before means something else, not when something is
 * added that the other may leave unread. What is never changed: the keeper's file, and that SIGTERM ends a keeper with
 * all its agents.
 */

/** What one side speaks. */
export interface Versions {
  readonly version: number;
  /** The oldest version that it understands as well. */
  readonly oldest: number;
}

/** What this program speaks, as a server and as a keeper. */
export const OURS: Versions = { version: 1, oldest: 1 };

/** Whether two sides can work together: the newer one decides. */
export function goTogether(one: Versions, other: Versions): boolean {
  return one.version >= other.oldest && other.version >= one.oldest;
}
