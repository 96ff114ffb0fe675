/** What the built server calls outside: webhooks and custom tools, signed, and over its own sudden end. */
import { createHmac } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SessionEndReport } from '../../src/domain/end-report.ts';
import { WireEvent } from '../../src/domain/wire/event.ts';
import { SessionIdentifier, SessionStateExtended } from '../../src/domain/wire/session.ts';
import { ArchivedLines } from '../../src/http/archive-routes.ts';
import { DeliveryView } from '../../src/http/delivery-routes.ts';
import { Project } from '../support/coral-process.ts';
import { Receiver, type Called, type Reply } from '../support/receiver.ts';

const KEY = 'a-key-of-this-test';
const CONFIG = `
auth: {keys: [${KEY}]}
network: {webhookSecret: of-hooks, customToolSecret: of-tools}
registry: {includeDebugAgents: true, includeCoralHomeAgents: false}
`;

const EventBody = z.object({ namespace: z.literal('out'), sessionId: z.string(), event: WireEvent });

let project: Project | undefined;
const receivers: Receiver[] = [];
afterEach(async () => {
  await project?.remove();
  for (const receiver of receivers.splice(0)) await receiver.close();
});

async function receive(reply: (call: Called, count: number) => Reply, port?: number): Promise<Receiver> {
  const receiver = await Receiver.open(reply, port);
  receivers.push(receiver);
  return receiver;
}

async function ask<T extends z.ZodType>(
  answer: T,
  url: string,
  method = 'GET',
  body?: object,
): Promise<z.output<T>> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${KEY}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return answer.parse(text === '' ? undefined : JSON.parse(text));
}

function agent(name: string, definition: string, more: object = {}): object {
  return {
    id: { name: definition, version: '1.0.0', registrySourceId: { type: 'local' } },
    name,
    provider: { type: 'local', runtime: 'function' },
    ...more,
  };
}

function session(agents: readonly object[], runtimeSettings: object, customTools: object = {}): object {
  return {
    agentGraphRequest: { agents, customTools },
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'out' } },
    execution: { mode: 'immediate', runtimeSettings },
  };
}

const seed = agent('seed', 'seed', {
  options: { SEED_THREAD_COUNT: { type: 'u32', value: 1 }, SEED_MESSAGE_COUNT: { type: 'u32', value: 3 } },
});

/** The signatures of a webhook, as its receiver checks them. */
function verify({ headers, body }: Called): string {
  const sign = (text: string): string => createHmac('sha256', 'of-hooks').update(text).digest('hex');
  const id = String(headers['x-coral-delivery']);
  expect(headers['x-coral-signature']).toBe(sign(body));
  const time = String(headers['x-coral-signature-timestamp']);
  expect(time).toMatch(/^\d{10}$/);
  expect(headers['x-coral-signature-v2']).toBe(sign(`${id}.${time}.${body}`));
  return id;
}

