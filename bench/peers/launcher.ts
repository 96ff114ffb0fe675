/**
 * Starts one program in four ways, in a process with as much resident memory as it is told: as the agent of a session
 * of the program's own composition root, by the runtime with a keeper alone, by a bare helper process, and itself.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startApp, type App } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import type { LaunchSpec } from '../../src/domain/launch.ts';
import { SessionRequest } from '../../src/domain/wire/request.ts';
import { createHost } from '../../src/host.ts';
import { PACKAGE_ROOT } from '../../src/package-root.ts';
import type { Runtime } from '../../src/ports/runtime.ts';
import { isAlive } from '../../src/process-identity.ts';
import { keptExecutableRuntime } from '../../src/runtimes/executable/keeper/runtime.ts';
import { answer } from '../peer.ts';

/** One launch, ms. */
export interface Launched {
  /** Until the process was there. */
  readonly ms: number;
  /** What it took of this process's event loop, all turns together. */
  readonly active: number;
}

const PATH = '/bin/sleep';
const WORDS = ['600'];
const AGENT = `edition: 4
agent:
  name: sleeper
  version: 1.0.0
  description: Sleeps until it is stopped.
  summary: Sleeps.
  readme: For benchmarks.
  license: { type: spdx, expression: MIT }
runtimes:
  executable: { path: ${PATH}, arguments: ['600'] }
`;
const REQUEST = SessionRequest.parse({
  agentGraphRequest: {
    agents: [
      {
        id: { name: 'sleeper', version: '1.0.0', registrySourceId: { type: 'local' } },
        name: 'sleeper',
        provider: { type: 'local', runtime: 'executable' },
      },
    ],
  },
  namespaceProvider: {
    type: 'create_if_not_exists',
    namespaceRequest: { name: 'bench', deleteOnLastSessionExit: false },
  },
});

let folder = '';
const ballast: Buffer[] = [];
let helper: ChildProcess | undefined;
let runtime: Runtime | undefined;
let app: App | undefined;
let launches = 0;

/** How long `work` takes until it has come to what it launched, which is ended afterwards. */
async function launched(work: () => Promise<() => unknown>): Promise<Launched> {
  // What came before is done with, what it left to be collected too.
  globalThis.gc?.();
  await pause(20);
  const before = performance.eventLoopUtilization();
  const began = performance.now();
  const end = await work();
  const ms = performance.now() - began;
  // The turn in which it was over counts too.
  await new Promise((resolve) => setImmediate(resolve));
  const { active } = performance.eventLoopUtilization(before);
  await end();
  return { ms, active };
}

async function viaSession(): Promise<() => unknown> {
  if (app === undefined) throw new Error('the server was not started');
  const { coral } = app;
  const key = await coral.open(REQUEST);
  for await (const { event } of coral.feed.session(key, 0, new AbortController().signal)) {
    if (event.type === 'agent_exited') throw new Error(JSON.stringify(event.exit));
    if (event.type === 'agent_started') break;
  }
  return () => coral.close(key);
}

async function viaKeeper(): Promise<() => unknown> {
  if (runtime === undefined) throw new Error('the runtime was not started');
  const kept = runtime;
  launches += 1;
  const spec: LaunchSpec = {
    labels: { instance: 'bench', session: 'bench', agent: 'sleeper', attempt: launches },
    namespace: 'bench',
    environment: {},
    files: [],
    folder,
    version: '1.0.0',
    secrets: [],
    how: {
      kind: 'executable',
      path: PATH,
      arguments: WORDS,
      transport: 'streamable_http',
      environment: {},
      inheritEnvironment: [],
    },
  };
  const handle = await kept.launch(spec, new AbortController().signal, { line: () => undefined });
  return () => kept.stop(handle, 1_000);
}

async function viaHelper(): Promise<() => unknown> {
  if (helper === undefined) throw new Error('the helper was not started');
  const answered = once(helper, 'message');
  helper.send({ path: PATH, words: WORDS });
  const [pid] = (await answered) as [number];
  return () => process.kill(pid);
}

async function viaSpawn(): Promise<() => unknown> {
  const child = spawn(PATH, WORDS, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  if (child.pid === undefined) throw (await once(child, 'error'))[0];
  return async () => {
    child.kill();
    await once(child, 'exit');
  };
}

async function startServer(): Promise<App> {
  mkdirSync(join(folder, 'agents'));
  writeFileSync(join(folder, 'agents', 'sleeper.yaml'), AGENT);
  const flags = Object.entries({
    'network.bindPort': '0',
    'journal.kind': 'memory',
    'registry.localAgents': 'agents/*.yaml',
    'registry.includeCoralHomeAgents': 'false',
    'registry.watchLocalAgents': 'false',
    stateDir: 'state',
  }).map(([path, value]) => ({ name: `--${path}`, path: path.split('.'), value }));
  const { config, faults } = readConfig({ flags, environment: {}, cwd: folder });
  if (config === undefined) throw new Error(faults.map(({ message }) => message).join(' '));
  return startApp(config, { host: createHost(), environment: {} });
}

answer({
  /** Takes so many bytes of memory; resolves with those that are resident when all is ready. */
  async start(bytes: number): Promise<number> {
    folder = mkdtempSync(join(tmpdir(), 'coral-bench-'));
    ballast.push(Buffer.alloc(bytes, 1));
    helper = fork(join(PACKAGE_ROOT, 'dist', 'bench', 'helper.js'), { execArgv: [] });
    runtime = keptExecutableRuntime({
      instance: 'bench',
      environment: {},
      now: Date.now,
      temporaryFolder: folder,
      keeper: {
        folder: join(folder, 'keeper'),
        entry: join(PACKAGE_ROOT, 'dist', 'keeper.js'),
        isAlive,
      },
    });
    app = await startServer();
    return process.memoryUsage.rss();
  },
  request: () => launched(viaSession),
  keeper: () => launched(viaKeeper),
  helper: () => launched(viaHelper),
  spawn: () => launched(viaSpawn),
  async end(): Promise<void> {
    helper?.disconnect();
    await app?.close();
    await runtime?.close();
    if (folder !== '') rmSync(folder, { recursive: true, force: true });
  },
});
