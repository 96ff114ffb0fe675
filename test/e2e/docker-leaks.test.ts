/** After many sessions of containers that ended in every way, nothing is left: in the engine, of this process, on this machine. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApp, type App } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import type { ExitReason } from '../../src/domain/exit.ts';
import { SessionRequest } from '../../src/domain/wire/request.ts';
import { Engine, isRefusal } from '../../src/runtimes/docker/engine.ts';
import { BUSYBOX, busyboxImage } from '../support/docker-images.ts';
import { describeDocker, ENDPOINT } from '../support/docker.ts';
import { definition } from '../support/coral-process.ts';
import { until } from '../support/mcp-server.ts';
import { leftIn } from '../runtimes/docker/world.ts';

/** Two hundred where there is time for it: `CORAL_TEST_LEAKS=200`. */
const SESSIONS = Number(process.env['CORAL_TEST_LEAKS'] ?? 16);
const AT_ONCE = 8;
const VOLUME = 'coral-test/volume:1';
const FOREVER = 'echo ready; while :; do sleep 1; done';

/** A way for a session to end: what its first agent does, and how that is to be seen. */
interface Way {
  readonly script: string;
  readonly reasons: readonly ExitReason[];
  readonly image?: string;
  readonly ttl?: number;
  readonly close?: 'at once' | 'once it runs';
}
const WAYS: Readonly<Record<string, Way>> = {
  completed: { script: 'exit 0', reasons: ['completed'] },
  failed: { script: 'exit 3', reasons: ['failed'] },
  killed: { script: 'kill -9 $$', reasons: ['killed'] },
  oom: { script: 'exec tail -c 500000000 /dev/zero', reasons: ['oom_killed', 'killed'] },
  ttl: { script: FOREVER, reasons: ['stopped'], ttl: 1_500 },
  closed: { script: FOREVER, reasons: ['stopped'], close: 'once it runs' },
  hasty: { script: FOREVER, reasons: ['stopped', 'launch_failed'], close: 'at once' },
  imageless: { script: 'exit 0', reasons: ['launch_failed'], image: 'coral-test/no-such-image:1' },
};
const NETWORKS = ['session', 'internal', 'none'] as const;

describeDocker('many sessions of mixed endings', () => {
  let folder: string;
  let app: App;
  let engine: Engine;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'coral-leaks-'));
    engine = new Engine({ endpoint: ENDPOINT });
    await busyboxImage(engine);
    await busyboxImage(engine, VOLUME, ['VOLUME /data']);
    mkdirSync(join(folder, 'agents'));
    const agent = (name: string, script: string, image: string, network: string): void => {
      const docker = {
        image,
        command: ['/bin/sh', '-c', script],
        network,
        pull: 'never',
        resources: { memory: '16MiB' },
      };
      const text = definition(
        name,
        JSON.stringify({ docker }),
        '{NOTE: {type: string, transport: fs, default: hello}}',
      );
      writeFileSync(join(folder, 'agents', `${name}.yaml`), text);
    };
    for (const network of NETWORKS) {
      for (const [way, { script, image = BUSYBOX }] of Object.entries(WAYS))
        agent(`${way}-${network}`, script, image, network);
      agent(`beside-${network}`, 'cat $NOTE; grep " /data " /proc/self/mountinfo', VOLUME, network);
    }
    const settings = [
      'network: {bindPort: 0}',
      'registry: {localAgents: [agents/*.yaml], includeCoralHomeAgents: false, watchLocalAgents: false}',
    ];
    writeFileSync(join(folder, 'coral.config.yaml'), settings.join('\n'));
    const { config, faults } = readConfig({ environment: {}, cwd: folder });
    if (config === undefined) throw new Error(JSON.stringify(faults));
    app = await startApp(config);
  });
  afterAll(async () => {
    await app.close();
    engine.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const request = (way: string, network: string): SessionRequest => {
    const of = (name: string): unknown => ({
      id: { name: `${name}-${network}`, version: '1.0.0', registrySourceId: { type: 'local' } },
      name,
      provider: { type: 'local', runtime: 'docker' },
    });
    const { ttl } = WAYS[way]!;
    return SessionRequest.parse({
      agentGraphRequest: { agents: [of(way), of('beside')] },
      namespaceProvider: {
        type: 'create_if_not_exists',
        namespaceRequest: { name: 'leaks', deleteOnLastSessionExit: false },
      },
      execution: { mode: 'immediate', runtimeSettings: { ...(ttl !== undefined && { ttl }) } },
    });
  };
  /** Plays one session to its end; resolves with the name of the volume that its second agent had. */
  const play = async (n: number): Promise<string | undefined> => {
    const names = Object.keys(WAYS);
    const name = names[n % names.length]!;
    const { reasons, close } = WAYS[name]!;
    const network = NETWORKS[Math.floor(n / names.length + n) % NETWORKS.length]!;
    const { coral } = app;
    const key = await coral.open(request(name, network));
    for await (const { event } of coral.feed.session(key, 0, new AbortController().signal)) {
      const isTime =
        close === 'at once'
          ? event.type === 'session_opened'
          : close === 'once it runs' && event.type === 'agent_started' && event.agent === name;
      if (isTime) void coral.close(key);
      if (event.type === 'agent_exited' && event.agent === name)
        expect(reasons, `${name} on ${network}: ${event.exit.detail}`).toContain(event.exit.reason);
    }
    const lines = await coral.output.read(key.sessionId, 0, 100, 'beside');
    return lines.map(({ text }) => /\/volumes\/([0-9a-f]+)\/_data /.exec(text)?.[1]).find(Boolean);
  };
  const descriptors = (): number => readdirSync('/proc/self/fd').length;

  it('leave nothing', { timeout: 1_200_000 }, async () => {
    const volumes: string[] = [];
    let next = 0;
    const lane = async (until: number): Promise<void> => {
      while (next < until) {
        const volume = await play(next++);
        if (volume !== undefined) volumes.push(volume);
      }
    };
    await lane(1);
    const before = descriptors();
    await Promise.all(Array.from({ length: AT_ONCE }, () => lane(SESSIONS)));

    expect(await leftIn(engine, app.coral.instance)).toEqual([]);
    expect(volumes.length).toBeGreaterThan(SESSIONS / 2);
    for (const name of volumes) {
      const gone = await engine.text({ path: `/volumes/${name}` }).catch((error: unknown) => error);
      expect(isRefusal(gone, 404), name).toBe(true);
    }
    const options = join(folder, '.coral', 'options');
    expect(readdirSync(options).flatMap((name) => readdirSync(join(options, name)))).toEqual([]);
    // Closed sockets go with the turns of the event loop.
    await until(() => descriptors() <= before + 2);
  });
});
