import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentClosed, ConnectionLost, ToolError, connect, run } from 'coral/agent';
import type { Agent } from 'coral/agent';
import { FakeServer } from './fake-server.ts';

let server: FakeServer;
const agents: Agent[] = [];

beforeEach(async () => {
  server = await new FakeServer().start();
});

afterEach(async () => {
  await Promise.all(agents.splice(0).map((agent) => agent.close()));
  await server.stop();
});

async function agent(name: string, more: { sse?: boolean; reconnectForMs?: number; log?: string[] } = {}) {
  const made = await connect({
    environment: server.environment(name, {}, more.sse),
    log: (text) => void more.log?.push(text),
    ...(more.reconnectForMs !== undefined && { reconnectForMs: more.reconnectForMs }),
  });
  agents.push(made);
  return made;
}

describe.each([
  ['streamable HTTP', false],
  ['the old pair of streams', true],
])('an agent over %s', (_transport, sse) => {
  test('opens threads, sends, and is handed what others say', async () => {
    const ada = await agent('ada', { sse });
    const bob = await agent('bob', { sse });

    const thread = await ada.createThread('plans', ['bob']);
    const waiting = bob.waitForMessage();
    const sent = await ada.send(thread.id, 'Hello Bob', ['bob']);

    expect(await waiting).toEqual(sent);
    expect(thread).toMatchObject({ name: 'plans', participants: ['ada', 'bob'] });
    expect(sent).toMatchObject({ text: 'Hello Bob', senderName: 'ada', mentionNames: ['bob'] });
  });

  test('answers mentions one after the other until it is closed', async () => {
    const bob = await agent('bob', { sse });
    const thread = server.thread('questions', ['ada', 'bob']);
    server.post(thread.id, 'ada', 'one', ['bob']);
    server.post(thread.id, 'ada', 'not for bob');
    server.post(thread.id, 'ada', 'two', ['bob']);

    const loop = bob.onMention((message) => `${message.text}!`);
    await server.until(() => server.messages.length === 5);
    await bob.close();
    await loop;

    expect(server.messages.slice(3)).toMatchObject([
      { text: 'one!', senderName: 'bob', mentionNames: ['ada'] },
      { text: 'two!', senderName: 'bob', mentionNames: ['ada'] },
    ]);
  });

  test('ends its waits when the server says that its secret is revoked', async () => {
    const bob = await agent('bob', { sse });
    server.revoked.add('bob');
    await expect(bob.waitForMessage({ timeoutMs: 30_000 })).rejects.toMatchObject({
      name: 'AgentClosed',
      reason: 'revoked',
    });
    expect(bob.signal.aborted).toBe(true);
  });
});

test('a wait tells that its time is up', async () => {
  const bob = await agent('bob');
  expect(await bob.waitForMessage({ timeoutMs: 50 })).toBeUndefined();
});

test('a wait can be ended from outside', async () => {
  const bob = await agent('bob');
  const stop = new AbortController();
  const wait = bob.waitForMessage({ signal: stop.signal });
  await server.until(() => server.calls.length === 1);
  stop.abort(new Error('enough'));
  await expect(wait).rejects.toThrow('enough');
  expect(bob.signal.aborted).toBe(false);
});

test('a wait for mentions by one agent skips what else that agent says', async () => {
  const bob = await agent('bob');
  const thread = server.thread('t', ['ada', 'bob', 'eve']);
  server.post(thread.id, 'eve', 'hey bob', ['bob']);
  server.post(thread.id, 'ada', 'thinking aloud');
  server.post(thread.id, 'ada', 'bob, listen', ['bob']);
  expect(await bob.waitForMessage({ from: 'ada', mention: true })).toMatchObject({ text: 'bob, listen' });
});

test('a tool that refuses rejects with its sentence', async () => {
  const ada = await agent('ada');
  const error: unknown = await ada.send('nowhere', 'hello').catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ToolError);
  expect(error).toMatchObject({ tool: 'coral_send_message', message: 'There is no thread nowhere.' });
});

