/** Sizes in bytes as people write them: `512MiB`, `1.5 GB`, `64k`, `{size: 1.5, unit: MiB}`, or a number of bytes. */

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12,
  kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, tib: 1024 ** 4,
  // What Docker's own options call k, m and g are powers of 1024.
  k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4,
}; // prettier-ignore

/** For sentences: "must be …". */
export const SIZE_HELP = 'a size such as 512MiB or 64kB, or a whole number of bytes';

/** Whole bytes (rounded up), or undefined when `given` is no size. */
export function parseSize(given: unknown): number | undefined {
  if (typeof given === 'number') return whole(given);
  if (typeof given === 'string') {
    const match = /^\s*(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]{1,3})?\s*$/i.exec(given);
    if (match === null) return undefined;
    const unit = UNITS[(match[2] ?? 'b').toLowerCase()];
    return unit === undefined ? undefined : whole(Number(match[1]) * unit);
  }
  if (typeof given === 'object' && given !== null && 'size' in given) {
    const { size, unit } = given as { size: unknown; unit?: unknown };
    const factor =
      unit === undefined ? 1 : typeof unit === 'string' ? UNITS[unit.trim().toLowerCase()] : undefined;
    return typeof size === 'number' && factor !== undefined ? whole(size * factor) : undefined;
  }
  return undefined;
}

function whole(bytes: number): number | undefined {
  const rounded = Math.ceil(Number(bytes.toPrecision(15)));
  return bytes >= 0 && Number.isSafeInteger(rounded) ? rounded : undefined;
}
