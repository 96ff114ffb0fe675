/** A thread that has grown very long. */
import { interleave, median, Peer, quantile, ratios, type Bench } from './harness.ts';
import type { Turns, TurnsRequest } from './peers/load.ts';
import type { OpenSession } from './peers/server.ts';

const LONG = 100_000;
const SHORT = 100;
const FULL = { rounds: 5, count: 200, long: LONG };
const QUICK = { rounds: 2, count: 150, long: LONG / 5 };
const BARS = { sends: 1.5, waits: 1.5, states: 10 } as const;
const TITLES = {
  sends: 'a message sent',
  waits: 'a wait that is answered at once',
  states: 'coral://state',
} as const;

/** The benchmark. */
export const threads: Bench = {
  name: 'threads',
  about:
    'Milliseconds that sending into a thread, waiting and reading coral://state take over MCP when the thread has 100,000 messages, of which the waiting agent was handed hardly any, against the same with 100 messages, on SQLite normal, each in a server of its own. One agent asks one thing at a time. What the messages take in memory is in the note. It does not measure how the thread came to be so long.',
  guarded: true,
  async run(report, effort) {
    const { rounds, count, long } = effort?.quick === true ? QUICK : FULL;
    const load = await Peer.start('load');
    const servers = await Promise.all([SHORT, long].map(() => Peer.start('server', ['--expose-gc'])));
    const [few, many] = servers as [Peer, Peer];
    try {
      const short = await threadOf(few, SHORT);
      const { bytes, ...grown } = await threadOf(many, long);
      const turns = (request: Omit<TurnsRequest, 'count'>) => (): Promise<Turns> =>
        load.ask<Turns>('turns', { ...request, count });
      const results = await interleave(rounds, { short: turns(short), grown: turns(grown) });
      const [of100, ofMany] = [results['short'] ?? [], results['grown'] ?? []];
      for (const step of ['sends', 'waits', 'states'] as const) {
        const ours = ofMany.map((round) => median(round[step]));
        const bare = of100.map((round) => median(round[step]));
        report({
          name: `${TITLES[step]}, ${long.toLocaleString('en')} messages`,
          value: median(ours),
          unit: 'ms',
          low: Math.min(...ours),
          high: Math.max(...ours),
          p99: quantile(
            ofMany.flatMap((round) => round[step]),
            0.99,
          ),
          baseline: median(bare),
          ratio: ratios(ours, bare),
          bar: { of: 'ratio', atMost: BARS[step] },
          ...(step === 'sends' && {
            note: `${Math.round(bytes / long)} bytes of memory for each message, beside its text`,
          }),
        });
      }
    } finally {
      await Promise.all([load, ...servers].map((peer) => peer.end()));
    }
  },
};

/** A session of three with so many messages in its thread, and the bytes that they take. */
async function threadOf(
  server: Peer,
  messages: number,
): Promise<Omit<TurnsRequest, 'count'> & { readonly bytes: number }> {
  await server.ask('start', { journal: 'normal' });
  const [session] = await server.ask<readonly OpenSession[]>('open', { sessions: 1, agents: 3 });
  const [sender, waiter, reader] = session?.agents ?? [];
  if (session === undefined || sender === undefined || waiter === undefined || reader === undefined)
    throw new Error('a session without three agents');
  const threadId = await server.ask<string>('thread', session);
  const before = await server.ask<{ heap: number }>('memory');
  await server.ask('fill', { session, threadId, count: messages });
  const after = await server.ask<{ heap: number }>('memory');
  return { sender, waiter, reader, threadId, bytes: after.heap - before.heap };
}
