/** What the tools and resources say and take. Source: docs/wire.md, "Tools" and "Resources". */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Refusal } from '../../src/domain/refusal.ts';
import { JournalError } from '../../src/ports/journal.ts';
import { call, post, startMcp, type McpServer } from '../support/mcp-server.ts';

let mcp: McpServer;
let url: string;
beforeEach(async () => {
  mcp = await startMcp({
    writer: {},
    critic: { plugins: ['close_session_tool'] },
    tooled: { tools: ['search'] },
  });
  url = mcp.url('writer');
});
afterEach(() => mcp.stop());

type Json = ReturnType<typeof JSON.parse>;
const tools = async (agent: string): Promise<Json[]> =>
  (await post(mcp.url(agent), { jsonrpc: '2.0', id: 1, method: 'tools/list' })).body.result.tools;
const use = async (name: string, args: object = {}): Promise<Json> =>
  (await post(url, call(name, args as Record<string, unknown>))).body.result;
const read = async (agent: string, uri: string): Promise<Json> =>
  (await post(mcp.url(agent), { jsonrpc: '2.0', id: 1, method: 'resources/read', params: { uri } })).body;

describe('the list of tools', () => {
  it('asks for what the contract says, in schemas every model vendor takes', async () => {
    const required = Object.fromEntries(
      (await tools('critic')).map(({ name, inputSchema }) => [
        name,
        { all: Object.keys(inputSchema.properties), required: inputSchema.required ?? [] },
      ]),
    );
    const wait = ['currentUnixTime', 'maxWaitMs', 'afterMessageId'];
    const both = (...names: string[]) => ({ all: names, required: names });
    expect(required).toEqual({
      coral_create_thread: both('threadName', 'participantNames'),
      coral_close_thread: both('threadId', 'summary'),
      coral_add_participant: both('threadId', 'participantName'),
      coral_remove_participant: both('threadId', 'participantName'),
      coral_send_message: {
        all: ['threadId', 'content', 'mentions', 'idempotencyKey'],
        required: ['threadId', 'content', 'mentions'],
      },
      coral_wait_for_message: { all: wait, required: [] },
      coral_wait_for_mention: { all: wait, required: [] },
      coral_wait_for_agent: { all: ['agentName', ...wait], required: ['agentName'] },
      coral_close_session: { all: ['reason', 'result'], required: ['reason'] },
    });
  });

  it('uses only keywords that every vendor knows, and describes everything', async () => {
    for (const tool of await tools('critic')) {
      expect(tool.description.length).toBeGreaterThan(40);
      expect(tool.outputSchema).toBeUndefined();
      expect(
        Object.keys(tool.inputSchema).every((key) => ['type', 'properties', 'required'].includes(key)),
      ).toBe(true);
      for (const property of Object.values<Json>(tool.inputSchema.properties)) {
        expect(property.description).toBeTruthy();
        expect(['string', 'integer', 'array']).toContain(property.type);
        expect(
          Object.keys(property).filter((key) => !['type', 'items', 'description'].includes(key)),
        ).toEqual([]);
      }
    }
  });

  it('offers to close the session only with the plugin', async () => {
    const names = (await tools('writer')).map(({ name }) => name);
    expect(names).not.toContain('coral_close_session');
    expect((await post(url, call('coral_close_session', { reason: 'x' }))).body.error.code).toBe(-32602);
  });
});

