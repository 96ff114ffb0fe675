/** The door with the real engine behind it: memory journal, scripted agents, official clients. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionKey } from '../../src/domain/state.ts';
import { GraphAgentRequest, SessionRequest } from '../../src/domain/wire/request.ts';
import { engineWorld, type EngineWorld } from '../support/engine-world.ts';
import { call, post, startMcp, until, type McpServer } from '../support/mcp-server.ts';

type Json = ReturnType<typeof JSON.parse>;
const MINUTE = 60_000;

let world: EngineWorld;
let mcp: McpServer;
let key: SessionKey;
const clients: Client[] = [];

beforeEach(async () => {
  world = await engineWorld({ scripts: { worker: {} } });
  mcp = await startMcp(
    {},
    { authenticate: (secret) => world.coral.authenticate(secret), now: () => world.host.now() },
  );
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await mcp.stop();
  expect(mcp.warnings).toEqual([]);
});

/** Opens a session of workers, all in one group. */
async function open(agents: Record<string, { blocking?: boolean; closer?: boolean }>): Promise<void> {
  const names = Object.keys(agents);
  key = await world.coral.open(
    SessionRequest.parse({
      agentGraphRequest: {
        agents: names.map((name) => ({
          id: { name: 'worker', version: '1.0.0', registrySourceId: { type: 'local' } },
          name,
          description: `does ${name}`,
          provider: { type: 'local', runtime: 'scripted' },
          blocking: agents[name]?.blocking,
          plugins: agents[name]?.closer ? [{ type: 'close_session_tool' }] : [],
        })),
        groups: [names],
      },
      namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'test' } },
    }),
  );
  await world.settled();
}

const state = () => world.coral.session(key);

function url(agent: string): string {
  for (const secret of world.host.secrets.toReversed()) {
    const found = world.coral.authenticate(secret);
    if (found?.agent === agent && found.key.sessionId === key.sessionId) {
      return `http://127.0.0.1:${mcp.port}/mcp/v1/${secret}/mcp`;
    }
  }
  throw new Error(`agent ${agent} has no secret`);
}

/** An official client, connected. */
async function connect(agent: string) {
  const transport = new StreamableHTTPClientTransport(new URL(url(agent)));
  const client = new Client({ name: agent, version: '1' });
  clients.push(client);
  await client.connect(transport);
  const use = async (name: string, args: Record<string, unknown> = {}): Promise<Json> =>
    client.callTool({ name, arguments: args });
  const read = async (uri: string): Promise<string> =>
    ((await client.readResource({ uri })).contents[0] as Json).text;
  return { client, transport, use, read };
}

/** The JSON list of one part of `coral://state`. */
const part = (text: string, title: string): Json =>
  JSON.parse(new RegExp(`^# ${title}\\n[^]*?^\`\`\`json\\n(.*)$`, 'm').exec(text)?.[1] ?? 'null');

