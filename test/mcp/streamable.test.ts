/** Streamable HTTP as it stands on the wire: paths, statuses, headers, sessions, answers. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call, post, startMcp, until, type McpServer } from '../support/mcp-server.ts';

let mcp: McpServer;
let url: string;
beforeEach(async () => {
  mcp = await startMcp({ writer: {}, critic: { plugins: ['close_session_tool'] } }, { bodyLimit: 100_000 });
  url = mcp.url('writer');
});
afterEach(async () => {
  await mcp.stop();
  expect(mcp.warnings).toEqual([]);
});

const initialize = (revision = '2025-06-18') => ({
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: revision, capabilities: {}, clientInfo: { name: 'test', version: '1' } },
});
const ping = { jsonrpc: '2.0', id: 7, method: 'ping' };

async function session(of = url): Promise<{ 'mcp-session-id': string }> {
  const { headers } = await post(of, initialize());
  return { 'mcp-session-id': headers.get('mcp-session-id') ?? 'none' };
}

describe('who may come in', () => {
  it('refuses a secret it does not know, before anything else, with the sentence every client shows', async () => {
    for (const bad of [
      mcp.url('nobody'),
      mcp.url('nobody', 'sse/'),
      `http://127.0.0.1:${mcp.port}/mcp/v1/mcp`,
    ]) {
      const { status, body, headers } = await post(bad, 'not even JSON');
      expect(status).toBe(401);
      expect(body).toEqual({ message: expect.stringMatching(/secret/), code: 'unauthorized' });
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/);
    }
    mcp.team.agent('writer').valid = false;
    expect((await post(url, ping)).status).toBe(401);
  });

  it('takes the secret as Bearer, too', async () => {
    const bare = `http://127.0.0.1:${mcp.port}/mcp/v1/mcp`;
    expect((await post(bare, ping, { authorization: 'Bearer secret-writer' })).body.result).toEqual({});
    expect((await post(bare, ping, { authorization: 'bearer  secret-writer ' })).status).toBe(200);
    expect((await post(bare, ping, { authorization: 'Basic secret-writer' })).status).toBe(401);
  });

  it('asks whether the host is right before it looks at secrets', async () => {
    await mcp.stop();
    mcp = await startMcp({ writer: {} }, { allowHost: () => 'This server listens to localhost only.' });
    expect(await post(mcp.url('nobody'), ping)).toMatchObject({
      status: 403,
      body: { message: 'This server listens to localhost only.', code: 'host_refused' },
    });
  });

  it('leaves other paths alone and knows its own', async () => {
    const at = (path: string) => fetch(`http://127.0.0.1:${mcp.port}${path}`).then(({ status }) => status);
    expect(await at('/health')).toBe(418);
    expect(await at('/mcp/v2/secret-writer/mcp')).toBe(418);
    expect(await at('/mcp/v10')).toBe(418);
    expect(await at('/mcp/v1/secret-writer/else')).toBe(404);
    expect(await at('/mcp/v1/secret-writer/mcp/more')).toBe(404);
    expect(await at('/mcp/v1')).toBe(404);
    expect((await fetch(url, { method: 'PUT', body: '{}' })).status).toBe(405);
    expect((await fetch(mcp.url('writer', 'sse/'), { method: 'DELETE' })).status).toBe(405);
    expect((await post(`${url}/`, ping)).status).toBe(200);
  });
});

describe('bodies', () => {
  it('answers what is no JSON, no message or too large at once', async () => {
    expect(await post(url, '{"jsonrpc":')).toMatchObject({
      status: 400,
      body: { jsonrpc: '2.0', id: null, error: { code: -32700 } },
    });
    expect(await post(url, '')).toMatchObject({ status: 400, body: { error: { code: -32700 } } });
    for (const wrong of [1, null, 'text', {}, { id: 1 }, { jsonrpc: '1.0', id: 1, method: 'ping' }, []]) {
      expect(await post(url, JSON.stringify(wrong))).toMatchObject({
        status: 400,
        body: { error: { code: -32600 } },
      });
    }
    expect(await post(url, { jsonrpc: '2.0', id: 3, method: 'ping', params: [1] })).toMatchObject({
      status: 400,
      body: { id: 3, error: { code: -32600 } },
    });
    expect(await post(url, { ...ping, params: { fill: 'x'.repeat(200_000) } })).toMatchObject({
      status: 413,
      body: { code: 'body_too_large' },
    });
    expect((await post(url, `\uFEFF${JSON.stringify(ping)}`)).status).toBe(200);
  });

  it('takes notifications and answers to nothing with 202', async () => {
    for (const message of [
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { jsonrpc: '2.0', method: 'notifications/never-heard-of' },
      { jsonrpc: '2.0', id: 5, result: {} },
      [{ jsonrpc: '2.0', method: 'notifications/initialized' }],
    ]) {
      expect(await post(url, message)).toMatchObject({ status: 202, text: '' });
    }
  });

  it('keeps number and string ids apart', async () => {
    expect((await post(url, { ...ping, id: 1 })).body.id).toBe(1);
    expect((await post(url, { ...ping, id: '1' })).body.id).toBe('1');
    expect((await post(url, { ...ping, id: '"\n' })).body.id).toBe('"\n');
    expect((await post(url, { ...ping, id: null })).status).toBe(400);
  });

  it('answers a batch with a list, in which only requests and faults are answered', async () => {
    const { status, body } = await post(url, [
      ping,
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { ...ping, id: 'b', method: 'no/such' },
      17,
    ]);
    expect(status).toBe(200);
    expect(body).toHaveLength(3);
    expect(body).toContainEqual({ jsonrpc: '2.0', id: 7, result: {} });
    expect(body).toContainEqual({
      jsonrpc: '2.0',
      id: 'b',
      error: { code: -32601, message: expect.any(String) },
    });
    expect(body).toContainEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32600, message: expect.any(String) },
    });
  });
});

describe('revisions', () => {
  it('speaks the one asked for, else its newest, and says who it is', async () => {
    for (const revision of ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25']) {
      expect((await post(url, initialize(revision))).body.result.protocolVersion).toBe(revision);
    }
    const { result } = (await post(url, initialize('2031-01-01'))).body;
    expect(result).toMatchObject({
      protocolVersion: '2025-11-25',
      serverInfo: { name: 'Coral Agent Server', version: '9.9.9' },
      capabilities: { tools: {}, resources: { subscribe: true }, prompts: {} },
    });
    expect((await post(url, { ...initialize(), params: {} })).body.result.protocolVersion).toBe('2025-11-25');
  });

  it('refuses a header that names a revision it does not speak', async () => {
    expect(await post(url, ping, { 'mcp-protocol-version': '1999-01-01' })).toMatchObject({
      status: 400,
      body: { id: 7, error: { code: -32022, data: { requested: '1999-01-01' } } },
    });
    expect((await post(url, ping, { 'mcp-protocol-version': '2025-03-26' })).status).toBe(200);
  });

  it('finds a name in a header that is not plain ASCII', async () => {
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call' };
    const asked = { ...call('grüße'), params: { name: 'grüße', _meta: meta } };
    const encoded = `=?base64?${Buffer.from('grüße').toString('base64')}?=`;
    expect((await post(url, asked, { ...headers, 'mcp-name': encoded })).body.error.code).toBe(-32602);
    expect(await post(url, asked, { ...headers, 'mcp-name': 'grusse' })).toMatchObject({
      status: 400,
      body: { error: { code: -32020 } },
    });
  });
});

describe('sessions', () => {
  it('are made by initialize, stay good over a restart of the server and end with DELETE', async () => {
    const headers = await session();
    expect((await post(url, ping, headers)).status).toBe(200);

    const restarted = await startMcp({}, {}, mcp.team);
    expect((await post(restarted.url('writer'), ping, headers)).status).toBe(200);
    await restarted.stop();

    expect((await fetch(url, { method: 'DELETE', headers })).status).toBe(200);
    for (const method of ['POST', 'GET', 'DELETE']) {
      const body = method === 'POST' ? JSON.stringify(ping) : undefined;
      const response = await fetch(url, { method, headers, ...(body !== undefined && { body }) });
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual({ message: expect.any(String), code: 'unknown_mcp_session' });
    }
  });

  it('belong to one secret and to one key', async () => {
    const headers = await session();
    expect((await post(mcp.url('critic'), ping, headers)).status).toBe(404);
    expect((await post(url, ping, { 'mcp-session-id': 'made-up' })).status).toBe(404);
    const forged = headers['mcp-session-id'].replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    expect((await post(url, ping, { 'mcp-session-id': forged })).status).toBe(404);
    const other = await startMcp({}, { signingKey: 'another key, of another state folder' }, mcp.team);
    expect((await post(other.url('writer'), ping, headers)).status).toBe(404);
    await other.stop();
  });

  it('may be left out', async () => {
    expect(
      (await post(url, call('coral_create_thread', { threadName: 'x', participantNames: [] }))).body.result,
    ).toMatchObject({ structuredContent: { thread: { name: 'x' } } });
    expect(mcp.team.agent('writer').connects).toBe(1);
  });

  it('connect the agent with the first and disconnect it with the last', async () => {
    const writer = mcp.team.agent('writer');
    const [one, two] = [await session(), await session()];
    expect(mcp.door.stats().sessions).toBe(2);
    await fetch(url, { method: 'DELETE', headers: one });
    expect(writer.disconnects).toBe(0);
    await fetch(url, { method: 'DELETE', headers: two });
    expect(writer.disconnects).toBe(1);
    await post(url, ping, await session());
    expect(writer.connects).toBe(3);
    expect(writer.disconnects).toBe(1);
  });

  it('are held back until the engine lets the agent in', async () => {
    const writer = mcp.team.agent('writer');
    let letIn = (): void => {};
    writer.barrier = new Promise((resolve) => (letIn = resolve));
    let answered = false;
    const first = post(url, initialize()).then((answer) => {
      answered = true;
      return answer;
    });
    await until(() => writer.connects === 1);
    // Another agent's requests are served meanwhile.
    expect((await post(mcp.url('critic'), ping)).status).toBe(200);
    expect(answered).toBe(false);
    letIn();
    expect((await first).status).toBe(200);
  });

  it('end when nobody is heard of them, but not while a call or a stream is open', async () => {
    await mcp.stop();
    let time = 0;
    mcp = await startMcp({ writer: {}, critic: {} }, { now: () => time, idleMs: 1000, beatMs: 5 });
    url = mcp.url('writer');
    const writer = mcp.team.agent('writer');
    const headers = await session();
    const waiting = post(url, call('coral_wait_for_message', { maxWaitMs: 50_000 }), headers);
    await until(() => writer.waits.length === 1);
    const abort = new AbortController();
    const critics = await session(mcp.url('critic'));
    await fetch(mcp.url('critic'), { headers: critics, signal: abort.signal });
    time = 5000;
    const idle = await session();
    await until(() => mcp.door.stats().sessions === 3);
    time = 6500;
    await until(() => mcp.door.stats().sessions === 2);
    expect(writer.disconnects).toBe(0);

    const thread = await mcp.team.agent('critic').createThread('t', ['writer']);
    mcp.team.post(thread.id, 'critic', 'hello');
    expect((await waiting).body.result.structuredContent.message.text).toBe('hello');
    abort.abort();
    await until(() => mcp.door.stats().streams === 0);
    time = 9000;
    await until(() => mcp.door.stats().sessions === 0);
    expect(writer.disconnects).toBe(1);
    expect(mcp.team.agent('critic').disconnects).toBe(1);

    // Whoever comes back late is welcome.
    expect((await post(url, ping, idle)).status).toBe(200);
    expect(writer.connects).toBe(3);
  });

  it('end with their secret, streams and all', async () => {
    await mcp.stop();
    mcp = await startMcp({ writer: {} }, { beatMs: 5 });
    url = mcp.url('writer');
    const headers = await session();
    const stream = await fetch(url, { headers });
    mcp.team.agent('writer').valid = false;
    expect(await stream.text()).toMatch(/^(:\n\n)*$/);
    await until(() => mcp.door.stats().sessions === 0);
  });
});

describe('answers', () => {
  it('are plain JSON whatever a client accepts', async () => {
    for (const accept of ['application/json, text/event-stream', '*/*', 'text/plain', 'application/json']) {
      const { headers, body } = await post(url, ping, { accept });
      expect(headers.get('content-type')).toBe('application/json');
      expect(body).toEqual({ jsonrpc: '2.0', id: 7, result: {} });
    }
  });

  it('are events for a client that accepts nothing else', async () => {
    const { headers, text, status } = await post(url, initialize(), { accept: 'text/event-stream' });
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/event-stream');
    expect(headers.get('mcp-session-id')).toBeTruthy();
    expect(text).toMatch(/^event: message\ndata: {"jsonrpc":"2.0","id":0,"result":.*}\n\n$/);
  });

  it('keep the stream of a waiting client alive with the progress it asked for', async () => {
    await mcp.stop();
    mcp = await startMcp({ writer: {} }, { beatMs: 5 });
    const asked = { ...call('coral_wait_for_message', { maxWaitMs: 60 }), id: 'w' } as ReturnType<
      typeof JSON.parse
    >;
    asked.params._meta = { progressToken: 'p' };
    const { text } = await post(mcp.url('writer'), asked, { accept: 'application/json, text/event-stream' });
    const events = text
      .split('\n\n')
      .filter((event) => event.startsWith('event: message\n'))
      .map((event) => JSON.parse(event.slice(event.indexOf('data: ') + 6)));
    expect(events.length).toBeGreaterThan(1);
    expect(events[0]).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 'p', progress: 1 },
    });
    expect(events.at(-1)).toMatchObject({
      id: 'w',
      result: { structuredContent: { status: 'Timeout reached' } },
    });
  });

  it('come while the server stops: open waits end, new requests are turned away', async () => {
    const waiting = post(url, call('coral_wait_for_message', { maxWaitMs: 50_000 }));
    await until(() => mcp.team.agent('writer').waits.length === 1);
    await mcp.door.close();
    expect((await waiting).body.result.structuredContent).toEqual({ status: 'Timeout reached' });
    expect((await post(url, ping)).status).toBe(503);
  });
});