describe('a call', () => {
  it('answers with a structured result and the same JSON as text', async () => {
    const result = await use('coral_create_thread', { threadName: 'plan', participantNames: ['critic'] });
    expect(result.structuredContent.thread).toMatchObject({
      id: 't1',
      name: 'plan',
      state: { state: 'open' },
    });
    expect(result.content).toEqual([{ type: 'text', text: JSON.stringify(result.structuredContent) }]);
    for (const [name, args] of [
      ['coral_add_participant', { threadId: 't1', participantName: 'tooled' }],
      ['coral_remove_participant', { threadId: 't1', participantName: 'tooled' }],
      ['coral_close_thread', { threadId: 't1', summary: 'done' }],
    ] as const) {
      expect((await use(name, args)).structuredContent).toEqual({
        message: expect.stringMatching(/successfully$/),
      });
    }
  });

  it('understands how models write arguments', async () => {
    const participants = async (participantNames: unknown): Promise<Json> =>
      (await use('coral_create_thread', { threadName: 't', participantNames })).structuredContent.thread
        .participants;
    expect(await participants('critic')).toEqual(['writer', 'critic']);
    expect(await participants('["critic","tooled"]')).toEqual(['writer', 'critic', 'tooled']);
    expect(await participants(null)).toEqual(['writer']);
    expect(
      (await use('coral_send_message', { threadId: 't1', content: 'hi' })).structuredContent.status,
    ).toBe('Message sent successfully');
    const wait = { maxWaitMs: '1', currentUnixTime: 'whatever', afterMessageId: null, unknown: true };
    expect((await use('coral_wait_for_message', wait)).structuredContent).toEqual({
      status: 'Timeout reached',
    });
  });

  it('says in one sentence what is wrong with its arguments', async () => {
    const result = await use('coral_send_message', { threadId: 5, mentions: [1] });
    const sentence =
      'The arguments of coral_send_message do not fit: threadId: must be text; content: must be text; mentions.0: must be text.';
    expect(result).toEqual({
      content: [{ type: 'text', text: sentence }],
      structuredContent: { error: sentence },
      isError: true,
    });
  });

  it('that fails says why, in plain text and as {error}', async () => {
    expect(await use('coral_close_thread', { threadId: 'nope', summary: '' })).toEqual({
      content: [{ type: 'text', text: 'There is no thread nope.' }],
      structuredContent: { error: 'There is no thread nope.' },
      isError: true,
    });
    mcp.team.agent('writer').createThread = () =>
      Promise.reject(new Refusal('session_ended', 'Session lab/s1 is ending: it takes nothing new.'));
    expect(
      (await use('coral_create_thread', { threadName: 't', participantNames: [] })).structuredContent.error,
    ).toBe('Session lab/s1 is ending: it takes nothing new. Finish your work and stop.');
  });

  it('tells nothing of what nobody foresaw, but warns the operator', async () => {
    for (const error of [
      new TypeError('cannot read secret of undefined'),
      new JournalError('full', 'disk full'),
    ]) {
      mcp.team.agent('writer').createThread = () => Promise.reject(error);
      const result = await use('coral_create_thread', { threadName: 't', participantNames: [] });
      expect(result.isError).toBe(true);
      expect(result.structuredContent.error).not.toContain(error.message);
      expect(mcp.warnings.pop()).toContain(error.message);
    }
  });

  it('of no tool, or with arguments that are none, is a protocol error', async () => {
    expect((await post(url, call('nope'))).body.error).toMatchObject({ code: -32602 });
    expect((await post(url, call('constructor'))).body.error).toMatchObject({ code: -32602 });
    const odd = {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'coral_send_message', arguments: [1] },
    };
    expect((await post(url, odd)).body.error).toMatchObject({ code: -32602 });
  });

  it('waits as long as asked, 55 s at most, or as the server is set', async () => {
    const { waits } = mcp.team.agent('writer');
    const thread = await mcp.team.agent('critic').createThread('t', ['writer']);
    for (const maxWaitMs of [undefined, 1200.4, 55_001, 3_600_000, -5]) {
      mcp.team.post(thread.id, 'critic', 'come', ['writer']);
      await use('coral_wait_for_mention', { maxWaitMs, currentUnixTime: 9_999_999_999_999 });
    }
    expect(waits.map(({ maxWaitMs }) => maxWaitMs)).toEqual([30_000, 1200, 55_000, 55_000, 0]);
    mcp.team.post(thread.id, 'critic', 'come');
    await use('coral_wait_for_agent', { agentName: 'critic', afterMessageId: 'm1' });
    expect(waits.at(-1)).toMatchObject({ filters: [{ type: 'from', name: 'critic' }], afterMessageId: 'm1' });
  });

  it('closes the session with any JSON as its result', async () => {
    const critic = mcp.team.agent('critic');
    for (const result of ['text', { files: [1, 2] }, 0, false]) {
      const answer = await post(mcp.url('critic'), call('coral_close_session', { reason: 'done', result }));
      expect(answer.body.result.structuredContent).toEqual({ message: expect.any(String) });
      expect(critic.closed).toEqual({ reason: 'done', result });
    }
    await post(mcp.url('critic'), call('coral_close_session', { reason: 'done' }));
    expect(critic.closed).toEqual({ reason: 'done' });
  });
});

