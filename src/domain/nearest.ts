/** "Did you mean …?": the known word a mistyped one was probably meant to be. */

/** How many letters must be added, dropped, replaced or swapped with their neighbour to make `b` of `a`. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

const bare = (word: string): string => word.toLowerCase().replace(/[-_\s]/g, '');

/**
 * The candidate nearest to `word`, or undefined when none is near: at most a third of its letters (but two at least)
 * may differ. Case, dashes and underscores do not count.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const given = bare(word).slice(0, 64);
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(given.length / 3)) + 1;
  for (const candidate of candidates) {
    const known = bare(candidate);
    if (Math.abs(known.length - given.length) >= bestDistance) continue;
    const far = distance(given, known);
    if (far < bestDistance && far < Math.max(known.length, given.length)) {
      best = candidate;
      bestDistance = far;
    }
  }
  return best;
}

/** ` Did you mean \`x\`?`, or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const best = nearest(word, candidates);
  return best === undefined ? '' : ` Did you mean \`${best}\`?`;
}
