/** Launching containers, beside a bare script that asks the same engine for the same. */
import { homedir } from 'node:os';
import { Engine } from '../src/runtimes/docker/engine.ts';
import { findEndpoint } from '../src/runtimes/docker/options.ts';
import { busyboxImage } from '../test/support/docker-images.ts';
import { playMixedEndings } from '../test/support/mixed-endings.ts';
import { interleave, median, Peer, quantile, ratios, type Bench } from './harness.ts';
import type { Crowd, Net } from './peers/containers.ts';

const ROUNDS = 12;
const CROWD = 100;
const SESSIONS = 200;

/** The benchmark. */
export const docker: Bench = {
  name: 'docker',
  about:
    'From “launch decided” to “process running”, ms, on SQLite full, against a bare dockerode script with the same calls (image, network, create, attach, start); then a hundred containers in one session, four launched at once: time and memory of the server in the last quarter of the launches to the first; then what is left of two hundred sessions that end in every way: containers, networks, volumes, files, descriptors. It does not measure pulling an image, nor how long a container takes to end.',
  async run(report) {
    const endpoint = findEndpoint(process.env, homedir());
    const engine = new Engine({ endpoint });
    try {
      await engine.ping();
    } catch (error) {
      report({ name: 'docker', value: NaN, unit: '', note: `left out: ${(error as Error).message}` });
      engine.close();
      return;
    }
    const image = await busyboxImage(engine);
    engine.close();
    const [server, script] = await Promise.all([
      Peer.start('containers', ['--expose-gc']),
      Peer.start('containers'),
    ]);
    try {
      await server.ask('start', image);
      await script.ask('use', image);
      let n = 0;
      for (const network of ['session', 'none'] as const satisfies readonly Net[]) {
        const results = await interleave(ROUNDS, {
          ours: () => server.ask<number>('ours', network),
          bare: () => script.ask<number>('bare', { network, n: (n += 1) }),
        });
        const { ours = [], bare = [] } = results;
        report({
          name: `launch, network ${network}`,
          value: median(ours),
          unit: 'ms',
          low: Math.min(...ours),
          high: Math.max(...ours),
          p99: quantile(ours, 0.99),
          baseline: median(bare),
          ratio: ratios(ours, bare),
          bar: { of: 'ratio', atMost: 1.1 },
        });
      }
      // In both orders, so that what disturbs the machine for a while disturbs both.
      const ours = [await server.ask<Crowd>('oursCrowd', CROWD)];
      const bare = [await script.ask<Crowd>('bareCrowd', CROWD), await script.ask<Crowd>('bareCrowd', CROWD)];
      ours.push(await server.ask<Crowd>('oursCrowd', CROWD));
      /** From one launch's end to the next one's, in a quarter of them, ms: queueing is not counted. */
      const pace = (crowds: readonly Crowd[], quarter: number): number => {
        const size = CROWD / 4;
        const took = crowds.map(({ at }) => {
          const begin = quarter === 0 ? 0 : (at[quarter * size - 1] ?? NaN);
          return ((at[(quarter + 1) * size - 1] ?? NaN) - begin) / size;
        });
        return took.reduce((sum, ms) => sum + ms, 0) / took.length;
      };
      const growth = (crowds: readonly Crowd[]): number => pace(crowds, 3) / pace(crowds, 0);
      report({
        name: 'a launch among 100, last quarter to first',
        value: growth(ours),
        unit: 'times',
        baseline: growth(bare),
        ratio: growth(ours) / growth(bare),
        bar: { of: 'ratio', atMost: 1.1 },
        note: `one in ${Math.round(pace(ours, 0))} ms, then ${Math.round(pace(ours, 3))}; bare ${Math.round(pace(bare, 0))}, then ${Math.round(pace(bare, 3))}`,
      });
      const [{ heap }] = ours as [Crowd];
      const grown = heap.slice(1).map((bytes, quarter) => (bytes - (heap[quarter] ?? 0)) / 1024);
      const each = grown.map((kib) => kib / (CROWD / 4));
      report({
        name: 'memory for each container that runs, last quarter',
        value: each.at(-1) ?? NaN,
        unit: 'KiB',
        baseline: each[0] ?? NaN,
        ratio: (each.at(-1) ?? NaN) / (each[0] ?? NaN),
        bar: { of: 'ratio', atMost: 1.1 },
        note: `by quarters: ${each.map((kib) => kib.toFixed(0)).join(', ')}; the baseline is the first`,
      });
    } finally {
      await Promise.all([server, script].map((peer) => peer.end()));
    }
    const { left, descriptors, wrong } = await playMixedEndings(endpoint, SESSIONS);
    report({
      name: `left after ${SESSIONS} sessions of mixed endings`,
      value: left.length + descriptors,
      unit: 'things',
      bar: { of: 'value', atMost: 0 },
      ...([...left, ...wrong].length > 0 && { note: [...left, ...wrong].join('; ') }),
    });
  },
};
