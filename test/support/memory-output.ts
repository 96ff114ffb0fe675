/** Keeps lines in a map: enough for tests that only look at sessions. */
import type { OutputLine, OutputStore } from '../../src/ports/output.ts';
export function openMemoryOutput(): OutputStore {
  const lines = new Map<string, OutputLine[]>();
  return {
    append(session, line) {
      const l = lines.get(session) ?? [];
      lines.set(session, l);
      l.push({ ...line, number: l.length + 1 });
    },
    countDropped() {},
    async read(s, after, limit) {
      return (lines.get(s) ?? []).filter((l) => l.number > after).slice(0, limit);
    },
    async tail(s, limit) {
      return (lines.get(s) ?? []).slice(-limit);
    },
    follow() {
      return () => {};
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
