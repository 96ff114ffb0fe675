/** After many containers that ended in many ways nothing is left: in the engine, of this process, on this machine. */
import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Ears, labels } from '../../contracts/runtime.ts';
import { until } from '../../support/mcp-server.ts';
import { describeDocker } from '../../support/docker.ts';
import { dockerWorld, leftIn, shell } from './world.ts';

/** Two hundred where there is time for it: `CORAL_TEST_LEAKS=200`. */
const COUNT = Number(process.env['CORAL_TEST_LEAKS'] ?? 24);

describeDocker('many containers of mixed endings', () => {
  it('leave nothing', { timeout: 600_000 }, async () => {
    const world = await dockerWorld();
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const run = async (n: number): Promise<void> => {
      const abort = new AbortController();
      const scripts = [
        'exit 0',
        'exit 3',
        'kill -9 $$',
        'echo ready; sleep 1000',
        'echo ready; sleep 1000',
        'exit 0',
      ];
      const kind = n % scripts.length;
      const files = [{ variable: 'KEY', parts: [Buffer.from('x')] }];
      const spec = shell(
        scripts[kind]!,
        { network: n % 2 === 0 ? 'session' : 'none' },
        { files, labels: labels({ agent: `a${n}`, session: `s${Math.floor(n / 4)}` }) },
      );
      const launching = world.runtime.launch(spec, abort.signal, new Ears());
      if (kind === 5) setTimeout(() => abort.abort(), 20 * (n % 10));
      const handle = await launching.catch(() => undefined);
      if (handle === undefined) return;
      const ears = new Ears().attachTo(world.runtime, handle);
      if (kind === 3 || kind === 4) {
        await ears.heard('ready');
        expect(await world.runtime.stop(handle, kind === 3 ? 100 : 0)).toEqual({ gone: true, left: [] });
      }
      await ears.end;
    };
    await run(0);
    const before = descriptors();
    for (let n = 0; n < COUNT; n += 6) await Promise.all(Array.from({ length: 6 }, (_, i) => run(n + i)));
    expect(await leftIn(world.engine)).toEqual([]);
    expect(await world.engine.json<{ Volumes: unknown[] | null }>({ path: '/volumes' })).toBeDefined();
    // Closed sockets go with the turns of the event loop.
    await until(() => descriptors() <= before + 2);
    expect(readdirSync(world.folder).flatMap((name) => readdirSync(`${world.folder}/${name}`))).toEqual([]);
    await world.close();
  });
});
