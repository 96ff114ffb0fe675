/**
 * Launches of containers, by the server in a process of its own and by a bare dockerode script that makes the same calls
 * of the same engine. A launch lasts from when it is decided to when the process runs; what ends it is not counted.
 */
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { startApp, type App } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { SessionRequest } from '../../src/domain/wire/request.ts';
import { createHost } from '../../src/host.ts';
import { findEndpoint } from '../../src/runtimes/docker/options.ts';
import { answer } from '../peer.ts';

export type Net = 'session' | 'none';

/** When each of a hundred launches was over, ms from the beginning of all, and memory as they ran. */
export interface Crowd {
  readonly at: readonly number[];
  /** Bytes in use with none running, and after each quarter. */
  readonly heap: readonly number[];
}

const COMMAND = ['/bin/sleep', '1000'];
const BESIDE = 4;
let image = '';
let app: App | undefined;
let folder = '';
let decided: number[] = [];
const docker = new Docker({ socketPath: findEndpoint(process.env, homedir()).replace(/^unix:\/\//, '') });

function definition(network: Net): string {
  return `edition: 4
agent:
  name: sleeper-${network}
  version: 1.0.0
  description: Sleeps until it is stopped.
  summary: Sleeps.
  readme: For benchmarks.
  license: { type: spdx, expression: MIT }
runtimes:
  docker:
    image: ${image}
    command: ${JSON.stringify(COMMAND)}
    network: ${network}
    resources: { memory: 32MiB }
`;
}

function sessionOf(network: Net, agents: number): SessionRequest {
  const id = { name: `sleeper-${network}`, version: '1.0.0', registrySourceId: { type: 'local' } };
  return SessionRequest.parse({
    agentGraphRequest: {
      agents: Array.from({ length: agents }, (_, n) => ({
        id,
        name: `agent-${n}`,
        provider: { type: 'local', runtime: 'docker' },
      })),
    },
    namespaceProvider: {
      type: 'create_if_not_exists',
      namespaceRequest: { name: 'bench', deleteOnLastSessionExit: false },
    },
  });
}

function heap(): number {
  for (let round = 0; round < 4; round += 1) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Opens a session, calls `ran` for each agent that runs, and closes it. */
async function throughServer(network: Net, agents: number, ran: (count: number) => void): Promise<number[]> {
  if (app === undefined) throw new Error('the server was not started');
  const { coral } = app;
  decided = [];
  const key = await coral.open(sessionOf(network, agents));
  const since = new Map<string, number>();
  const ms: number[] = [];
  for await (const { event } of coral.feed.session(key, 0, new AbortController().signal)) {
    if (event.type === 'agent_launching') since.set(event.agent, decided[since.size] ?? NaN);
    if (event.type === 'agent_exited' && ms.length < agents) throw new Error(JSON.stringify(event.exit));
    if (event.type !== 'agent_started') continue;
    ms.push(performance.now() - (since.get(event.agent) ?? NaN));
    ran(ms.length);
    // The feed ends when it is closed; a busy engine takes longer over a hundred than a call waits.
    if (ms.length === agents) coral.close(key).catch(() => undefined);
  }
  return ms;
}

/** The calls of a launch and nothing else, the later ones of a crowd without a network. */
async function bare(network: Net, n: number): Promise<{ ms: number; end: () => Promise<void> }> {
  const begun = performance.now();
  await docker.getImage(image).inspect();
  let mode = 'none';
  if (network === 'session') {
    await docker.listNetworks();
    const made = await docker.createNetwork({
      Name: `coral-bench-${process.pid}-${n}`,
      Driver: 'bridge',
      IPAM: { Config: [{ Subnet: `10.208.${n % 256}.0/28` }] },
    });
    mode = made.id;
    await made.inspect();
  }
  const container = await docker.createContainer({
    Image: image,
    Cmd: COMMAND,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      Init: true,
      Memory: 32 * 1024 ** 2,
      MemorySwap: 32 * 1024 ** 2,
      NanoCpus: 1e9,
      PidsLimit: 512,
      CapDrop: ['ALL'],
      CapAdd: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SETGID', 'SETUID'],
      SecurityOpt: ['no-new-privileges'],
      NetworkMode: mode,
      LogConfig: { Type: 'json-file', Config: { 'max-size': '16777216', 'max-file': '2' } },
    },
  });
  const stream = await container.attach({ stream: true, stdout: true, stderr: true });
  stream.resume();
  await container.start();
  const ms = performance.now() - begun;
  return {
    ms,
    async end() {
      await container.remove({ force: true, v: true });
      if (mode !== 'none') await docker.getNetwork(mode).remove();
    },
  };
}

answer({
  /** Starts the server; resolves when it can launch. */
  async start(given: string): Promise<void> {
    image = given;
    folder = mkdtempSync(join(tmpdir(), 'coral-bench-'));
    mkdirSync(join(folder, 'agents'));
    for (const network of ['session', 'none'] as const)
      writeFileSync(join(folder, 'agents', `${network}.yaml`), definition(network));
    const flags = Object.entries({
      'network.bindPort': '0',
      'registry.localAgents': 'agents/*.yaml',
      'registry.includeCoralHomeAgents': 'false',
      'registry.watchLocalAgents': 'false',
      stateDir: 'state',
    }).map(([path, value]) => ({ name: `--${path}`, path: path.split('.'), value }));
    const { config, faults } = readConfig({ flags, environment: {}, cwd: folder });
    if (config === undefined) throw new Error(faults.map(({ message }) => message).join(' '));
    const host = createHost();
    // A launch is decided where its agent's secret is made.
    const secret = (): string => {
      decided.push(performance.now());
      return host.secret();
    };
    app = await startApp(config, { host: { ...host, secret }, environment: {} });
  },
  use(given: string): void {
    image = given;
  },
  /** One launch, ms. */
  async ours(network: Net): Promise<number> {
    const [ms = NaN] = await throughServer(network, 1, () => undefined);
    return ms;
  },
  async bare({ network, n }: { network: Net; n: number }): Promise<number> {
    const { ms, end } = await bare(network, n);
    await end();
    return ms;
  },
  async oursCrowd(count: number): Promise<Crowd> {
    const measured = [heap()];
    const at: number[] = [];
    const begun = performance.now();
    await throughServer('none', count, (ran) => {
      at.push(performance.now() - begun);
      if (ran % (count / 4) === 0) measured.push(heap());
    });
    return { at, heap: measured };
  },
  async bareCrowd(count: number): Promise<Crowd> {
    const all: Awaited<ReturnType<typeof bare>>[] = [];
    const at: number[] = [];
    const begun = performance.now();
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < count) {
        all.push(await bare('none', (next += 1)));
        at.push(performance.now() - begun);
      }
    };
    await Promise.all(Array.from({ length: BESIDE }, lane));
    for (let n = 0; n < all.length; n += BESIDE)
      await Promise.all(all.slice(n, n + BESIDE).map(({ end }) => end()));
    return { at, heap: [] };
  },
  async end(): Promise<void> {
    await app?.close();
    if (folder !== '') rmSync(folder, { recursive: true, force: true });
  },
});