test('a handler that fails is reported in the thread and the next mention is answered', async () => {
  const log: string[] = [];
  const bob = await agent('bob', { log });
  const thread = server.thread('t', ['ada', 'bob']);
  server.post(thread.id, 'ada', 'bad', ['bob']);
  server.post(thread.id, 'ada', 'good', ['bob']);
  void bob.onMention((message) => {
    if (message.text === 'bad') throw new Error('the cupboard is bare');
    return 'fine';
  });
  await server.until(() => server.messages.length === 4);
  expect(server.messages.slice(2).map((message) => message.text)).toEqual([
    'I could not answer that: the cupboard is bare',
    'fine',
  ]);
  expect(log).toEqual(['could not answer ada: the cupboard is bare']);
});

test('a handler that fails ends the loop where that is asked for', async () => {
  const bob = await agent('bob');
  const thread = server.thread('t', ['ada', 'bob']);
  server.post(thread.id, 'ada', 'bad', ['bob']);
  const loop = bob.onMention(() => Promise.reject(new Error('no')), { onError: 'throw' });
  await expect(loop).rejects.toThrow('no');
});

test('leaving tells the server goodbye and ends what is under way', async () => {
  const bob = await agent('bob');
  const wait = bob.waitForMessage();
  await server.until(() => server.calls.length === 1);
  await bob.close();
  await expect(wait).rejects.toBeInstanceOf(AgentClosed);
  expect(server.ended).toEqual(['bob']);
  await expect(bob.send('t', 'late')).rejects.toBeInstanceOf(AgentClosed);
});

test('closing the session hands over its result', async () => {
  const ada = await agent('ada');
  await ada.closeSession('done', { lines: 12 });
  expect(server.closed).toEqual({ reason: 'done', result: { lines: 12 } });
});

test('the state is read as text and as data', async () => {
  server.stateText = [
    '# General',
    'You are ada.',
    '# Agents',
    '```json',
    '[{"agentName":"bob","agentConnected":true,"agentWaiting":false,"agentSleeping":false,"agentRunning":true}]',
    '```',
    '# Threads and messages',
    '```json',
    '[{"threadId":"t","threadName":"plans","owningAgentName":"ada","participatingAgents":["ada","bob"],"state":"open","messages":[{"messageText":"a\\n```\\nb","sendingAgentName":"bob","messageTimestamp":"x"}]}]',
    '```',
  ].join('\n');
  const state = await (await agent('ada')).state();
  expect(state.text).toBe(server.stateText);
  expect(state.agents.map((peer) => [peer.agentName, peer.agentRunning])).toEqual([['bob', true]]);
  expect(state.threads[0]?.messages?.[0]?.messageText).toBe('a\n```\nb');
});

