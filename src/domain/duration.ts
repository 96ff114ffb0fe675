/** Durations as people write them: `500ms`, `30s`, `5m`, `2h`, `1d`, or a number of milliseconds. */

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** For sentences: "must be …". */
export const DURATION_HELP = 'a duration such as 500ms, 30s, 5m or 2h, or a whole number of milliseconds';

/** Whole milliseconds, or undefined when `given` is no duration. Fractions are fine where they end in whole ms (`1.5s`). */
export function parseDuration(given: unknown): number | undefined {
  let ms: number;
  if (typeof given === 'number') ms = given;
  else if (typeof given === 'string') {
    const match = /^\s*(\d{1,15}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)?\s*$/.exec(given);
    if (match === null) return undefined;
    ms = Number(match[1]) * (UNITS[match[2] ?? 'ms'] ?? 1);
    // 1.1 s is 1100.0000000000002 ms in floating point: whole numbers are what was meant.
    if (Math.abs(ms - Math.round(ms)) < 1e-6) ms = Math.round(ms);
  } else return undefined;
  return Number.isSafeInteger(ms) && ms >= 0 ? ms : undefined;
}
