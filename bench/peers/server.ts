/**
 * The server under test: the program's own composition root in a process of its own, on a journal of the given kind,
 * with scripted agents. Their secrets are overheard where they are made; everything else is as in `coral serve`.
 */
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, type App } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { SessionRequest } from '../../src/domain/wire/request.ts';
import { createHost } from '../../src/host.ts';
import { answer } from '../peer.ts';
import { sessionOf } from '../requests.ts';
import type { AgentAddress } from './mcp-client.ts';

const AGENT = `edition: 4
agent:
  name: idler
  version: 1.0.0
  description: Runs until it is stopped.
  summary: Runs.
  readme: For benchmarks.
  license: { type: spdx, expression: MIT }
runtimes:
  scripted: {}
`;

/** How a server is started. */
export interface ServerRequest {
  readonly journal: 'memory' | 'normal' | 'full';
}

/** A session that runs. */
export interface OpenSession {
  readonly namespace: string;
  readonly sessionId: string;
  readonly agents: readonly AgentAddress[];
}

/** Messages on their way into a thread that is being filled. */
const FILLED_AT_ONCE = 500;
/** About what an agent says. */
const CONTENT = 'The survey is done, and here is what it says. '.repeat(4);

let app: App | undefined;
let port = 0;
let folder = '';
const secrets: string[] = [];

function running(): App {
  if (app === undefined) throw new Error('the server was not started');
  return app;
}

answer({
  async start({ journal }: ServerRequest): Promise<{ port: number; key: string }> {
    folder = mkdtempSync(join(tmpdir(), 'coral-bench-'));
    mkdirSync(join(folder, 'agents'));
    writeFileSync(join(folder, 'agents', 'idler.yaml'), AGENT);
    const flags = Object.entries({
      'network.bindPort': '0',
      'journal.kind': journal === 'memory' ? 'memory' : 'sqlite',
      'journal.sync': journal === 'full' ? 'full' : 'normal',
      'registry.localAgents': 'agents/*.yaml',
      'registry.includeCoralHomeAgents': 'false',
      'registry.watchLocalAgents': 'false',
      stateDir: 'state',
    }).map(([path, value]) => ({ name: `--${path}`, path: path.split('.'), value }));
    const { config, faults } = readConfig({ flags, environment: {}, cwd: folder });
    if (config === undefined) throw new Error(faults.map(({ message }) => message).join(' '));
    const host = createHost();
    app = await startApp(config, {
      host: {
        ...host,
        secret() {
          const secret = host.secret();
          secrets.push(secret);
          return secret;
        },
      },
      environment: {},
    });
    port = Number(new URL(app.url).port);
    return { port, key: app.key };
  },

  /** Opens sessions, one after the other, and waits until their agents run. */
  async open({ sessions, agents }: { sessions: number; agents: number }): Promise<readonly OpenSession[]> {
    const { coral } = running();
    const request = SessionRequest.parse(sessionOf(agents));
    const opened: OpenSession[] = [];
    for (let count = 0; count < sessions; count += 1) {
      const from = secrets.length;
      const key = await coral.open(request);
      const up = (): boolean =>
        [...coral.session(key).agents.values()].every(({ phase }) => phase.type === 'running');
      while (!up()) await new Promise((resolve) => setImmediate(resolve));
      opened.push({ ...key, agents: secrets.slice(from).map((secret) => ({ port, secret })) });
    }
    secrets.length = 0;
    return opened;
  },

  /** A thread of the first agent with all the others. */
  async thread({ agents }: OpenSession): Promise<string> {
    const [first] = agents;
    const participant = running().coral.authenticate(first?.secret ?? '');
    if (participant === undefined) throw new Error('the agent is not there');
    const names = [...participant.state.agents.keys()];
    return (await participant.createThread('bench', names)).id;
  },

  /** The agent with this secret sends so many messages, one after the other. */
  async chat({
    secret,
    threadId,
    count,
  }: {
    secret: string;
    threadId: string;
    count: number;
  }): Promise<void> {
    const participant = running().coral.authenticate(secret);
    if (participant === undefined) throw new Error('the agent is not there');
    for (let n = 0; n < count; n += 1) await participant.sendMessage(threadId, CONTENT, []);
  },

  /** The first agent sends so many messages, and is answered by nobody. */
  async fill({
    session,
    threadId,
    count,
  }: {
    session: OpenSession;
    threadId: string;
    count: number;
  }): Promise<void> {
    const participant = running().coral.authenticate(session.agents[0]?.secret ?? '');
    if (participant === undefined) throw new Error('the agent is not there');
    for (let sent = 0; sent < count; sent += FILLED_AT_ONCE) {
      const some = Array.from({ length: Math.min(FILLED_AT_ONCE, count - sent) });
      await Promise.all(some.map(() => participant.sendMessage(threadId, CONTENT, [])));
    }
  },

  /** Bytes in use after everything that can go is gone. */
  memory(): { heap: number; resident: number } {
    for (let round = 0; round < 4; round += 1) globalThis.gc?.();
    const { heapUsed, external, rss } = process.memoryUsage();
    return { heap: heapUsed + external, resident: rss };
  },

  /** ms of CPU this process has used. */
  cpu(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },

  async end(): Promise<void> {
    // Nothing in it is worth ending in good order.
    await app?.abort();
    rmSync(folder, { recursive: true, force: true });
  },
});