describe('tools from outside', () => {
  it('are listed and called for agents that were given access', async () => {
    await mcp.stop();
    const calls: unknown[] = [];
    mcp = await startMcp(
      { writer: {}, tooled: { tools: ['search', 'coral_send_message'] } },
      {
        customTools: {
          async call(participant, name, args) {
            calls.push([participant.agent, name, args]);
            return args['fail'] === true
              ? { text: 'The tool answered 500.', isError: true }
              : { text: 'found', isError: false, structured: { hits: 2 } };
          },
        },
      },
    );
    url = mcp.url('tooled');
    const transport = { type: 'http', url: 'http://127.0.0.1:1/', signatureHeader: 'X' } as const;
    const inputSchema = { properties: { query: { type: 'string' } }, required: ['query'] };
    mcp.team.agent('tooled').customTools = {
      search: { transport, inputSchema, description: 'Searches.', outputSchema: { properties: {} } },
      coral_send_message: { transport, inputSchema, description: 'An impostor.' },
    };
    const listed = await tools('tooled');
    expect(listed.at(-1)).toEqual({
      name: 'search',
      description: 'Searches.',
      inputSchema: { type: 'object', ...inputSchema },
      outputSchema: { type: 'object', properties: {} },
    });
    expect(listed.filter(({ name }) => name === 'coral_send_message')).toHaveLength(1);
    expect((await tools('writer')).map(({ name }) => name)).not.toContain('search');

    expect(await use('search', { query: 'q' })).toEqual({
      content: [{ type: 'text', text: 'found' }],
      structuredContent: { hits: 2 },
    });
    expect(await use('search', { fail: true })).toMatchObject({
      isError: true,
      content: [{ type: 'text', text: 'The tool answered 500.' }],
    });
    expect(calls[0]).toEqual(['tooled', 'search', { query: 'q' }]);
    expect((await post(mcp.url('writer'), call('search'))).body.error.code).toBe(-32602);
    expect((await read('tooled', 'coral://instruction')).result.contents[0].text).toContain(
      'Tools from outside',
    );
  });
});

describe('resources', () => {
  it('are the instruction, with the parts an agent needs, and the state', async () => {
    const writers = (await read('writer', 'coral://instruction')).result.contents[0];
    expect(writers).toMatchObject({ uri: 'coral://instruction', mimeType: 'text/markdown' });
    for (const { name } of await tools('writer')) expect(writers.text).toContain(name);
    expect(writers.text).not.toContain('coral_close_session');
    expect(writers.text).not.toContain('Tools from outside');
    expect((await read('critic', 'coral://instruction')).result.contents[0].text).toContain(
      'coral_close_session',
    );
    expect((await read('writer', 'coral://state')).result.contents[0].text).toContain('agent writer');
    expect((await read('writer', 'coral://else')).error).toMatchObject({
      code: -32002,
      data: { uri: 'coral://else' },
    });
  });

  it('hand over the state once its text has arrived', async () => {
    await read('writer', 'coral://state');
    await expect.poll(() => mcp.team.agent('writer').settled).toEqual([{ what: 'state', delivered: true }]);
  });
});
