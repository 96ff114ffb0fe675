/** Keeps lines in a map: enough for tests that look at sessions and follow what their agents print. */
import type { OutputLine, OutputStore } from '../../src/ports/output.ts';

export function openMemoryOutput(): OutputStore {
  const lines = new Map<string, OutputLine[]>();
  const followers = new Map<string, Set<(line: OutputLine) => void>>();
  const of = (session: string, agent?: string): OutputLine[] =>
    (lines.get(session) ?? []).filter((line) => agent === undefined || line.agent === agent);
  return {
    append(session, line) {
      const kept = lines.get(session) ?? [];
      lines.set(session, kept);
      const numbered = { ...line, number: kept.length + 1 };
      kept.push(numbered);
      for (const take of followers.get(session) ?? []) take(numbered);
    },
    countDropped() {},
    async read(session, after, limit, agent) {
      return of(session, agent)
        .filter((line) => line.number > after)
        .slice(0, limit);
    },
    async tail(session, limit, agent) {
      return limit === 0 ? [] : of(session, agent).slice(-limit);
    },
    follow(session, take) {
      const takers = followers.get(session) ?? new Set();
      followers.set(session, takers.add(take));
      return () => takers.delete(take);
    },
    async droppedBytes() {
      return 0;
    },
    async flush() {},
    async release() {},
    async purge() {},
    async close() {},
  };
}
