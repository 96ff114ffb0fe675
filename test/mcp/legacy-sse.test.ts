/** The older pair of streams and posts (revision 2024-11-05) as it stands on the wire. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call, post, startMcp, until, type McpServer } from '../support/mcp-server.ts';

let mcp: McpServer;
let url: string;
beforeEach(async () => {
  mcp = await startMcp({ writer: {}, critic: {} }, { beatMs: 5 });
  url = mcp.url('writer', 'sse/');
});
afterEach(async () => {
  await mcp.stop();
  expect(mcp.warnings).toEqual([]);
});

interface Event {
  readonly event: string;
  readonly data: string;
}

/** An open stream whose events can be read one by one. */
async function open(at = url) {
  const abort = new AbortController();
  const response = await fetch(at, { signal: abort.signal, headers: { accept: 'text/event-stream' } });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  const next = async (): Promise<Event> => {
    for (;;) {
      const end = buffer.indexOf('\n\n');
      if (end === -1) {
        const { done, value } = await reader.read();
        if (done) throw new Error('the stream ended');
        buffer += value;
        continue;
      }
      const block = buffer.slice(0, end);
      buffer = buffer.slice(end + 2);
      const found = /^event: (.*)\ndata: (.*)$/.exec(block);
      if (found !== null) return { event: found[1]!, data: found[2]! };
    }
  };
  return { response, next, close: () => abort.abort() };
}

describe('a stream', () => {
  it('announces where to post, relative to its own path, and answers there', async () => {
    const stream = await open();
    expect(stream.response.headers.get('content-type')).toBe('text/event-stream');
    const { event, data } = await stream.next();
    expect(event).toBe('endpoint');
    expect(data).toMatch(/^\?sessionId=[\w-]+$/);
    const endpoint = new URL(data, url).href;
    expect(await post(endpoint, { jsonrpc: '2.0', id: 'a', method: 'ping' })).toMatchObject({
      status: 202,
      text: '',
    });
    expect(await stream.next()).toEqual({ event: 'message', data: '{"jsonrpc":"2.0","id":"a","result":{}}' });
    // Some clients drop the trailing slash when they put the two together.
    expect(
      (await post(endpoint.replace('sse/?', 'sse?'), { jsonrpc: '2.0', id: 2, method: 'ping' })).status,
    ).toBe(202);
    expect((await stream.next()).data).toContain('"id":2');
    stream.close();
  });

  it('is the session: it connects the agent with its first request and disconnects it at its end', async () => {
    const writer = mcp.team.agent('writer');
    const stream = await open();
    const endpoint = new URL((await stream.next()).data, url).href;
    expect(writer.connects).toBe(0);
    await post(endpoint, { jsonrpc: '2.0', id: 1, method: 'initialize', params: {} });
    await stream.next();
    expect(writer.connects).toBe(1);
    await post(endpoint, call('coral_wait_for_message', { maxWaitMs: 50_000 }));
    await until(() => writer.waits.length === 1);
    stream.close();
    await until(() => writer.waits[0]?.signal?.aborted === true && writer.disconnects === 1);
    expect((await post(endpoint, { jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(404);
    expect(mcp.door.stats()).toEqual({ sessions: 0, calls: 0, streams: 0 });
  });

  it('is nobody else’s', async () => {
    const stream = await open();
    const { data } = await stream.next();
    expect(
      (await post(mcp.url('critic', 'sse/') + data, { jsonrpc: '2.0', id: 1, method: 'ping' })).status,
    ).toBe(404);
    expect((await post(url, { jsonrpc: '2.0', id: 1, method: 'ping' })).body).toEqual({
      message: expect.stringMatching(/GET/),
      code: 'no_session',
    });
    stream.close();
  });

  it('has faults of a post answered on the post', async () => {
    const stream = await open();
    const endpoint = new URL((await stream.next()).data, url).href;
    expect(await post(endpoint, '{')).toMatchObject({ status: 400, body: { error: { code: -32700 } } });
    expect(await post(endpoint, '{}')).toMatchObject({ status: 400, body: { error: { code: -32600 } } });
    await post(endpoint, { jsonrpc: '2.0', id: 9, method: 'no/such' });
    expect(JSON.parse((await stream.next()).data)).toMatchObject({ id: 9, error: { code: -32601 } });
    stream.close();
  });

  it('loses nothing when the client vanishes with an answer under way', async () => {
    const writer = mcp.team.agent('writer');
    const thread = (await mcp.team.agent('critic').createThread('t', ['writer'])).id;
    const stream = await open();
    const endpoint = new URL((await stream.next()).data, url).href;
    await post(endpoint, call('coral_wait_for_message', { maxWaitMs: 50_000 }));
    await until(() => writer.waits.length === 1);
    const huge = 'x'.repeat(16 * 1024 * 1024);
    mcp.team.post(thread, 'critic', huge);
    await until(() => mcp.door.stats().calls === 0);
    stream.close();
    await until(() => writer.settled.length === 1);
    expect(writer.settled[0]?.delivered).toBe(false);

    const again = await post(mcp.url('writer'), call('coral_wait_for_message'));
    expect(again.body.result.structuredContent.message.text).toBe(huge);
  });
});

describe('changes of the state', () => {
  it('are told to who subscribed, many at once as one, and no longer after unsubscribing', async () => {
    const stream = await open();
    const endpoint = new URL((await stream.next()).data, url).href;
    const ask = async (method: string, uri = 'coral://state'): Promise<ReturnType<typeof JSON.parse>> => {
      await post(endpoint, { jsonrpc: '2.0', id: method, method, params: { uri } });
      return JSON.parse((await stream.next()).data);
    };
    expect(await ask('resources/subscribe', 'coral://nope')).toMatchObject({ error: { code: -32002 } });
    expect(await ask('resources/subscribe', 'coral://instruction')).toMatchObject({ result: {} });
    expect(await ask('resources/subscribe')).toMatchObject({ result: {} });
    expect(await ask('resources/subscribe')).toMatchObject({ result: {} });
    const thread = await mcp.team.agent('critic').createThread('t', ['writer']);
    for (let n = 0; n < 50; n += 1) mcp.team.post(thread.id, 'critic', `message ${n}`);
    expect(JSON.parse((await stream.next()).data)).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/resources/updated',
      params: { uri: 'coral://state' },
    });
    expect(await ask('resources/unsubscribe')).toMatchObject({ id: 'resources/unsubscribe', result: {} });
    mcp.team.post(thread.id, 'critic', 'unheard');
    expect(await ask('ping')).toMatchObject({ id: 'ping' });
    expect(mcp.team.agent('writer').watched).toBe(0);
    stream.close();
  });

  it('wait for a stream when none is open yet', async () => {
    const at = mcp.url('writer');
    const init = await post(at, { jsonrpc: '2.0', id: 0, method: 'initialize', params: {} });
    const headers = { 'mcp-session-id': init.headers.get('mcp-session-id') ?? '' };
    const params = { uri: 'coral://state' };
    await post(at, { jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params }, headers);
    await mcp.team.agent('critic').createThread('t', ['writer']);
    const response = await fetch(at, { headers });
    const { value } = await response.body!.pipeThrough(new TextDecoderStream()).getReader().read();
    expect(value).toContain('notifications/resources/updated');
  });
});
