/** Many sessions of containers that end in every way, on a server of this process, and what is left of them. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import type { ExitReason } from '../../src/domain/exit.ts';
import { SessionRequest } from '../../src/domain/wire/request.ts';
import { Engine, isRefusal } from '../../src/runtimes/docker/engine.ts';
import { definition } from './coral-process.ts';
import { BUSYBOX, busyboxImage } from './docker-images.ts';
import { inEngine } from './in-engine.ts';

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

/** What a round of sessions came to. */
export interface MixedEndings {
  /** Containers, networks, volumes and files that are still there, in words. */
  readonly left: readonly string[];
  /** Open descriptors of this process more than before; those that go with the turns of the event loop have gone. */
  readonly descriptors: number;
  /** Agents that ended otherwise than they should have, in words. */
  readonly wrong: readonly string[];
  /** Volumes there were. */
  readonly volumes: number;
}

/** Plays so many sessions, some at once, on the engine at `endpoint`. */
export async function playMixedEndings(endpoint: string, sessions: number): Promise<MixedEndings> {
  const folder = mkdtempSync(join(tmpdir(), 'coral-leaks-'));
  const engine = new Engine({ endpoint });
  await busyboxImage(engine);
  await busyboxImage(engine, VOLUME, ['VOLUME /data']);
  writeProject(folder, endpoint);
  const { config, faults } = readConfig({ environment: {}, cwd: folder });
  if (config === undefined) throw new Error(JSON.stringify(faults));
  const app = await startApp(config);
  const { coral } = app;
  const wrong: string[] = [];
  const volumes: string[] = [];

  /** Plays one session to its end. */
  const play = async (n: number): Promise<void> => {
    const names = Object.keys(WAYS);
    const name = names[n % names.length]!;
    const { reasons, close } = WAYS[name]!;
    const network = NETWORKS[Math.floor(n / names.length + n) % NETWORKS.length]!;
    const key = await coral.open(request(name, network));
    for await (const { event } of coral.feed.session(key, 0, new AbortController().signal)) {
      const isTime =
        close === 'at once'
          ? event.type === 'session_opened'
          : close === 'once it runs' && event.type === 'agent_started' && event.agent === name;
      if (isTime) void coral.close(key);
      if (event.type === 'agent_exited' && event.agent === name && !reasons.includes(event.exit.reason))
        wrong.push(`${name} on ${network}: ${event.exit.reason}, ${event.exit.detail}`);
    }
    const lines = await coral.output.read(key.sessionId, 0, 100, 'beside');
    const volume = lines.map(({ text }) => /\/volumes\/([0-9a-f]+)\/_data /.exec(text)?.[1]).find(Boolean);
    if (volume !== undefined) volumes.push(volume);
  };
  let next = 0;
  const lane = async (until: number): Promise<void> => {
    while (next < until) await play(next++);
  };
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  try {
    await lane(1);
    const before = descriptors();
    await Promise.all(Array.from({ length: AT_ONCE }, () => lane(sessions)));
    const left = [
      ...(await inEngine(engine, coral.instance)),
      ...(await volumesOf(engine, volumes)),
      ...(await filesIn(join(folder, '.coral', 'options'))),
    ];
    // Closed sockets go with the turns of the event loop.
    for (let tries = 0; tries < 1_000 && descriptors() > before; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return { left, descriptors: Math.max(0, descriptors() - before), wrong, volumes: volumes.length };
  } finally {
    await app.close();
    engine.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeProject(folder: string, endpoint: string): void {
  mkdirSync(join(folder, 'agents'));
  const agent = (name: string, script: string, image: string, network: string): void => {
    const docker = {
      image,
      command: ['/bin/sh', '-c', script],
      network,
      pull: 'never',
      resources: { memory: '16MiB' },
    };
    const note = '{NOTE: {type: string, transport: fs, default: hello}}';
    writeFileSync(join(folder, 'agents', `${name}.yaml`), definition(name, JSON.stringify({ docker }), note));
  };
  for (const network of NETWORKS) {
    for (const [way, { script, image = BUSYBOX }] of Object.entries(WAYS))
      agent(`${way}-${network}`, script, image, network);
    agent(`beside-${network}`, 'cat $NOTE; grep " /data " /proc/self/mountinfo', VOLUME, network);
  }
  const settings = [
    'network: {bindPort: 0}',
    `docker: {socket: '${endpoint}'}`,
    'registry: {localAgents: [agents/*.yaml], includeCoralHomeAgents: false, watchLocalAgents: false}',
  ];
  writeFileSync(join(folder, 'coral.config.yaml'), settings.join('\n'));
}

function request(way: string, network: string): SessionRequest {
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
}

async function volumesOf(engine: Engine, names: readonly string[]): Promise<string[]> {
  const left: string[] = [];
  for (const name of names) {
    const gone = await engine.text({ path: `/volumes/${name}` }).catch((error: unknown) => error);
    if (!isRefusal(gone, 404)) left.push(`volume ${name}`);
  }
  return left;
}

/** What is let go of when an ending has been written down goes a moment after the session. */
async function filesIn(folder: string): Promise<string[]> {
  const look = (): string[] =>
    readdirSync(folder).flatMap((name) => readdirSync(join(folder, name)).map((file) => join(name, file)));
  for (let tries = 0; tries < 1_000 && look().length > 0; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 5));
  return look().map((file) => `file ${file}`);
}
