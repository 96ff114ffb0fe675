/** From a message sent to the waiting agent woken. */
import { median, Peer, quantile, type Bench } from './harness.ts';
import type { Pair, Wakes } from './peers/load.ts';
import type { OpenSession } from './peers/server.ts';

const COUNT = 1_500;
const QUICK_COUNT = 300;
const SESSIONS = 100;
const PER_SECOND = 500;
const MS = 6_000;

/** The benchmark. */
export const wakes: Bench = {
  name: 'wakes',
  about:
    'Milliseconds from sending coral_send_message to the moment a parked coral_wait_for_message has its answer, on SQLite normal: alone, against a bare POST round trip on the same connection pattern; and at a steady 500 messages a second over 100 sessions, from the moment each was due. The parking of the wait is not measured.',
  guarded: true,
  async run(report, effort) {
    const count = effort?.quick === true ? QUICK_COUNT : COUNT;
    const [load, echo, server] = await Promise.all([
      Peer.start('load'),
      Peer.start('echo'),
      Peer.start('server'),
    ]);
    try {
      await server.ask('start', { journal: 'normal' });
      const echoPort = await echo.ask<number>('start', 600);
      const [pair, ...others] = await pairsOf(server, SESSIONS);
      // The first call warms up.
      await load.ask<Wakes>('wakes', { pair, echoPort, count: 300 });
      const alone = await load.ask<Wakes>('wakes', { pair, echoPort, count });
      const [p50, p99] = [median(alone.wakes), quantile(alone.wakes, 0.99)];
      const [bare50, bare99] = [median(alone.echoes), quantile(alone.echoes, 0.99)];
      const spread = `of ${count}, alone`;
      report({
        name: 'sent → woken, p50',
        value: p50,
        unit: 'ms',
        baseline: bare50,
        ratio: p50 / bare50,
        bar: { of: 'ratio', atMost: 4 },
        low: quantile(alone.wakes, 0.01),
        high: p99,
        note: spread,
      });
      report({
        name: 'sent → woken, p99',
        value: p99,
        unit: 'ms',
        baseline: bare99,
        ratio: p99 / bare99,
        bar: { of: 'ratio', atMost: 10, unsteady: true },
        note: spread,
      });

      if (effort?.quick === true) return;

      const pairs = pair === undefined ? others : [pair, ...others];
      const paced = await load.ask<readonly number[]>('pacedWakes', {
        pairs,
        messagesPerSecond: PER_SECOND,
        ms: MS,
      });
      report({
        name: `sent → woken at ${PER_SECOND}/s in ${SESSIONS} sessions`,
        value: median(paced),
        unit: 'ms',
        low: Math.min(...paced),
        high: quantile(paced, 1),
        p99: quantile(paced, 0.99),
        bar: { of: 'p99', atMost: 20 },
        note: `${paced.length} messages`,
      });
    } finally {
      await Promise.all([load, echo, server].map((peer) => peer.end()));
    }
  },
};

async function pairsOf(server: Peer, count: number): Promise<readonly Pair[]> {
  const sessions = await server.ask<readonly OpenSession[]>('open', { sessions: count, agents: 2 });
  const pairs: Pair[] = [];
  for (const session of sessions) {
    const threadId = await server.ask<string>('thread', session);
    const [sender, waiter] = session.agents;
    if (sender === undefined || waiter === undefined) throw new Error('a session without a pair');
    pairs.push({ sender, waiter, threadId });
  }
  return pairs;
}
