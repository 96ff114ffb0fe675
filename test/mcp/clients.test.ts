/** The official clients, as they are, over every transport and revision they offer. */
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport as TransportV1 } from '@modelcontextprotocol/sdk/shared/transport.js';
import { ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import {
  Client as ClientV2,
  SSEClientTransport as SseV2,
  StreamableHTTPClientTransport as HttpV2,
} from '@modelcontextprotocol/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startMcp, until, type McpServer } from '../support/mcp-server.ts';

let mcp: McpServer;
beforeEach(async () => {
  mcp = await startMcp({ writer: {}, critic: {} }, { beatMs: 20 });
});
afterEach(async () => {
  await mcp.stop();
  expect(mcp.warnings).toEqual([]);
});

/** JSON whose shape the test itself checks. */
type Json = ReturnType<typeof JSON.parse>;

/** What the tests need of a client, whichever it is. */
interface AnyClient {
  connect(): Promise<void>;
  revision(): string | undefined;
  tools(): Promise<string[]>;
  call(
    name: string,
    args: object,
    options?: { signal?: AbortSignal; onprogress?: () => void },
  ): Promise<Json>;
  read(uri: string): Promise<string>;
  resources(): Promise<string[]>;
  prompts(): Promise<unknown[]>;
  /** Asks to hear of changes of that resource; resolves once the server has agreed. */
  subscribe(uri: string, changed: (uri: string) => void): Promise<void>;
  close(): Promise<void>;
}

const info = { name: 'test', version: '1.0.0' };

function v1(agent: string, transport: 'mcp' | 'sse/', revision?: string): AnyClient {
  const client = new ClientV1(info);
  const url = new URL(mcp.url(agent, transport));
  const wire = transport === 'mcp' ? new HttpV1(url) : new SseV1(url);
  let spoken: string | undefined;
  return {
    async connect() {
      const setVersion = wire.setProtocolVersion.bind(wire);
      wire.setProtocolVersion = (version: string) => {
        spoken = version;
        setVersion(version);
      };
      if (revision !== undefined) {
        const send = wire.send.bind(wire);
        wire.send = (message: Json, ...rest: Json[]) => {
          if (message.method === 'initialize') message.params.protocolVersion = revision;
          return (send as Json)(message, ...rest);
        };
      }
      await client.connect(wire);
    },
    revision: () => spoken,
    tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
    call: (name, args, options) => client.callTool({ name, arguments: args as Json }, undefined, options),
    read: async (uri) => String(((await client.readResource({ uri })).contents[0] as Json)['text']),
    resources: async () => (await client.listResources()).resources.map((resource) => resource.uri),
    prompts: async () => (await client.listPrompts()).prompts,
    async subscribe(uri, changed) {
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => changed(params.uri));
      await client.subscribeResource({ uri });
    },
    close: () => client.close(),
  };
}

function v2(agent: string, transport: 'mcp' | 'sse/', revision: string): AnyClient {
  const sessionless = revision === '2026-07-28';
  const client = new ClientV2(info, {
    supportedProtocolVersions: [revision],
    ...(sessionless && { versionNegotiation: { mode: { pin: revision } } }),
  });
  const url = new URL(mcp.url(agent, transport));
  const wire = transport === 'mcp' ? new HttpV2(url) : new SseV2(url);
  return {
    connect: () => client.connect(wire),
    revision: () => client.getNegotiatedProtocolVersion(),
    tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
    call: (name, args, options) => client.callTool({ name, arguments: args as Json }, options),
    read: async (uri) => String(((await client.readResource({ uri })).contents[0] as Json)['text']),
    resources: async () => (await client.listResources()).resources.map((resource) => resource.uri),
    prompts: async () => (await client.listPrompts()).prompts,
    async subscribe(uri, changed) {
      client.setNotificationHandler('notifications/resources/updated', ({ params }: Json) =>
        changed(params.uri),
      );
      if (sessionless) await client.listen({ resourceSubscriptions: [uri] });
      else await client.subscribeResource({ uri });
    },
    close: () => client.close(),
  };
}

const cases: [string, string, (agent: string) => AnyClient][] = [
  ...(['mcp', 'sse/'] as const).flatMap((transport) =>
    ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'].flatMap(
      (revision): [string, string, (agent: string) => AnyClient][] => [
        [`SDK 1.x over ${transport}`, revision, (agent) => v1(agent, transport, revision)],
        [`SDK 2.x over ${transport}`, revision, (agent) => v2(agent, transport, revision)],
      ],
    ),
  ),
  ['SDK 2.x over mcp', '2026-07-28', (agent) => v2(agent, 'mcp', '2026-07-28')],
];

