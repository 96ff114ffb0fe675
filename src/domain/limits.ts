/** How much of everything there may be. Source: docs/wire.md, "Limits". */

/** Every number is the most that is taken; the configuration sets them (`limits`). */
export interface Limits {
  /** Live sessions of the server. */
  readonly sessions: number;
  readonly agentsPerSession: number;
  /** Launches under way at once; the rest wait their turn. */
  readonly launchesAtOnce: number;
  /** Messages of one open thread. */
  readonly messagesPerThread: number;
  /** Bytes of UTF-8 of one message. */
  readonly messageSize: number;
  /** Open waits of one agent. */
  readonly waitsPerAgent: number;
}

/** What a server without configured limits takes. */
export const DEFAULT_LIMITS: Limits = {
  sessions: 20_000,
  agentsPerSession: 256,
  launchesAtOnce: 32,
  messagesPerThread: 1_000_000,
  messageSize: 1024 * 1024,
  waitsPerAgent: 64,
};
