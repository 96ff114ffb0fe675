import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import echo from '../../agents/debug/echo.ts';
import puppet from '../../agents/debug/puppet.ts';
import seed from '../../agents/debug/seed.ts';
import socket from '../../agents/debug/socket.ts';
import tool from '../../agents/debug/tool.ts';
import { FakeServer } from '../client/fake-server.ts';

interface Line {
  readonly text: string;
  readonly io?: 'out' | 'error';
  readonly sensitive?: boolean;
}

let server: FakeServer;
let lines: Line[];
let stop: AbortController;

beforeEach(async () => {
  server = await new FakeServer().start();
  lines = [];
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await server.stop();
});

function context(name: string, options: Record<string, string> = {}) {
  return {
    environment: server.environment(name, options),
    signal: stop.signal,
    log: (text: string, how: Omit<Line, 'text'> = {}) => void lines.push({ text, ...how }),
  };
}

describe('echo', () => {
  test('answers so many messages and ends', async () => {
    const thread = server.thread('t', ['ada', 'echo']);
    for (const text of ['one', 'two', 'three']) server.post(thread.id, 'ada', text);
    await echo(context('echo', { ITERATION_COUNT: '2' }));
    expect(server.messages.slice(3)).toMatchObject([
      { text: 'nice message!', senderName: 'echo', mentionNames: ['ada'] },
      { text: 'nice message!', senderName: 'echo', mentionNames: ['ada'] },
    ]);
    expect(server.messages).toHaveLength(5);
  });

  test.each([
    ['by one agent', { FROM_AGENT: 'bob' }, ['bob', 'bob']],
    ['that mention it', { MENTIONS: '1' }, ['ada', 'bob']],
    ['by one agent that mention it', { FROM_AGENT: 'bob', MENTIONS: '1' }, ['bob']],
  ])('answers only messages %s', async (_what, options, answered) => {
    const thread = server.thread('t', ['ada', 'bob', 'echo']);
    server.post(thread.id, 'ada', 'hello');
    server.post(thread.id, 'bob', 'hello');
    server.post(thread.id, 'ada', 'hello echo', ['echo']);
    server.post(thread.id, 'bob', 'hello echo', ['echo']);
    await echo(context('echo', { ...options, ITERATION_COUNT: String(answered.length) }));
    expect(server.messages.slice(4).map((message) => message.mentionNames)).toEqual(
      answered.map((name) => [name]),
    );
  });

  test('ends at once when it is asked to stop, also before it connects', async () => {
    const waiting = echo(context('echo'));
    await server.until(() => server.calls.length === 1);
    stop.abort();
    await waiting;
    await echo(context('echo', { START_DELAY: '3600000' }));
  });
});

test('seed makes its threads with their messages and ends', async () => {
  const options = {
    SEED_THREAD_COUNT: '2',
    SEED_MESSAGE_COUNT: '2',
    PARTICIPANTS: 'ada,bob',
    MENTIONS: 'bob',
  };
  await seed(context('seed', { ...options, OPERATION_DELAY: '1' }));
  expect(
    [...server.threads.values()].map((thread) => [
      thread.name,
      thread.participants,
      thread.messages.map((message) => [message.text, message.mentionNames]),
    ]),
  ).toEqual([
    ['thread 0', ['seed', 'ada', 'bob'], [['message 0', ['bob']], ['message 1', ['bob']]]], // prettier-ignore
    ['thread 1', ['seed', 'ada', 'bob'], [['message 0', ['bob']], ['message 1', ['bob']]]], // prettier-ignore
  ]);
});

describe('tool', () => {
  test('calls one tool with its input and prints the answer', async () => {
    const input = { threadName: 'made', participantNames: ['ada'] };
    await tool(context('tool', { TOOL_NAME: 'coral_create_thread', TOOL_INPUT: JSON.stringify(input) }));
    expect(server.calls).toEqual([{ agent: 'tool', tool: 'coral_create_thread', args: input }]);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]?.text ?? '')).toMatchObject({ thread: { name: 'made' } });
  });

  test('prints a refusal and ends well all the same', async () => {
    await tool(context('tool', { TOOL_NAME: 'nonsense' }));
    expect(lines).toEqual([{ text: 'There is no tool nonsense.', io: 'error' }]);
  });

  test('fails on input that is no JSON object', async () => {
    const input = { TOOL_NAME: 'x', TOOL_INPUT: '{"a":' };
    await expect(tool(context('tool', input))).rejects.toThrow(/TOOL_INPUT is not JSON/);
    await expect(tool(context('tool', { ...input, TOOL_INPUT: '[]' }))).rejects.toThrow(/JSON object/);
  });
});

test('puppet connects and stays until it is asked to stop', async () => {
  const running = puppet(context('puppet'));
  await server.until(() => server.greeted.length === 1);
  stop.abort();
  await running;
  expect(server.ended).toEqual(['puppet']);
  expect(server.calls).toEqual([]);
});

test('socket prints the environment in one sensitive line and never connects', async () => {
  const running = socket(context('socket', { ENVIRONMENT_FORMAT: 'JETBRAINS', NOTE: 'a;b\nc' }));
  stop.abort();
  await running;
  expect(server.open.size).toBe(0);
  expect(lines).toEqual([
    {
      text: `CORAL_CONNECTION_URL=${server.environment('socket')['CORAL_CONNECTION_URL'] ?? ''};CORAL_AGENT_ID=socket;CORAL_AGENT_SECRET=secret-of-socket;CORAL_SESSION_ID=session-1;CORAL_API_URL=http://127.0.0.1:${server.port};CORAL_RUNTIME_ID=executable;NOTE=a\\;b\\nc`,
      sensitive: true,
    },
  ]);
});
