/** Opening and closing sessions over HTTP. */
import { interleave, median, Peer, ratios, type Bench } from './harness.ts';
import { sessionOf } from './requests.ts';

const FULL = { rounds: 5, ms: 1_500, warmUp: 8_000 };
const QUICK = { rounds: 3, ms: 1_000, warmUp: 2_000 };
const CONNECTIONS = 4;

/** The benchmark. */
export const sessions: Bench = {
  name: 'sessions',
  about:
    'Sessions of three scripted agents opened and closed again a second over REST on SQLite normal, from 4 connections, against a bare Fastify route that validates the same body with zod. Each is two requests and seventeen facts, launches and stops included. The server has opened and closed sessions for some seconds before: code that runs seldom is still slow. It does not measure agents that are processes, nor sessions that talk.',
  async run(report, effort) {
    const { rounds, ms, warmUp } = effort?.quick === true ? QUICK : FULL;
    const [load, server, bare] = await Promise.all([
      Peer.start('load'),
      Peer.start('server'),
      Peer.start('fastify'),
    ]);
    try {
      const { port, key } = await server.ask<{ port: number; key: string }>('start', { journal: 'normal' });
      const barePort = await bare.ask<number>('start');
      const body = sessionOf(3);
      const asked = { body, ms, connections: CONNECTIONS };
      const ours = { ...asked, port, key, close: true };
      await load.ask<number>('sessions', { ...ours, ms: warmUp });
      const results = await interleave(rounds, {
        ours: () => load.ask<number>('sessions', ours),
        bare: () => load.ask<number>('sessions', { ...asked, port: barePort, key: 'none', close: false }),
      });
      const opened = results['ours'] ?? [];
      const fastify = results['bare'] ?? [];
      report({
        name: 'session opened and closed',
        value: median(opened),
        unit: 'sessions/s',
        low: Math.min(...opened),
        high: Math.max(...opened),
        baseline: median(fastify),
        ratio: ratios(opened, fastify),
        bar: { of: 'ratio', atLeast: 0.12 },
      });
    } finally {
      await Promise.all([load, server, bare].map((peer) => peer.end()));
    }
  },
};
