/** How soon a server that was killed serves again: many sessions to be read, many agents to be found. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sessionStream, type SessionEvent } from '../src/domain/event.ts';
import { openSqliteJournal } from '../src/journal/sqlite.ts';
import { CoralClient } from '../src/client/index.ts';
import { median, type Bench } from './harness.ts';

const PROGRAM = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const ROUNDS = 3;
const SESSIONS = 1_000;
const EVENTS = 200;
const AGENTS = 100;
const WORDS = 'The survey is done, and here is what it says. '.repeat(4);

const AGENT = `edition: 4
agent: {name: sleeper, version: 1.0.0, description: Sleeps., summary: Sleeps., readme: Sleeps., license: {type: spdx, expression: MIT}}
runtimes: {scripted: {}, executable: {path: sleep, arguments: ['600']}}
`;

/** The benchmark. */
export const recovery: Bench = {
  name: 'recovery',
  about: `From the start of the program to its first good answer, after it was killed: with ${SESSIONS} live sessions of ${EVENTS} facts each, whose agents wait for their next start (against reading and parsing the same rows in a bare process), and until ${AGENTS} running executables are adopted. It does not measure a journal that is not in the cache of the operating system, nor containers.`,
  async run(report) {
    const project = new ProjectFolder();
    try {
      const sessions = await sessionsFound(project);
      report({
        name: `${SESSIONS} sessions of ${EVENTS} facts, until it serves`,
        value: median(sessions.ours),
        unit: 'ms',
        low: Math.min(...sessions.ours),
        high: Math.max(...sessions.ours),
        baseline: median(sessions.bare),
        bar: { of: 'value', atMost: 2_000 },
      });
      const reading = sessions.ours.map(
        (ms, round) => (ms - (sessions.empty[round] ?? 0)) / (sessions.bare[round] ?? NaN),
      );
      report({
        name: 'what the sessions add, to reading their rows',
        value: median(sessions.ours.map((ms, round) => ms - (sessions.empty[round] ?? 0))),
        unit: 'ms',
        baseline: median(sessions.bare),
        ratio: median(reading),
        bar: { of: 'ratio', atMost: 3 },
      });
      const adopted = await agentsAdopted(project);
      report({
        name: `${AGENTS} executables adopted`,
        value: adopted,
        unit: 'ms',
        bar: { of: 'value', atMost: 5_000 },
      });
    } finally {
      project.remove();
    }
  },
};

/** A project with one agent; its servers are processes of their own. */
class ProjectFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'coral-bench-'));
  private running: ChildProcess | undefined;

  constructor() {
    mkdirSync(join(this.path, 'agents'));
    writeFileSync(join(this.path, 'agents', 'sleeper.yaml'), AGENT);
    writeFileSync(
      join(this.path, 'coral.config.yaml'),
      'registry: {localAgents: [agents/*.yaml], includeCoralHomeAgents: false, watchLocalAgents: false}\nauth: {keys: [bench]}\nlimits: {sessions: 5000}\n',
    );
  }

  /** Starts a server on a state folder; resolves with its client and the ms it took until it answered. */
  async serve(state: string): Promise<{ client: CoralClient; ms: number }> {
    const began = performance.now();
    const child = spawn(
      process.execPath,
      [PROGRAM, 'serve', '--json', '--network.bind-port=0', '--state-dir', join(this.path, state)],
      { cwd: this.path, stdio: ['ignore', 'pipe', 'ignore'] },
    );
    this.running = child;
    let out = '';
    const url = await new Promise<string>((resolve, reject) => {
      child.once('exit', () => reject(new Error(`the server ended: ${out}`)));
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text;
        if (out.includes('\n')) resolve((JSON.parse(out.split('\n')[0]!) as { url: string }).url);
      });
    });
    const client = new CoralClient({ url, key: 'bench' });
    if (!(await client.ready()).ready) throw new Error('the server is not ready');
    return { client, ms: performance.now() - began };
  }

  async kill(): Promise<void> {
    const child = this.running;
    if (child === undefined || child.exitCode !== null) return;
    const over = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await over;
  }

  remove(): void {
    spawnSync(process.execPath, [PROGRAM, 'stop', '--all', '--state-dir', join(this.path, 'agents-state')], {
      cwd: this.path,
    });
    rmSync(this.path, { recursive: true, force: true });
  }
}

async function sessionsFound(
  project: ProjectFolder,
): Promise<{ ours: number[]; bare: number[]; empty: number[] }> {
  await project.serve('template');
  await project.kill();
  const file = join(project.path, 'template', 'journal.db');
  await writeSessions(file);
  const times: { ours: number[]; bare: number[]; empty: number[] } = { ours: [], bare: [], empty: [] };
  for (let round = 0; round <= ROUNDS; round += 1) {
    const state = `state-${round}`;
    cpSync(join(project.path, 'template'), join(project.path, state), { recursive: true });
    const { ms } = await project.serve(state);
    await project.kill();
    const empty = await project.serve(`empty-${round}`);
    await project.kill();
    const bare = readAll(file);
    if (round === 0) continue; // warms the disk's cache
    times.ours.push(ms);
    times.bare.push(bare);
    times.empty.push(empty.ms);
  }
  return times;
}

