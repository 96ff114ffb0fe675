/**
 * Time, ids and randomness: the only place they come from (tests put a hand clock here). `now` is the wall clock as
 * it was when the process started plus monotonic time since, so that a jump of the machine's clock neither ends nor
 * reorders anything while the process lives.
 */
export interface Host {
  /** Wall-clock ms since 1970, never going back while the process lives. */
  now(): number;
  /** A fresh UUID (version 7: sorts by time). */
  uuid(): string;
  /** A fresh secret of at least 144 bits, URL-safe. */
  secret(): string;
  /** Between 0 (inclusive) and 1 (exclusive), for jitter. */
  random(): number;
  /** Calls `wake` once at `time` (as `now` counts) or as soon after as possible; returns what cancels it. */
  at(time: number, wake: () => void): () => void;
}