describe('agents of a real session', () => {
  it('talk, read the state and are seen to connect, wait and leave', async () => {
    await open({ writer: {}, critic: {} });
    const writer = await connect('writer');
    expect(state().agents.get('writer')?.connected).toBe(true);
    expect(state().agents.get('critic')?.connected).toBe(false);
    const critic = await connect('critic');

    const { thread } = (
      await writer.use('coral_create_thread', { threadName: 'plan', participantNames: ['critic'] })
    ).structuredContent;
    const waiting = critic.use('coral_wait_for_mention', { maxWaitMs: 50_000 });
    await until(() => state().agents.get('critic')?.waits.size === 1);
    expect(part(await writer.read('coral://state'), 'Agents')).toEqual([
      expect.objectContaining({
        agentName: 'critic',
        agentDescription: 'does critic',
        agentConnected: true,
        agentWaiting: true,
        agentRunning: true,
      }),
    ]);
    await writer.use('coral_send_message', { threadId: thread.id, content: 'by the way', mentions: [] });
    await writer.use('coral_send_message', { threadId: thread.id, content: 'well?', mentions: ['critic'] });
    expect((await waiting).structuredContent).toMatchObject({
      status: 'Message received',
      message: { text: 'well?', senderName: 'writer', mentionNames: ['critic'], threadId: thread.id },
    });
    await until(() => state().agents.get('critic')?.waits.size === 0);

    expect(part(await critic.read('coral://state'), 'Threads and messages')).toEqual([
      expect.objectContaining({
        threadName: 'plan',
        participatingAgents: ['writer', 'critic'],
        messages: [
          expect.objectContaining({ messageText: 'by the way' }),
          expect.objectContaining({ messageText: 'well?', mentionAgentNames: ['critic'] }),
        ],
      }),
    ]);
    await world.settled();
    // The read handed over what it showed.
    expect((await critic.use('coral_wait_for_message', { maxWaitMs: 0 })).structuredContent).toEqual({
      status: 'Timeout reached',
    });

    const refused = await writer.use('coral_send_message', {
      threadId: thread.id,
      content: 'x',
      mentions: ['writer'],
    });
    expect(refused).toMatchObject({
      isError: true,
      structuredContent: { error: expect.stringMatching(/yourself/) },
    });

    await writer.transport.terminateSession();
    await until(() => state().agents.get('writer')?.connected === false);
  });

  it('learn from their state, and are told, who joins, who is dismissed and when the session must end', async () => {
    await open({ writer: {}, critic: {} });
    const writer = await connect('writer');
    let updates = 0;
    writer.client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
      if (params.uri === 'coral://state') updates += 1;
    });
    await writer.client.subscribeResource({ uri: 'coral://state' });
    /** Changes the session, and reads the state once it is told of that. */
    const after = async (change: () => Promise<unknown>): Promise<string> => {
      await world.settled();
      const before = updates;
      await change();
      await until(() => updates > before);
      return writer.read('coral://state');
    };
    const linked = (text: string): string[] =>
      (part(text, 'Agents') as { agentName: string }[]).map(({ agentName }) => agentName);
    const editor = GraphAgentRequest.parse({
      id: { name: 'worker', version: '1.0.0', registrySourceId: { type: 'local' } },
      name: 'editor',
      provider: { type: 'local', runtime: 'scripted' },
    });
    expect(linked(await after(() => world.coral.addAgent(key, editor, [['writer']])))).toEqual([
      'critic',
      'editor',
    ]);
    expect(linked(await after(() => world.coral.dismissAgent(key, 'critic')))).toEqual(['editor']);
    const { phase } = state();
    const executed = phase.type === 'running' ? phase.executedAt : NaN;
    const end = new Date(executed + MINUTE).toISOString();
    expect(await after(() => world.coral.changeTtl(key, MINUTE))).toContain(
      `The session ends at ${end} at the latest.`,
    );
    expect(await after(() => world.coral.changeTtl(key, undefined))).not.toContain('at the latest');
  });

  it('lose no message with a client that vanishes, and the journal tells', async () => {
    await open({ writer: {}, critic: {} });
    const writer = await connect('writer');
    const { thread } = (
      await writer.use('coral_create_thread', { threadName: 't', participantNames: ['critic'] })
    ).structuredContent;
    const gone = httpRequest(url('critic'), { method: 'POST', agent: false });
    gone.on('error', () => {});
    gone.end(JSON.stringify(call('coral_wait_for_message', { maxWaitMs: 50_000 })));
    await until(() => state().agents.get('critic')?.waits.size === 1);
    gone.destroy();
    await until(() => state().agents.get('critic')?.waits.size === 0);
    await writer.use('coral_send_message', { threadId: thread.id, content: 'still there?', mentions: [] });
    const { body } = await post(url('critic'), call('coral_wait_for_message'));
    expect(body.result.structuredContent.message.text).toBe('still there?');
    await world.settled();
    const outcomes = (await world.story(key.sessionId))
      .map(({ event }) => event)
      .filter((event) => event.type === 'wait_ended')
      .map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['client_gone', 'message']);
  });

  it('are answered within 55 s, so that no client gives up at 60', async () => {
    await open({ writer: {} });
    const { use } = await connect('writer');
    const waiting = use('coral_wait_for_message', { maxWaitMs: 10 * MINUTE });
    await until(() => state().agents.get('writer')?.waits.size === 1);
    await world.advance(54_999);
    expect(state().agents.get('writer')?.waits.size).toBe(1);
    await world.advance(1);
    expect((await waiting).structuredContent).toEqual({ status: 'Timeout reached' });
  });

  it('are refused in sentences that say what to do', async () => {
    await open({ writer: {}, critic: {}, guest: {} });
    const writer = await connect('writer');
    const guest = await connect('guest');
    const begin = async (threadName: string): Promise<string> =>
      (await writer.use('coral_create_thread', { threadName, participantNames: ['critic'] }))
        .structuredContent.thread.id;
    const threadId = await begin('plan');
    const over = await begin('over');
    await writer.use('coral_close_thread', { threadId: over, summary: 'done' });
    const said = { threadId, content: 'once', mentions: [], idempotencyKey: 'k' };
    await writer.use('coral_send_message', said);

    const inThread = (participantName: string): object => ({ threadId, participantName });
    const say = (mentions: string[], more: object = {}): object => ({
      threadId,
      content: 'x',
      mentions,
      ...more,
    });
    const refused: [typeof writer, string, object, RegExp][] = [
      [writer, 'coral_create_thread', { threadName: 't', participantNames: ['nobody'] }, /"nobody".*writer/],
      [writer, 'coral_send_message', say([], { threadId: 'nowhere' }), /nowhere.*coral:\/\/state/],
      [writer, 'coral_send_message', say([], { threadId: over }), /closed; create a new thread/],
      [writer, 'coral_send_message', say(['writer']), /yourself/],
      [writer, 'coral_send_message', say(['nobody']), /"nobody".*critic/],
      [writer, 'coral_send_message', say(['guest']), /"guest".*Add it first/],
      [writer, 'coral_send_message', { ...said, content: 'twice' }, /use a new key/],
      [writer, 'coral_send_message', say([], { content: 'x'.repeat(3_000_000) }), /limits\.messageSize/],
      [writer, 'coral_send_message', say([], { content: 5 }), /content: must be text/],
      [writer, 'coral_add_participant', inThread('critic'), /already participates/],
      [writer, 'coral_add_participant', inThread('nobody'), /"nobody".*writer/],
      [writer, 'coral_remove_participant', inThread('guest'), /does not participate/],
      [writer, 'coral_close_thread', { threadId: over, summary: '' }, /is closed/],
      [writer, 'coral_wait_for_message', { afterMessageId: 'none' }, /no message none/],
      [guest, 'coral_send_message', say([]), /coral_add_participant/],
      [guest, 'coral_close_thread', { threadId, summary: '' }, /coral_add_participant/],
      [guest, 'coral_add_participant', inThread('guest'), /coral_add_participant/],
      [guest, 'coral_remove_participant', inThread('critic'), /coral_add_participant/],
    ];
    for (const [{ use }, name, args, why] of refused) {
      const { isError, content, structuredContent } = await use(name, args as Record<string, unknown>);
      expect([name, isError, structuredContent.error]).toEqual([name, true, expect.stringMatching(why)]);
      expect(structuredContent.error).toMatch(/^[A-Z"][^]*\.$/);
      expect(content[0].text).toBe(structuredContent.error);
    }
  });

  it('that block are let in together', async () => {
    await open({ first: { blocking: true }, second: { blocking: true }, free: {} });
    let inside = false;
    const first = connect('first').then(() => (inside = true));
    await connect('free');
    await world.settled();
    expect(inside).toBe(false);
    await connect('second');
    await first;
    expect(inside).toBe(true);
  });

  it('close the session with a result; everybody else’s wait ends and no secret opens the door again', async () => {
    await open({ boss: { closer: true }, worker: {} });
    const boss = await connect('boss');
    const worker = await connect('worker');
    const [bossUrl, workerUrl] = [url('boss'), url('worker')];
    const waiting = worker.use('coral_wait_for_message', { maxWaitMs: 50_000 });
    await until(() => state().agents.get('worker')?.waits.size === 1);
    const closed = await boss.use('coral_close_session', { reason: 'done', result: { files: 3 } });
    expect(closed.structuredContent).toEqual({ message: 'Session closed successfully' });
    expect((await waiting).structuredContent).toEqual({ status: 'Timeout reached' });
    await world.advance(MINUTE);
    for (const dead of [bossUrl, workerUrl]) {
      expect((await post(dead, { jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(401);
    }
    expect((await world.coral.archive.state(key)).result).toEqual({ files: 3 });
  });
});