describe.each(cases)('%s, revision %s', (_name, revision, make) => {
  it('connects, lists, calls, reads, waits, hears of changes and leaves', async () => {
    const writer = make('writer');
    const critic = make('critic');
    await writer.connect();
    await critic.connect();
    expect(writer.revision()).toBe(revision);
    expect(mcp.team.agent('writer').connects).toBe(1);

    expect(await writer.tools()).toEqual([
      'coral_create_thread',
      'coral_close_thread',
      'coral_add_participant',
      'coral_remove_participant',
      'coral_send_message',
      'coral_wait_for_message',
      'coral_wait_for_mention',
      'coral_wait_for_agent',
    ]);
    expect(await writer.resources()).toEqual(['coral://instruction', 'coral://state']);
    expect(await writer.prompts()).toEqual([]);
    expect(await writer.read('coral://instruction')).toContain('coral_wait_for_mention');
    expect(await writer.read('coral://state')).toContain('agent writer');

    const updated: string[] = [];
    await critic.subscribe('coral://state', (uri) => updated.push(uri));

    const created = await writer.call('coral_create_thread', {
      threadName: 'plan',
      participantNames: ['critic'],
    });
    const { thread } = created.structuredContent;
    expect(thread).toMatchObject({ name: 'plan', participants: ['writer', 'critic'] });
    expect(JSON.parse(created.content[0].text)).toEqual(created.structuredContent);
    await until(() => updated.length > 0);
    expect(updated[0]).toBe('coral://state');

    let progress = 0;
    const waiting = critic.call(
      'coral_wait_for_mention',
      { maxWaitMs: 50_000 },
      { onprogress: () => (progress += 1) },
    );
    // Streams tell a waiting client that the server is there, also where the transport is the older pair.
    await until(() => progress >= 2);
    const sent = await writer.call('coral_send_message', {
      threadId: thread.id,
      content: 'what do you think?',
      mentions: ['critic'],
    });
    expect(sent.structuredContent.status).toBe('Message sent successfully');
    const received = await waiting;
    expect(received.structuredContent).toEqual({
      message: sent.structuredContent.message,
      status: 'Message received',
    });
    await until(() => mcp.team.agent('critic').settled.some(({ what }) => what === 'what do you think?'));
    expect(mcp.team.agent('critic').settled).toContainEqual({ what: 'what do you think?', delivered: true });

    const nothing = await critic.call('coral_wait_for_message', { maxWaitMs: 1 });
    expect(nothing.structuredContent).toEqual({ status: 'Timeout reached' });

    const failed = await writer.call('coral_send_message', { threadId: 'nope', content: 'x', mentions: [] });
    expect(failed.isError).toBe(true);
    expect(failed.content).toEqual([{ type: 'text', text: 'There is no thread nope.' }]);

    const abort = new AbortController();
    const before = mcp.team.agent('critic').waits.length;
    const cancelled = critic.call('coral_wait_for_message', { maxWaitMs: 50_000 }, { signal: abort.signal });
    await until(() => mcp.team.agent('critic').waits.length > before);
    abort.abort();
    await expect(cancelled).rejects.toThrow();
    await until(() => mcp.team.agent('critic').waits.at(-1)?.signal?.aborted === true);

    await writer.close();
    await critic.close();
  });
});

describe('leaving', () => {
  it('is noticed at once when the client says so, over both transports', async () => {
    const writer = mcp.team.agent('writer');
    const http = new ClientV1(info);
    const wire = new HttpV1(new URL(mcp.url('writer')));
    await http.connect(wire);
    await wire.terminateSession();
    await until(() => writer.disconnects === 1);
    await http.close();

    const sse = new ClientV1(info);
    await sse.connect(new SseV1(new URL(mcp.url('writer', 'sse/'))));
    expect(writer.connects).toBe(2);
    await sse.close();
    await until(() => writer.disconnects === 2);
  });

  it('finds the revision by itself when a client tries the newest first', async () => {
    const client = new ClientV2(info, { versionNegotiation: { mode: 'auto' } } as Json);
    await client.connect(new HttpV2(new URL(mcp.url('writer'))));
    expect(client.getNegotiatedProtocolVersion()).toBe('2026-07-28');
    await client.close();
  });

  it('of the server is told to who listens', async () => {
    const client = new ClientV2(info, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
    await client.connect(new HttpV2(new URL(mcp.url('writer'))));
    const subscription = await client.listen({
      resourceSubscriptions: ['coral://state', 'coral://nope'],
      toolsListChanged: true,
    });
    expect(subscription.honoredFilter).toEqual({ resourceSubscriptions: ['coral://state'] });
    await mcp.door.close();
    expect(await subscription.closed).toBe('graceful');
    await client.close();
  });

  it('tells clients with a dead secret that they are not welcome', async () => {
    for (const wire of [
      new HttpV1(new URL(mcp.url('nobody'))),
      new SseV1(new URL(mcp.url('nobody', 'sse/'))),
    ]) {
      await expect(new ClientV1(info).connect(wire as TransportV1)).rejects.toThrow(
        /401|unauthorized|Unauthorized/,
      );
    }
    await expect(new ClientV2(info).connect(new HttpV2(new URL(mcp.url('nobody'))))).rejects.toThrow();
  });
});
