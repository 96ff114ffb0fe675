/** One event of a session to very many socket readers. */
import { interleave, median, Peer, quantile, ratios, type Bench } from './harness.ts';
import type { OpenSession } from './peers/server.ts';

const READERS = 1_000;
const EVENTS = 200;
const ROUNDS = 4;
const QUICK_ROUNDS = 2;
/** Events one at a time. */
const SINGLE = 200;
/** Stuck readers whose memory is measured, and events that wait for them: more than the system's own buffers hold. */
const STUCK = 20;
const BACKLOG = 30_000;

/** The benchmark. */
export const sockets: Bench = {
  name: 'sockets',
  about:
    'Events a second to 1,000 readers of a session’s event socket, each a message sent on SQLite normal, against a bare ws server that broadcasts frames of the same length, one a turn; and the same with a stuck reader among them; then one event at a time, until the last of the 1,000 has it; and what a stuck reader takes of the server’s memory (of 20, behind 30,000 events). All readers are one other process. It does not measure opening the sockets.',
  guarded: true,
  async run(report, effort) {
    const peers = await Promise.all(
      ['server', 'broadcast', 'readers', 'readers', 'readers'].map((name) =>
        Peer.start(name, name === 'server' ? ['--expose-gc'] : []),
      ),
    );
    const [server, bare, ours, beside, theirs] = peers as [Peer, Peer, Peer, Peer, Peer];
    try {
      const { port, key } = await server.ask<{ port: number; key: string }>('start', { journal: 'normal' });
      const barePort = await bare.ask<number>('start');
      const plain = await followed(server, ours, port, key, 0);
      const withStuck = await followed(server, beside, port, key, 1);
      await theirs.ask('open', { url: `ws://127.0.0.1:${barePort}`, count: READERS });

      const speak = async (session: Followed, readers: Peer): Promise<number> => {
        await readers.ask('reset');
        const began = performance.now();
        await server.ask('chat', { ...session, count: EVENTS });
        await readers.ask('until', EVENTS * READERS);
        return (EVENTS / (performance.now() - began)) * 1_000;
      };
      await speak(plain, ours);
      const bytes = await ours.ask<number>('until', 0);
      const results = await interleave(effort?.quick === true ? QUICK_ROUNDS : ROUNDS, {
        ours: () => speak(plain, ours),
        stuck: () => speak(withStuck, beside),
        bare: async () => {
          await theirs.ask('reset');
          const began = performance.now();
          await bare.ask('say', { count: EVENTS, bytes });
          await theirs.ask('until', EVENTS * READERS);
          return (EVENTS / (performance.now() - began)) * 1_000;
        },
      });
      const baseline = results['bare'] ?? [];
      for (const [name, title] of [
        ['ours', 'one event to 1,000 sockets'],
        ['stuck', 'the same, one reader stuck'],
      ] as const) {
        const values = results[name] ?? [];
        report({
          name: title,
          value: median(values),
          unit: 'events/s',
          low: Math.min(...values),
          high: Math.max(...values),
          baseline: median(baseline),
          ratio: ratios(values, baseline),
          bar: { of: 'ratio', atLeast: 0.7 },
          note: `frames of ${bytes} bytes`,
        });
      }
      if (effort?.quick === true) return;

      const once = async (say: () => Promise<unknown>, readers: Peer): Promise<number> => {
        await readers.ask('reset');
        const began = performance.now();
        await Promise.all([say(), readers.ask('until', READERS)]);
        return performance.now() - began;
      };
      const delays = await interleave(SINGLE, {
        ours: () => once(() => server.ask('chat', { ...plain, count: 1 }), ours),
        stuck: () => once(() => server.ask('chat', { ...withStuck, count: 1 }), beside),
        bare: () => once(() => bare.ask('say', { count: 1, bytes }), theirs),
      });
      const { ours: alone = [], stuck = [], bare: echoed = [] } = delays;
      report({
        name: 'one event until all 1,000 have it',
        value: median(alone),
        unit: 'ms',
        p99: quantile(alone, 0.99),
        baseline: median(echoed),
        ratio: ratios(alone, echoed),
      });
      report({
        name: 'the same, one reader stuck',
        value: median(stuck),
        unit: 'ms',
        p99: quantile(stuck, 0.99),
        baseline: median(alone),
        ratio: ratios(stuck, alone),
        bar: { of: 'ratio', atMost: 1.1, unsteady: true },
        note: 'baseline: without it',
      });

      const taken = async (stuckOnes: number): Promise<number> => {
        const session = await followed(server, theirs, port, key, stuckOnes, 1);
        const before = await server.ask<{ heap: number }>('memory');
        await theirs.ask('reset');
        const agents = [{ secret: session.secret }];
        await server.ask('fill', { session: { agents }, threadId: session.threadId, count: BACKLOG });
        await theirs.ask('until', BACKLOG);
        const after = await server.ask<{ heap: number }>('memory');
        return after.heap - before.heap;
      };
      await taken(0);
      const without = await taken(0);
      report({
        name: 'memory of a stuck reader',
        value: ((await taken(STUCK)) - without) / STUCK / (1024 * 1024),
        unit: 'MB',
        bar: { of: 'value', atMost: 1 },
      });
    } finally {
      await Promise.all(peers.map((peer) => peer.end()));
    }
  },
};

interface Followed {
  readonly secret: string;
  readonly threadId: string;
}

/** A session with a thread, followed by all the readers. */
async function followed(
  server: Peer,
  readers: Peer,
  port: number,
  key: string,
  stuck: number,
  count = READERS,
): Promise<Followed> {
  const [session] = await server.ask<readonly OpenSession[]>('open', { sessions: 1, agents: 2 });
  if (session === undefined) throw new Error('no session');
  const threadId = await server.ask<string>('thread', session);
  const url = `ws://127.0.0.1:${port}/ws/v1/events/${key}/session/${session.namespace}/${session.sessionId}`;
  await readers.ask('open', { url, count, stuck });
  return { secret: session.agents[0]?.secret ?? '', threadId };
}
