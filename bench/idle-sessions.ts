/** What ten thousand idle sessions cost, and whether the last costs what the first did. */
import { median, Peer, type Bench } from './harness.ts';
import type { OpenSession } from './peers/server.ts';

const SESSIONS = 10_000;
const STEP = 1_000;
const AGENTS = 3;
/** How long nothing happens while it is measured. */
const IDLE_MS = 5_000;
const KiB = 1024;
const MiB = 1024 * KiB;

/** The benchmark. */
export const idleSessions: Bench = {
  name: 'idle-sessions',
  about:
    'Memory of 10,000 open sessions of three scripted agents, each with one MCP session and no open socket, on SQLite normal, after a full garbage collection; the time to open the last thousand against the first; and the processor time that all of them take while nothing happens. It does not measure agents: those are processes of their own.',
  async run(report) {
    const load = await Peer.start('load');
    const server = await Peer.start('server', ['--expose-gc']);
    try {
      await server.ask('start', { journal: 'normal' });
      // What is made once (schemas, statements, code) is no session's.
      await openConnected(server, load, 50);
      const before = await server.ask<{ heap: number; resident: number }>('memory');
      const steps: number[] = [];
      let few = NaN;
      for (let opened = 0; opened < SESSIONS; opened += STEP) {
        const began = performance.now();
        const sessions = await server.ask<readonly OpenSession[]>('open', { sessions: STEP, agents: AGENTS });
        steps.push((performance.now() - began) / STEP);
        await load.ask(
          'connectAll',
          sessions.flatMap(({ agents }) => agents),
        );
        if (opened === 0) few = await idle(server);
      }
      const after = await server.ask<{ heap: number; resident: number }>('memory');
      const [first = NaN, last = NaN] = [steps[0], steps.at(-1)];
      report({
        name: `memory of an idle session (${AGENTS} agents)`,
        value: (after.heap - before.heap) / SESSIONS / KiB,
        unit: 'KiB',
        bar: { of: 'value', atMost: 40 },
        note: `heap after ${SESSIONS} sessions and ${SESSIONS * AGENTS} MCP sessions`,
      });
      report({
        name: 'resident memory in all',
        value: after.resident / MiB,
        unit: 'MiB',
        bar: { of: 'value', atMost: 550 },
        note: `${(before.resident / MiB).toFixed(0)} MiB before`,
      });
      report({
        name: 'opening a session, last thousand',
        value: last,
        unit: 'ms',
        baseline: first,
        ratio: last / first,
        bar: { of: 'ratio', atMost: 1.3 },
        low: Math.min(...steps),
        high: Math.max(...steps),
        note: `to the first thousand; median of all ${median(steps).toFixed(2)} ms, launches included`,
      });
      for (const [sessions, value] of [
        [STEP, few],
        [SESSIONS, await idle(server)],
      ] as const) {
        report({
          name: `idle cost of ${sessions.toLocaleString('en')} sessions`,
          value,
          unit: '% of a core',
          bar: { of: 'value', atMost: sessions / STEP },
          note: `over ${IDLE_MS / 1_000} s`,
        });
      }
    } finally {
      await Promise.all([load, server].map((peer) => peer.end()));
    }
  },
};

async function openConnected(server: Peer, load: Peer, sessions: number): Promise<void> {
  const opened = await server.ask<readonly OpenSession[]>('open', { sessions, agents: AGENTS });
  await load.ask(
    'connectAll',
    opened.flatMap(({ agents }) => agents),
  );
}

/** The share of a core that a server takes to which nobody says anything, %. */
async function idle(server: Peer): Promise<number> {
  // What came before leaves garbage: its collection is not idle time's.
  await server.ask('memory');
  const before = await server.ask<number>('cpu');
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const used = (await server.ask<number>('cpu')) - before;
  return (used / (performance.now() - began)) * 100;
}
