/** One agent prints a gigabyte as fast as it can, on the built program, while others talk. */
import { readFileSync, writeFileSync } from 'node:fs';
import { WebSocket } from 'ws';
import { definition, Project } from '../test/support/coral-process.ts';
import { median, Peer, quantile, type Bench } from './harness.ts';

const MB = 1024 * 1024;
const PRINTED = 1024 * MB;
const LINE = 'one line of very many that say nothing new to anybody';
/** Sessions of two that talk meanwhile. */
const OTHERS = 5;
/**
 * Between two messages of one of them, ms; said on time, whether the one before was heard of or not. Few enough that
 * what the server keeps of them is not what is measured.
 */
const PACE = 200;
const KEY = 'a-key-of-this-benchmark';

/** The benchmark. */
export const flood: Bench = {
  name: 'flood',
  about:
    'The built server with its keeper; one executable prints 1 GB in lines of 54 bytes, alone (the first row of each kind) and with a reader of the logs socket, which is a process of its own. Memory: the highest resident size of the server during the flood, counted from just before it, when the others had talked for some seconds; in the note also from the idle server just started, so with what ordinary talk costs. Delay: of messages said every 200 ms in each of five other sessions, from the request to the frame at a socket reader in this process. It does not measure several agents that flood at once, nor one in a container.',
  async run(report) {
    for (const isFollowed of [false, true]) {
      const { growth, growthFromIdle, calm, delays, seconds, dropped, kept } = await once(isFollowed);
      const beside = isFollowed ? ', its logs followed' : '';
      report({
        name: `memory of the server${beside}`,
        value: growth / MB,
        unit: 'MB more',
        bar: { of: 'value', atMost: 64 },
        note: `1 GB in ${seconds.toFixed(0)} s; ${(growthFromIdle / MB).toFixed(1)} MB more than the idle server`,
      });
      report({
        name: `events of others${beside}`,
        value: median(delays),
        unit: 'ms',
        p99: quantile(delays, 0.99),
        baseline: median(calm),
        bar: { of: 'p99', atMost: 100 },
        note: `${delays.length} messages, the slowest ${Math.max(...delays).toFixed(0)} ms; before the flood p99 ${quantile(calm, 0.99).toFixed(1)} ms`,
      });
      report({
        name: `dropped and recorded${beside}`,
        value: dropped / MB,
        unit: 'MB',
        note: `${(kept / MB).toFixed(1)} MB kept`,
      });
    }
  },
};

interface Result {
  readonly growth: number;
  readonly growthFromIdle: number;
  readonly calm: readonly number[];
  readonly delays: readonly number[];
  readonly seconds: number;
  readonly dropped: number;
  readonly kept: number;
}

async function once(isFollowed: boolean): Promise<Result> {
  const project = new Project({
    'coral.config.yaml': `
auth: {keys: [${KEY}]}
registry: {localAgents: [agents/*.yaml], includeDebugAgents: true, includeCoralHomeAgents: false}
`,
    'agents/flooder.yaml': definition(
      'flooder',
      `{executable: {path: sh, arguments: [-c, "yes '${LINE}' | head -c ${PRINTED}"]}}`,
    ),
  });
  const readers: WebSocket[] = [];
  const logs = await Peer.start('readers');
  try {
    const { server, url } = await project.serve();
    const idle = resident(server.pid, 'VmRSS');
    const api = new Api(url);
    const others = await Promise.all(Array.from({ length: OTHERS }, () => Talk.begin(api, readers)));
    if (isFollowed) await logs.ask('open', { url: `${api.sockets}/logs/${KEY}`, count: 1 });
    await said(others, 30);
    const calm = others.flatMap((other) => other.take());

    const before = resident(server.pid, 'VmRSS');
    writeFileSync(`/proc/${server.pid}/clear_refs`, '5');
    const { sessionId } = await api.open(['flooder'], 'executable');
    const began = performance.now();
    let isOver = false;
    const over = new Promise<void>((resolve) => {
      void follow(`${api.sockets}/events/${KEY}/session/bench/${sessionId}?after=0`, (event) => {
        if (event.type !== 'runtime_stopped') return;
        isOver = true;
        resolve();
      }).then((socket) => readers.push(socket));
    });
    while (!isOver) await said(others, 1);
    await over;
    const seconds = (performance.now() - began) / 1_000;
    const delays = others.flatMap((other) => other.take());
    const peak = resident(server.pid, 'VmHWM');
    const growth = { growth: peak - before, growthFromIdle: peak - idle };
    return { ...growth, calm, delays, seconds, ...(await api.output(sessionId)) };
  } finally {
    for (const reader of readers) reader.terminate();
    await logs.end();
    await project.remove();
  }
}

