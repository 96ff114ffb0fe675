/** Lines of several agents in the order in which they came. */
import type { OutputLine } from '../ports/output.ts';

/** Lines of one agent from some place on, in order, fetched in pieces. */
export interface LineSource {
  /** The next piece; empty at the end. */
  more(): Promise<readonly OutputLine[]>;
}

/** The first `limit` lines of all sources together, by number. */
export async function mergeFirst(sources: readonly LineSource[], limit: number): Promise<OutputLine[]> {
  const cursors = await Promise.all(
    sources.map(async (source) => ({ source, piece: await source.more(), at: 0 })),
  );
  const merged: OutputLine[] = [];
  while (merged.length < limit) {
    let first: (typeof cursors)[number] | undefined;
    for (const cursor of cursors) {
      const line = cursor.piece[cursor.at];
      if (line && (!first || line.number < first.piece[first.at]!.number)) first = cursor;
    }
    if (!first) break;
    merged.push(first.piece[first.at]!);
    first.at += 1;
    if (first.at < first.piece.length) continue;
    first.piece = await first.source.more();
    first.at = 0;
  }
  return merged;
}

/** The last `limit` of all lines, by number. */
export function mergeLast(pieces: readonly (readonly OutputLine[])[], limit: number): OutputLine[] {
  const all = pieces.flat().sort((a, b) => a.number - b.number);
  return all.slice(Math.max(0, all.length - limit));
}
