/**
 * The clock of a process: the wall clock is read once, when it is made; from then on time is that anchor plus the
 * monotonic clock, so a jump of the machine's clock moves nothing while the process lives (docs/decisions/anchored-clock.md).
 */

/** Wall-clock ms, whole, never going back. */
export function anchoredClock(): () => number {
  const anchor = Date.now() - performance.now();
  return () => Math.floor(anchor + performance.now());
}