describe('webhooks of the built server', () => {
  it('bring every event in order and the end report, though the receiver fails at first', async () => {
    // Each path fails in its own way, once.
    const failed = new Set<string>();
    const receiver = await receive(({ path }) => {
      if (failed.has(path)) return { status: 204 };
      failed.add(path);
      return path === '/end' ? undefined : { status: 503 };
    });
    project = new Project({ 'coral.config.yaml': CONFIG });
    const { url } = await project.serve();
    const webhooks = {
      sessionEnd: { url: receiver.url('/end') },
      events: { url: receiver.url('/events'), types: ['thread_created', 'thread_message_sent'] },
    };
    const { sessionId } = await ask(
      SessionIdentifier,
      `${url}/api/v1/local/session`,
      'POST',
      session([seed], { webhooks, extendedEndReport: true }),
    );
    await receiver.until(() => receiver.at('/end').length === 2 && receiver.at('/events').length === 5);

    const [first, second] = receiver.at('/end').map(verify);
    expect(first).toContain(sessionId);
    expect(second).toBe(first);
    const report = SessionEndReport.parse(JSON.parse(receiver.at('/end')[1]?.body ?? ''));
    expect(report.sessionState).toMatchObject({ type: 'extended', state: { base: { id: sessionId } } });
    expect(report.agentStats.map(({ name }) => name)).toEqual(['seed']);

    const [again, ...events] = receiver.at('/events');
    expect(events[0]?.body).toBe(again?.body);
    const bodies = events.map((call) => EventBody.parse(JSON.parse(call.body)));
    expect(new Set(bodies.map((body) => body.sessionId))).toEqual(new Set([sessionId]));
    expect(bodies.map(({ event }) => event.type)).toEqual([
      'thread_created',
      ...Array<string>(3).fill('thread_message_sent'),
    ]);
    expect(new Set(receiver.at('/events').map(verify)).size).toBe(4);
  });

  it('reach one host while another takes calls and answers none, in the order of each session', async () => {
    const held = new Set<Socket>();
    const silent = createServer((socket) => {
      held.add(socket.on('error', () => {}));
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    try {
      const receiver = await receive(() => ({ status: 200 }));
      project = new Project({ 'coral.config.yaml': CONFIG });
      const { url } = await project.serve();
      const stuck = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/events`;
      const types = ['thread_created', 'thread_message_sent'];
      const open = (events: string): Promise<SessionIdentifier> =>
        ask(
          SessionIdentifier,
          `${url}/api/v1/local/session`,
          'POST',
          session([seed], {
            webhooks: { sessionEnd: { url: receiver.url('/end') }, events: { url: events, types } },
          }),
        );
      // First those that are stuck, so that whatever they could hold up is behind them.
      const behind = await Promise.all(Array.from({ length: 6 }, () => open(stuck)));
      const heard = await Promise.all(Array.from({ length: 3 }, () => open(receiver.url('/events'))));
      await receiver.until(() => receiver.at('/end').length === 9 && receiver.at('/events').length === 12);

      const told = receiver.at('/events').map(({ body }) => EventBody.parse(JSON.parse(body)));
      for (const { sessionId } of heard) {
        const own = told.filter((body) => body.sessionId === sessionId).map(({ event }) => event);
        expect(own.map(({ type }) => type)).toEqual([types[0], types[1], types[1], types[1]]);
        expect(own.map(({ seq }) => seq)).toEqual(own.map(({ seq }) => seq).toSorted((a, b) => a - b));
      }
      // Each session's first event is what is behind; the next ones wait for it.
      const owed = (await ask(z.array(DeliveryView), `${url}/api/v1/deliveries`)).filter(
        (delivery) => delivery.url === stuck,
      );
      expect(owed.map(({ sessionId }) => sessionId).toSorted()).toEqual(
        behind.map(({ sessionId }) => sessionId).toSorted(),
      );
    } finally {
      silent.close();
      for (const socket of held) socket.destroy();
    }
  });

  it('bring the report of a session that ended before the server was killed', async () => {
    const deaf = await receive(() => ({ status: 500 }));
    const { port } = deaf;
    project = new Project({ 'coral.config.yaml': CONFIG });
    const { server, url } = await project.serve();
    const webhooks = { sessionEnd: { url: deaf.url('/end') } };
    await ask(SessionIdentifier, `${url}/api/v1/local/session`, 'POST', session([seed], { webhooks }));
    await deaf.until(() => deaf.called.length > 0);
    await server.kill();
    await deaf.close();

    const receiver = await receive(() => ({ status: 200 }), port);
    const again = await project.serve();
    await receiver.until(() => receiver.called.length === 1);
    const [tried, taken] = [deaf.called[0]!, receiver.called[0]!];
    expect(verify(taken)).toBe(verify(tried));
    expect(taken.body).toBe(tried.body);
    SessionEndReport.parse(JSON.parse(taken.body));

    // Taken is taken: the next start owes nothing.
    const deliveries = async (): Promise<number> =>
      (await ask(z.array(DeliveryView), `${again.url}/api/v1/deliveries`)).length;
    while ((await deliveries()) > 0);
    again.server.signal('SIGTERM');
    await again.server.finished();
    const third = await project.serve();
    expect(await ask(z.array(DeliveryView), `${third.url}/api/v1/deliveries`)).toEqual([]);
    expect(receiver.called).toHaveLength(1);
  });
});

describe('custom tools of the built server', () => {
  it('are called for an agent, signed, and answer it', async () => {
    const receiver = await receive(({ body }) =>
      (JSON.parse(body) as { q: string }).q === 'coral'
        ? { status: 200, text: 'an animal' }
        : { status: 500, text: 'secret inner trouble' },
    );
    project = new Project({ 'coral.config.yaml': CONFIG });
    const { url } = await project.serve();
    const caller = (name: string, q: string): object =>
      agent(name, 'tool', {
        customToolAccess: ['lookup'],
        options: {
          TOOL_NAME: { type: 'string', value: 'lookup' },
          TOOL_INPUT: { type: 'string', value: JSON.stringify({ q }) },
        },
      });
    const inputSchema = { type: 'object', properties: { q: { type: 'string' } }, required: ['q'] };
    const lookup = { transport: { type: 'http', url: receiver.url('/lookup?tenant=7') }, inputSchema };
    const key = await ask(
      SessionIdentifier,
      `${url}/api/v1/local/session`,
      'POST',
      session([caller('zoe', 'coral'), caller('max', 'reef')], {}, { lookup }),
    );
    const archived = `${url}/api/v1/archive/session/${key.namespace}/${key.sessionId}`;
    const ended = async (): Promise<boolean> =>
      (await ask(SessionStateExtended.loose(), archived)).agents.every(
        ({ status }) => status.type === 'stopped',
      );
    await receiver.until(() => receiver.called.length === 2);
    while (!(await ended()));

    const zoe = receiver.called.find(({ body }) => body === '{"q":"coral"}');
    expect(zoe?.path).toBe(`/lookup/${key.sessionId}/zoe?tenant=7`);
    expect(zoe?.headers).toMatchObject({
      'x-coral-signature': createHmac('sha256', 'of-tools').update('{"q":"coral"}').digest('hex'),
      'x-coral-namespace': 'out',
      'x-coral-sessionid': key.sessionId,
      'x-coral-agentname': 'zoe',
    });
    const { lines } = await ask(ArchivedLines, `${archived}/logs`);
    expect(lines.filter((line) => line.agent === 'zoe').map(({ text }) => text)).toEqual(['an animal']);
    const [trouble, ...more] = lines.filter((line) => line.agent === 'max');
    expect([trouble?.io, trouble?.text, more]).toEqual(['error', expect.stringContaining('500'), []]);
    expect(trouble?.text).not.toContain('secret');
  });
});
