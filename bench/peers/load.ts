/** The load: connections that ask one thing after the other, and clocks that say how long each took. */
import { answer } from '../peer.ts';
import { Connection, postOf, requestOf, type HttpAnswer } from './http-client.ts';
import { openAgents, stateRead, toolCall, type AgentAddress, type OpenAgent } from './mcp-client.ts';

/** What `flood` is told. */
export interface FloodRequest {
  readonly port: number;
  /** One request for each connection. */
  readonly requests: readonly Uint8Array[];
  readonly ms: number;
}

/** Requests a second, and latencies in ms. */
export interface Flood {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** What a pair of agents is told: one waits, the other sends into the thread. */
export interface Pair {
  readonly waiter: AgentAddress;
  readonly sender: AgentAddress;
  readonly threadId: string;
}

answer({ flood, wakes, pacedWakes, turns, sessions, connectAll, end: () => undefined });

/** Every connection asks its one thing again as soon as it was answered. */
async function flood({ port, requests, ms }: FloodRequest): Promise<Flood> {
  const connections = await Promise.all(requests.map(() => Connection.open(port)));
  const latencies: number[] = [];
  const began = performance.now();
  const until = began + ms;
  await Promise.all(
    connections.map(
      (connection, index) =>
        new Promise<void>((resolve, reject) => {
          const request = Buffer.from(requests[index] ?? []);
          let sent = 0;
          const take = (got: HttpAnswer): void => {
            const now = performance.now();
            latencies.push(now - sent);
            if (got.status !== 200) reject(new Error(`${got.status}: ${got.body.toString('utf8')}`));
            else if (now >= until) resolve();
            else next(now);
          };
          const next = (now: number): void => {
            sent = now;
            connection.send(request, take, reject);
          };
          next(performance.now());
        }),
    ),
  );
  const seconds = (performance.now() - began) / 1000;
  for (const connection of connections) connection.close();
  latencies.sort((a, b) => a - b);
  return {
    requests: latencies.length,
    perSecond: latencies.length / seconds,
    p50: at(latencies, 0.5),
    p99: at(latencies, 0.99),
  };
}

/** What `wakes` is told. */
export interface WakesRequest {
  readonly pair: Pair;
  readonly echoPort: number;
  readonly count: number;
}

/** ms from the moment a message is sent to the moment the waiting agent has it, and of a bare round trip beside it. */
export interface Wakes {
  readonly wakes: readonly number[];
  readonly echoes: readonly number[];
}

async function wakes({ pair, echoPort, count }: WakesRequest): Promise<Wakes> {
  const [waiter, sender] = await openAgents([pair.waiter, pair.sender]);
  if (waiter === undefined || sender === undefined) throw new Error('no agents');
  const echo = await Connection.open(echoPort);
  const wait = waiting(waiter);
  const send = sending(sender, pair);
  const echoed = postOf(echoPort, '/', JSON.parse(bodyOf(send)) as unknown);
  const results: { wakes: number[]; echoes: number[] } = { wakes: [], echoes: [] };
  for (let round = 0; round < count; round += 1) {
    const woken = waiter.connection.ask(wait).then((got) => ({ got, when: performance.now() }));
    // Long enough to be parked; the wait is not part of what is measured.
    await pause(2);
    const began = performance.now();
    const sent = sender.connection.ask(send);
    const { got, when } = await woken;
    expectMessage(got);
    expectGood(await sent);
    results.wakes.push(when - began);

    const bare = performance.now();
    await echo.ask(echoed);
    results.echoes.push(performance.now() - bare);
  }
  for (const { connection } of [waiter, sender]) connection.close();
  echo.close();
  return results;
}

/** What `pacedWakes` is told. */
export interface PacedRequest {
  readonly pairs: readonly Pair[];
  readonly messagesPerSecond: number;
  readonly ms: number;
}

/**
 * Messages at a steady pace, whatever the server does, each measured from the moment it was due: a server that falls
 * behind cannot hide it.
 */
async function pacedWakes({ pairs, messagesPerSecond, ms }: PacedRequest): Promise<readonly number[]> {
  const latencies: number[] = [];
  const between = 1000 / messagesPerSecond;
  const began = performance.now() + 200;
  const until = began + ms;
  await Promise.all(
    pairs.map(async (pair, index) => {
      const [waiter, sender] = await openAgents([pair.waiter, pair.sender]);
      if (waiter === undefined || sender === undefined) throw new Error('no agents');
      const wait = waiting(waiter);
      const send = sending(sender, pair);
      for (let due = began + index * between; due < until; due += between * pairs.length) {
        const woken = waiter.connection.ask(wait);
        // Timers may fire a little early.
        do await pause(Math.max(1, due - performance.now()));
        while (performance.now() < due);
        const sent = sender.connection.ask(send);
        expectMessage(await woken);
        latencies.push(performance.now() - due);
        expectGood(await sent);
      }
      for (const { connection } of [waiter, sender]) connection.close();
    }),
  );
  return latencies;
}

/** What `turns` is told: an agent sends into the thread, another waits, a third reads `coral://state`. */
export interface TurnsRequest extends Pair {
  readonly reader: AgentAddress;
  readonly count: number;
}

/** ms that each took. */
export interface Turns {
  readonly sends: readonly number[];
  readonly waits: readonly number[];
  readonly states: readonly number[];
}

/** One after the other: send, wait for what came first of all that was not handed over yet, read the state. */
async function turns({ sender, waiter, reader, threadId, count }: TurnsRequest): Promise<Turns> {
  const [says, waits, reads] = await openAgents([sender, waiter, reader]);
  if (says === undefined || waits === undefined || reads === undefined) throw new Error('no agents');
  const steps = [
    {
      connection: says.connection,
      request: sending(says, { sender, waiter, threadId }),
      took: [] as number[],
    },
    { connection: waits.connection, request: waiting(waits), took: [] as number[] },
    { connection: reads.connection, request: stateRead(reads), took: [] as number[] },
  ] as const;
  for (let turn = 0; turn < count; turn += 1) {
    for (const { connection, request, took } of steps) {
      const began = performance.now();
      expectGood(await connection.ask(request));
      took.push(performance.now() - began);
    }
  }
  for (const { connection } of steps) connection.close();
  const [sent, waited, read] = steps;
  return { sends: sent.took, waits: waited.took, states: read.took };
}

/** What `sessions` is told. */
export interface SessionsRequest {
  readonly port: number;
  readonly key: string;
  readonly body: unknown;
  readonly ms: number;
  /** Close each one again. */
  readonly close: boolean;
  readonly connections: number;
}

/** How many a second: opened, and closed where that was asked for. */
async function sessions(request: SessionsRequest): Promise<number> {
  const { port } = request;
  const headers = { authorization: `Bearer ${request.key}` };
  const open = postOf(port, '/api/v1/local/session', request.body, headers);
  const began = performance.now();
  const until = began + request.ms;
  let done = 0;
  await Promise.all(
    Array.from({ length: request.connections }, async () => {
      const connection = await Connection.open(port);
      while (performance.now() < until) {
        const { body } = expectGood(await connection.ask(open));
        if (request.close) {
          const { namespace, sessionId } = JSON.parse(body.toString('utf8')) as Record<string, string>;
          const path = `/api/v1/local/session/${namespace ?? ''}/${sessionId ?? ''}`;
          expectGood(await connection.ask(requestOf('DELETE', port, path, '', headers)));
        }
        done += 1;
      }
      connection.close();
    }),
  );
  return done / ((performance.now() - began) / 1000);
}

/** Gives every agent one MCP session and leaves no socket open. */
async function connectAll(agents: readonly AgentAddress[]): Promise<void> {
  const open = await openAgents(agents);
  for (const { connection } of open) connection.close();
}

function waiting(agent: OpenAgent): Buffer {
  return toolCall(agent, 'coral_wait_for_message', { maxWaitMs: 50_000 });
}

function sending(agent: OpenAgent, { threadId }: Pair): Buffer {
  return toolCall(agent, 'coral_send_message', { threadId, content: 'A message. '.repeat(30), mentions: [] });
}

function bodyOf(request: Buffer): string {
  return request.toString('utf8').split('\r\n\r\n')[1] ?? '{}';
}

function expectGood(got: HttpAnswer): HttpAnswer {
  if (got.status !== 200) throw new Error(`${got.status}: ${got.body.toString('utf8')}`);
  return got;
}

function expectMessage(got: HttpAnswer): void {
  if (!expectGood(got).body.includes('Message received'))
    throw new Error(`no message: ${got.body.toString('utf8')}`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function at(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;
}