/** Resident memory of a process, bytes: now, or the highest since it was cleared. */
function resident(pid: number, which: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`^${which}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}

/** Everybody says something `times` times, and all of it is heard. */
async function said(others: readonly Talk[], times: number): Promise<void> {
  const words: Promise<void>[] = [];
  for (let time = 0; time < times; time += 1) {
    for (const other of others) words.push(other.say());
    await new Promise((resolve) => setTimeout(resolve, PACE));
  }
  // Not waited for within a flood: the next word is said in time.
  if (times > 1) await Promise.all(words);
}

interface Event {
  readonly type: string;
  readonly message?: { readonly text: string };
}

async function follow(url: string, take: (event: Event) => void): Promise<WebSocket> {
  const socket = new WebSocket(url);
  socket.on('message', (data: Buffer) => take(JSON.parse(data.toString('utf8')) as Event));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  return socket;
}

class Api {
  readonly sockets: string;

  constructor(private readonly url: string) {
    this.sockets = `${url.replace(/^http/, 'ws')}/ws/v1`;
  }

  async ask<T>(path: string, body?: object): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${KEY}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }

  open(agents: readonly string[], runtime: string): Promise<{ readonly sessionId: string }> {
    return this.ask('local/session', {
      agentGraphRequest: {
        agents: agents.map((agent, at) => ({
          id: { name: agent, version: '1.0.0', registrySourceId: { type: 'local' } },
          name: `agent-${at}`,
          provider: { type: 'local', runtime },
        })),
      },
      namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'bench' } },
    });
  }

  /** Bytes of a session's output: kept, and not. */
  async output(sessionId: string): Promise<{ readonly dropped: number; readonly kept: number }> {
    let kept = 0;
    for (let after: number | undefined = 0; ;) {
      const page: { lines: { text: string }[]; droppedBytes: number; next?: number } = await this.ask(
        `archive/session/bench/${sessionId}/logs?after=${after}&limit=1000`,
      );
      kept += page.lines.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
      after = page.next;
      if (after === undefined) return { dropped: page.droppedBytes, kept };
    }
  }
}

/** Two puppets, one of whom talks, and a socket reader that hears of it. */
class Talk {
  private delays: number[] = [];
  private count = 0;

  private constructor(
    private readonly api: Api,
    private readonly path: string,
    private readonly threadId: string,
    private readonly waiting: Map<string, () => void>,
  ) {}

  static async begin(api: Api, readers: WebSocket[]): Promise<Talk> {
    const { sessionId } = await api.open(['puppet', 'puppet'], 'function');
    const path = `puppet/bench/${sessionId}/agent-0`;
    let connected = 0;
    const waiting = new Map<string, () => void>();
    await new Promise<void>((resolve) => {
      const url = `${api.sockets}/events/${KEY}/session/bench/${sessionId}?after=0`;
      void follow(url, (event) => {
        if (event.type === 'agent_connected') connected += 1;
        if (connected === 2) resolve();
        if (event.message !== undefined) waiting.get(event.message.text)?.();
      }).then((socket) => readers.push(socket));
    });
    const { thread } = await api.ask<{ thread: { id: string } }>(`${path}/thread`, {
      threadName: 'talk',
      participantNames: ['agent-1'],
    });
    return new Talk(api, path, thread.id, waiting);
  }

  /** Resolves when it was heard. */
  async say(): Promise<void> {
    this.count += 1;
    const content = `word ${this.count}`;
    const began = performance.now();
    const heard = new Promise<void>((resolve) => this.waiting.set(content, resolve));
    await this.api.ask(`${this.path}/thread/message`, { threadId: this.threadId, content, mentions: [] });
    await heard;
    this.waiting.delete(content);
    this.delays.push(performance.now() - began);
  }

  /** The delays so far, ms; from now on anew. */
  take(): readonly number[] {
    const { delays } = this;
    this.delays = [];
    return delays;
  }
}
