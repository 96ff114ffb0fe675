/** Agents that are processes of this machine: what the keeper between them and the server costs, and how they end. */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { CoralClient } from '../src/client/index.ts';
import { startTimeOf } from '../src/process-identity.ts';
import { CONFIG, definition, Project } from '../test/support/coral-process.ts';
import { interleave, median, Peer, quantile, ratios, type Bench } from './harness.ts';
import type { Launched } from './peers/launcher.ts';

const ROUNDS = 60;
const ENDS = 3;
/** What agents get between SIGTERM and SIGKILL, ms. */
const GRACE = 2_000;
const RESIDENT = 1024 ** 3;
const KEY = 'a-key-of-this-benchmark';
/** Say their pid once they are what they are to be. */
const PROGRAMS = {
  'heeds SIGTERM': 'echo $$ > ../pid; exec sleep 600',
  'ignores SIGTERM': "trap '' TERM; echo $$ > ../pid; while :; do sleep 0.1; done",
} as const;

/** The benchmark. */
export const keeper: Bench = {
  name: 'keeper',
  about:
    'An executable (sleep) started by way of the keeper, against the same spawned by a bare helper process that is told so over node’s own channel, and against a spawn by the server itself; with 1 GB resident in the server. Launch: until the process is there. Request: of a session with that agent, memory journal, to the event that it runs. Event loop: what a launch takes of it, all turns together; no turn is longer. Then the end of the built server on SIGTERM, agents with a grace of 2 s. It does not measure what the agent itself needs to start.',
  async run(report) {
    const launcher = await Peer.start('launcher', ['--expose-gc']);
    try {
      const resident = await launcher.ask<number>('start', RESIDENT);
      const results = await interleave(ROUNDS, {
        request: () => launcher.ask<Launched>('request'),
        keeper: () => launcher.ask<Launched>('keeper'),
        helper: () => launcher.ask<Launched>('helper'),
        spawn: () => launcher.ask<Launched>('spawn'),
      });
      const ms = (name: string): number[] => results[name]?.map((launched) => launched.ms) ?? [];
      const active = (name: string): number[] => results[name]?.map((launched) => launched.active) ?? [];
      const bare = ms('helper');
      for (const [name, which] of [
        ['launch through the keeper', 'keeper'],
        ['request of a session to running', 'request'],
      ] as const) {
        const more = ms(which).map((ours, round) => ours - (bare[round] ?? NaN));
        report({
          name,
          value: median(ms(which)),
          unit: 'ms',
          p99: quantile(ms(which), 0.99),
          baseline: median(bare),
          ratio: ratios(ms(which), bare),
        });
        report({
          name: `${name}, more than by a helper`,
          value: median(more),
          unit: 'ms',
          p99: quantile(more, 0.99),
          bar: { of: 'value', atMost: 5 },
        });
      }
      report({
        name: 'event loop during a launch',
        value: median(active('keeper')),
        unit: 'ms',
        p99: quantile(active('keeper'), 0.99),
        baseline: median(active('spawn')),
        ratio: ratios(active('keeper'), active('spawn')),
        bar: { of: 'value', atMost: 1 },
        note: `baseline: spawn by the server; ${(resident / RESIDENT).toFixed(2)} GiB resident`,
      });
      report({
        name: 'event loop during a request to running',
        value: median(active('request')),
        unit: 'ms',
        p99: quantile(active('request'), 0.99),
      });
    } finally {
      await launcher.end();
    }
    for (const manner of ['heeds SIGTERM', 'ignores SIGTERM'] as const) {
      const ends: Ended[] = [];
      for (let round = 0; round < ENDS; round += 1) ends.push(await end(PROGRAMS[manner]));
      const row = (name: string, values: readonly number[], atMost: number): void =>
        report({
          name,
          value: median(values),
          unit: 'ms',
          low: Math.min(...values),
          high: Math.max(...values),
          p99: Math.max(...values),
          bar: { of: 'p99', atMost },
        });
      const gone = ends.map(({ agent }) => agent);
      const over = ends.map(({ server }) => server);
      row(`an agent that ${manner}, gone`, gone, GRACE + 1_000);
      row(`server whose agent ${manner}, SIGTERM to exit 0`, over, GRACE + 2_000);
    }
  },
};

interface Ended {
  /** From SIGTERM to the server until the agent's process is gone, ms. */
  readonly agent: number;
  /** Until the server has ended, ms. */
  readonly server: number;
}

async function end(program: string): Promise<Ended> {
  const project = new Project({
    'coral.config.yaml': `${CONFIG}\nauth: {keys: [${KEY}]}\n`,
    'agents/sleeper.yaml': `${definition(
      'sleeper',
      `{executable: {path: sh, arguments: [-c, ${JSON.stringify(program)}]}}`,
    )}timeouts: {stop: ${GRACE}}\n`,
  });
  try {
    const { server, url } = await project.serve();
    const client = new CoralClient({ url, key: KEY });
    await client.sessions.create({
      agentGraphRequest: {
        agents: [
          {
            id: { name: 'sleeper', version: '1.0.0', registrySourceId: { type: 'local' } },
            name: 'sleeper',
            provider: { type: 'local', runtime: 'executable' },
          },
        ],
        groups: [],
      },
      namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'bench' } },
    });
    const file = `${project.folder}/pid`;
    while (!existsSync(file) || !readFileSync(file, 'utf8').endsWith('\n')) await pause(20);
    const pid = Number(readFileSync(file, 'utf8'));
    const since = performance.now();
    let agent = NaN;
    const looked = (async () => {
      while (startTimeOf(pid) !== undefined) await pause(5);
      agent = performance.now() - since;
    })();
    server.signal('SIGTERM');
    const { code, err } = await server.finished();
    const took = performance.now() - since;
    if (code !== 0) throw new Error(`The server ended with ${code}: ${err}`);
    await looked;
    return { agent, server: took };
  } finally {
    await project.remove();
  }
}