describe('when the line breaks', () => {
  test('a wait that was cut goes on, and what was lost on the way comes again', async () => {
    const bob = await agent('bob');
    const thread = server.thread('t', ['ada', 'bob']);
    server.post(thread.id, 'ada', 'one');
    expect(await bob.waitForMessage()).toMatchObject({ text: 'one' });

    server.trouble.push({ tool: 'coral_wait_for_message', what: 'cut_after_hand_over' });
    server.post(thread.id, 'ada', 'two');
    server.post(thread.id, 'ada', 'three');
    expect(await bob.waitForMessage()).toMatchObject({ text: 'two' });
    expect(await bob.waitForMessage()).toMatchObject({ text: 'three' });
  });

  test('what arrived by another kind of wait does not come twice', async () => {
    const bob = await agent('bob');
    const thread = server.thread('t', ['ada', 'bob']);
    server.post(thread.id, 'ada', 'one');
    await bob.waitForMessage();
    server.post(thread.id, 'ada', 'two', ['bob']);
    await bob.waitForMessage({ mention: true });
    server.post(thread.id, 'ada', 'three');
    server.trouble.push({ tool: 'coral_wait_for_message', what: 'cut_before_answer' });
    expect(await bob.waitForMessage()).toMatchObject({ text: 'three' });
  });

  test.each(['cut_before_answer', 'cut_after_hand_over'] as const)(
    'a message is sent until it is known to have arrived, and arrives once (%s)',
    async (what) => {
      const ada = await agent('ada');
      const thread = await ada.createThread('t', []);
      server.trouble.push({ tool: 'coral_send_message', what });
      const sent = await ada.send(thread.id, 'once');
      expect(server.messages).toEqual([sent]);
      await ada.send(thread.id, 'once');
      expect(server.messages).toHaveLength(2);
    },
  );

  test('what may have been done and does harm twice is not done a second time', async () => {
    const ada = await agent('ada');
    server.trouble.push({ tool: 'coral_create_thread', what: 'cut_before_answer' });
    const error: unknown = await ada.createThread('t', []).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConnectionLost);
    expect(error).toMatchObject({ uncertain: true });
    expect(server.calls).toHaveLength(1);
  });

  test('a message that the server did not take is sent again', async () => {
    const ada = await agent('ada');
    const thread = await ada.createThread('t', []);
    server.trouble.push({ tool: 'coral_send_message', what: 'unavailable' });
    expect(await ada.send(thread.id, 'once')).toMatchObject({ text: 'once' });
    expect(server.messages).toHaveLength(1);
  });

  test('a server that forgot the MCP session is dialled again', async () => {
    const ada = await agent('ada');
    server.forgetSessions();
    expect(await ada.createThread('t', [])).toMatchObject({ name: 't' });
  });

  test('an agent gives up on a server that stays away, and its secret is in no sentence', async () => {
    const ada = await agent('ada', { reconnectForMs: 300 });
    await server.stop();
    const error: unknown = await ada.waitForMessage().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConnectionLost);
    expect((error as Error).message).toContain('could not be reached');
    expect((error as Error).message).not.toContain('secret-of-ada');
  });

  test('the same over the old pair of streams', async () => {
    const ada = await agent('ada', { sse: true, reconnectForMs: 300 });
    await server.stop();
    await expect(ada.waitForMessage()).rejects.toBeInstanceOf(ConnectionLost);
  });
});

describe('connecting', () => {
  test('without the environment of an agent says what to do', async () => {
    await expect(connect({ environment: {} })).rejects.toThrow(/CORAL_CONNECTION_URL is not set.*coral dev/);
  });

  test('with a dead secret says so', async () => {
    server.revoked.add('ada');
    await expect(connect({ environment: server.environment('ada') })).rejects.toMatchObject({
      reason: 'revoked',
    });
  });

  test('to a path that is no MCP endpoint says so', async () => {
    const environment = server.environment('ada');
    server.forgetSessions();
    const url = environment['CORAL_CONNECTION_URL']?.replace(/\/mcp\/v1.*/, '/');
    await server.stop();
    const { createServer } = await import('node:http');
    const other = createServer((_request, response) => response.writeHead(404).end()).listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const port = (other.address() as { port: number }).port;
    try {
      await expect(
        connect({ environment: { CORAL_CONNECTION_URL: url?.replace(/:\d+/, `:${port}`) } }),
      ).rejects.toThrow(/no MCP endpoint/);
    } finally {
      other.close();
    }
  });

  test('a signal that aborts closes the agent, and run ends quietly', async () => {
    const stop = new AbortController();
    const running = run(async (bob) => bob.onMention(() => 'yes'), {
      environment: server.environment('bob'),
      signal: stop.signal,
    });
    await server.until(() => server.calls.length === 1);
    stop.abort();
    await running;
    expect(server.ended).toEqual(['bob']);
  });

  test('run hands errors to its caller when several agents live in a process', async () => {
    const running = run(() => Promise.reject(new Error('broken')), {
      environment: server.environment('bob'),
    });
    await expect(running).rejects.toThrow('broken');
    expect(server.ended).toEqual(['bob']);
  });
});