/** They run and have talked; their agents wait for their next start, so that nothing but the sessions is measured. */
async function writeSessions(file: string): Promise<void> {
  const journal = openSqliteJournal({ file, sync: 'normal', now: Date.now });
  await journal.append({
    stream: 'namespaces',
    expectedSeq: 0,
    time: Date.now(),
    events: [{ type: 'namespace_created', name: 'bench', deleteOnLastSessionExit: false, annotations: {} }],
    header: { kind: 'namespaces', id: 'namespaces', namespace: '', annotations: {} },
  });
  for (let n = 0; n < SESSIONS; n += 1) {
    const id = `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
    await journal.append({
      stream: sessionStream(id),
      expectedSeq: 0,
      time: Date.now(),
      events: storyOf(id),
      header: { kind: 'session', id, namespace: 'bench', annotations: {} },
    });
  }
  await journal.close();
}

function storyOf(sessionId: string): readonly SessionEvent[] {
  const plan = (name: string, other: string): object => ({
    id: { name: 'sleeper', version: '1.0.0', registrySourceId: { type: 'local' } },
    name,
    runtime: {
      kind: 'scripted',
      exitCode: 0,
      ignoreStop: false,
      output: [],
      flood: 0,
      startDelay: 0,
      transport: 'streamable_http',
    },
    options: {},
    links: [other],
    blocking: false,
    customTools: [],
    plugins: [],
    annotations: {},
    folder: '/',
    restart: {
      policy: 'always',
      maxRestarts: 9,
      delay: 0,
      maxDelay: 0,
      stableAfter: 0,
      permanentExitCodes: [],
    },
    timeouts: { connect: 0, stop: 1_000, inactivity: 0 },
  });
  const facts = [
    {
      type: 'session_opened',
      namespace: 'bench',
      sessionId,
      annotations: {},
      agents: [plan('ann', 'bob'), plan('bob', 'ann')],
      groups: [['ann', 'bob']],
      customTools: {},
    },
    {
      type: 'session_executed',
      settings: {
        extendedEndReport: false,
        persistenceMode: { mode: 'hold_after_exit', duration: 3_600_000 },
        webhooks: {},
      },
    },
    ...['ann', 'bob'].flatMap((agent) => [
      { type: 'agent_launching', agent, attempt: 1, secretDigest: `${sessionId}-${agent}` },
      {
        type: 'agent_started',
        agent,
        attempt: 1,
        handle: { runtime: 'scripted', id: `${sessionId}-${agent}` },
      },
      {
        type: 'agent_exited',
        agent,
        attempt: 1,
        exit: { reason: 'failed', exitCode: 1, detail: 'It failed.', time: Date.now() },
      },
      {
        type: 'agent_retry_due',
        agent,
        attempt: 1,
        at: Date.now() + 3_600_000,
        restarts: 1,
        reason: 'It failed.',
      },
    ]),
    { type: 'thread_created', threadId: 't', name: 'talk', creator: 'ann', participants: ['ann', 'bob'] },
  ];
  while (facts.length < EVENTS)
    facts.push({
      type: 'message_sent',
      threadId: 't',
      messageId: `m${facts.length}`,
      sender: 'ann',
      text: WORDS,
      mentions: [],
    } as never);
  return facts as unknown as readonly SessionEvent[];
}

/** What reading and parsing the rows costs alone, ms. */
function readAll(file: string): number {
  const script = `
    const began = performance.now();
    const database = new (require('better-sqlite3'))(${JSON.stringify(file)}, { readonly: true });
    let events = 0;
    for (const { body } of database.prepare('SELECT body FROM events ORDER BY stream, seq').iterate()) {
      JSON.parse(body);
      events += 1;
    }
    console.log(performance.now() - began);`;
  const { stdout } = spawnSync(process.execPath, ['-e', script], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    encoding: 'utf8',
  });
  return Number(stdout);
}

/** Running executables of one session; ms from the start of the next server until all of them are seen. */
async function agentsAdopted(project: ProjectFolder): Promise<number> {
  const agents = Array.from({ length: AGENTS }, (_, n) => `agent-${n}`);
  const first = await project.serve('agents-state');
  const session = await first.client.sessions.create({
    agentGraphRequest: {
      agents: agents.map((name) => ({
        id: { name: 'sleeper', version: '1.0.0', registrySourceId: { type: 'local' } },
        name,
        provider: { type: 'local', runtime: 'executable' },
      })),
      groups: [agents],
    },
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'bench' } },
  });
  const pids = async (client: CoralClient): Promise<number> => {
    const { agents: shown } = await client.sessions.extended(session);
    return shown.filter(({ status }) => status.type === 'running' && status.observed === undefined).length;
  };
  while ((await pids(first.client)) < AGENTS) await new Promise((resolve) => setTimeout(resolve, 20));
  await project.kill();
  const began = performance.now();
  const again = await project.serve('agents-state');
  while ((await pids(again.client)) < AGENTS) await new Promise((resolve) => setTimeout(resolve, 5));
  const ms = performance.now() - began;
  await again.client.sessions.close(session);
  await project.kill();
  return ms;
}
