/** Opening and closing sessions over HTTP. */
import { interleave, median, Peer, ratios, type Bench } from './harness.ts';
import { sessionOf } from './requests.ts';

const ROUNDS = 5;
const MS = 1_500;
const CONNECTIONS = 4;

/** The benchmark. */
export const sessions: Bench = {
  name: 'sessions',
  about:
    'Sessions of three scripted agents opened and closed again a second over REST on SQLite normal, from 4 connections, against a bare Fastify route that validates the same body with zod. Each is two requests and a dozen facts, launches and stops included.',
  async run(report) {
    const [load, server, bare] = await Promise.all([
      Peer.start('load'),
      Peer.start('server'),
      Peer.start('fastify'),
    ]);
    try {
      const { port, key } = await server.ask<{ port: number; key: string }>('start', { journal: 'normal' });
      const barePort = await bare.ask<number>('start');
      const body = sessionOf(3);
      const asked = { body, ms: MS, connections: CONNECTIONS };
      const results = await interleave(ROUNDS, {
        ours: () => load.ask<number>('sessions', { ...asked, port, key, close: true }),
        bare: () => load.ask<number>('sessions', { ...asked, port: barePort, key: 'none', close: false }),
      });
      const ours = results['ours'] ?? [];
      const fastify = results['bare'] ?? [];
      report({
        name: 'session opened and closed',
        value: median(ours),
        unit: 'sessions/s',
        low: Math.min(...ours),
        high: Math.max(...ours),
        baseline: median(fastify),
        ratio: ratios(ours, fastify),
        bar: { of: 'ratio', atLeast: 0.12 },
      });
    } finally {
      await Promise.all([load, server, bare].map((peer) => peer.end()));
    }
  },
};
