/** MCP `tools/call` under load, on each kind of journal. */
import { median, interleave, Peer, ratios, type Bench, type Row } from './harness.ts';
import type { Flood, FloodRequest } from './peers/load.ts';
import { toolCall, type AgentAddress } from './peers/mcp-client.ts';
import type { OpenSession } from './peers/server.ts';

const CONNECTIONS = 16;
const FULL = { rounds: 5, ms: 1_500, warmUp: 3_000 };
const QUICK = { rounds: 3, ms: 600, warmUp: 1_500 };
/** About 715 bytes of body, as a message of an agent has. */
const CONTENT = 'The survey is done, and here is what it says. '.repeat(11);

const BARS = { memory: 0.6, normal: 0.45, full: 0.25 } as const;
type Kind = keyof typeof BARS;
const KINDS = Object.keys(BARS) as readonly Kind[];
const TITLES = { memory: 'memory journal', normal: 'SQLite normal', full: 'SQLite full' } as const;

/** The benchmark. */
export const toolCalls: Bench = {
  name: 'tool-calls',
  about:
    'Requests a second of coral_send_message from 16 connections in 16 sessions, against a bare node:http echo of the same sizes in the same rounds. Each connection asks again as soon as it was answered. It does not measure TLS, other tools, or a machine with cores to spare.',
  guarded: true,
  async run(report, effort) {
    const { rounds, ms, warmUp } = effort?.quick === true ? QUICK : FULL;
    const load = await Peer.start('load');
    const echo = await Peer.start('echo');
    const servers = new Map<Kind, Peer>();
    try {
      const variants: Record<string, () => Promise<Sample>> = {};
      let answerBytes = 0;
      let example = Buffer.alloc(0);
      for (const kind of KINDS) {
        const server = await Peer.start('server');
        servers.set(kind, server);
        const { port } = await server.ask<{ port: number }>('start', { journal: kind });
        const requests = await requestsOf(server);
        const [first] = requests;
        if (first === undefined) throw new Error('no requests');
        example = Buffer.from(first);
        answerBytes = await sizeOfAnswer(port, first);
        // Code that is new is slow, ours longer than the echo's, of which there is less.
        await sample(load, server, { port, requests, ms: warmUp });
        variants[kind] = () => sample(load, server, { port, requests, ms });
      }
      const echoPort = await echo.ask<number>('start', answerBytes);
      const bare = Array.from({ length: CONNECTIONS }, () => example);
      variants['echo'] = () => sample(load, echo, { port: echoPort, requests: bare, ms });

      const results = await interleave(rounds, variants);
      for (const kind of KINDS) report(rowOf(kind, results[kind] ?? [], results['echo'] ?? []));
    } finally {
      await Promise.all([load, echo, ...servers.values()].map((peer) => peer.end()));
    }
  },
};

/** One message for each of the sessions, as bytes. */
async function requestsOf(server: Peer): Promise<readonly Buffer[]> {
  const sessions = await server.ask<readonly OpenSession[]>('open', { sessions: CONNECTIONS, agents: 2 });
  return Promise.all(
    sessions.map(async (session) => {
      const threadId = await server.ask<string>('thread', session);
      const [agent] = session.agents;
      if (agent === undefined) throw new Error('a session without agents');
      return toolCall(await withSession(agent), 'coral_send_message', {
        threadId,
        content: CONTENT,
        mentions: [],
      });
    }),
  );
}

/** Opens an MCP session; the connections of the load come later. */
async function withSession(agent: AgentAddress): Promise<AgentAddress & { session: string }> {
  const response = await fetch(`http://127.0.0.1:${agent.port}/mcp/v1/${agent.secret}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'bench', version: '1.0.0' },
      },
    }),
  });
  await response.text();
  const session = response.headers.get('mcp-session-id');
  if (session === null) throw new Error(`no MCP session: ${response.status}`);
  return { ...agent, session };
}

async function sizeOfAnswer(port: number, request: Buffer): Promise<number> {
  const { Connection } = await import('./peers/http-client.ts');
  const connection = await Connection.open(port);
  const { status, body } = await connection.ask(request);
  connection.close();
  if (status !== 200 || body.includes('"isError":true'))
    throw new Error(`${status}: ${body.toString('utf8')}`);
  return body.length;
}

/** A flood, and the µs of processor time that the server took for each request of it. */
interface Sample extends Flood {
  readonly cpu: number;
}

async function sample(load: Peer, server: Peer, request: FloodRequest): Promise<Sample> {
  const before = await server.ask<number>('cpu');
  const flood = await load.ask<Flood>('flood', request);
  const used = (await server.ask<number>('cpu')) - before;
  return { ...flood, cpu: (used * 1000) / flood.requests };
}

function rowOf(kind: Kind, samples: readonly Sample[], echoed: readonly Sample[]): Row {
  const of = (key: keyof Sample, from = samples): readonly number[] => from.map((one) => one[key]);
  const ours = of('perSecond');
  const bare = of('perSecond', echoed);
  const [cpu, bareCpu] = [median(of('cpu')), median(of('cpu', echoed))];
  return {
    name: `tools/call, ${TITLES[kind]}`,
    value: median(ours),
    unit: 'requests/s',
    low: Math.min(...ours),
    high: Math.max(...ours),
    baseline: median(bare),
    ratio: ratios(ours, bare),
    bar: { of: 'ratio', atLeast: BARS[kind], ...(kind === 'full' && { unsteady: true }) },
    note:
      `answered in ${median(of('p50')).toFixed(2)} ms, 99 % in ${median(of('p99')).toFixed(2)} ms; ` +
      `${cpu.toFixed(0)} µs of processor time each, bare ${bareCpu.toFixed(0)}`,
  };
}
