/** Clients that are slow, vanish or change their minds lose no message. */
import { request as httpRequest, type ClientRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call, post, startMcp, until, type McpServer } from '../support/mcp-server.ts';
import type { FakeParticipant } from '../support/fake-team.ts';

let mcp: McpServer;
let url: string;
let writer: FakeParticipant;
let thread: string;
beforeEach(async () => {
  mcp = await startMcp({ writer: {}, critic: {} }, { beatMs: 5 });
  url = mcp.url('writer');
  writer = mcp.team.agent('writer');
  thread = (await mcp.team.agent('critic').createThread('t', ['writer'])).id;
});
afterEach(async () => {
  await mcp.stop();
  expect(mcp.warnings).toEqual([]);
});

const waitCall = (id: number | string = 1) => call('coral_wait_for_message', { maxWaitMs: 50_000 }, id);
const say = (text: string) => mcp.team.post(thread, 'critic', text);
const textOf = (answer: { body: ReturnType<typeof JSON.parse> }) =>
  answer.body.result.structuredContent.message?.text as string | undefined;

/** A POST that can be cut off. */
function send(message: object, headers: Record<string, string> = {}): ClientRequest {
  const request = httpRequest(url, { method: 'POST', agent: false, headers });
  request.on('error', () => {});
  request.end(JSON.stringify(message));
  return request;
}

/** A raw connection that has sent one wait. */
async function rawWait(): Promise<Socket> {
  const socket = connect(mcp.port, '127.0.0.1');
  const body = JSON.stringify(waitCall());
  socket.on('error', () => {});
  socket.write(
    `POST /mcp/v1/secret-writer/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await until(() => writer.waits.length > 0);
  return socket;
}

describe('a waiting client', () => {
  it('has a message handed over once it was written, not before', async () => {
    const waiting = post(url, waitCall());
    await until(() => writer.waits.length === 1);
    say('one');
    expect(textOf(await waiting)).toBe('one');
    await until(() => writer.settled.length === 1);
    expect(writer.settled).toEqual([{ what: 'one', delivered: true }]);
  });

  it.each(['application/json', 'text/event-stream'])(
    'that vanishes (%s) ends its wait at once',
    async (accept) => {
      const request = send(waitCall(), { accept });
      await until(() => writer.waits.length === 1);
      request.destroy();
      await until(() => writer.waits[0]?.signal?.aborted === true);
      say('one');
      expect(textOf(await post(url, waitCall()))).toBe('one');
      await until(() => mcp.door.stats().calls === 0);
    },
  );

  it('that closes only its sending half and then all loses nothing', async () => {
    const socket = await rawWait();
    socket.destroySoon();
    await until(() => writer.waits[0]?.signal?.aborted === true);
    say('one');
    expect(textOf(await post(url, waitCall()))).toBe('one');
  });

  it('that vanishes while its answer is under way loses nothing', async () => {
    // An answer far larger than what a kernel takes at once, to a client that reads nothing of it.
    const huge = 'x'.repeat(16 * 1024 * 1024);
    const socket = await rawWait();
    socket.pause();
    say(huge);
    await until(() => mcp.door.stats().calls === 0);
    expect(writer.settled).toEqual([]);
    socket.destroy();
    await until(() => writer.settled.length === 1);
    expect(writer.settled[0]?.delivered).toBe(false);
    expect(textOf(await post(url, waitCall()))).toBe(huge);
    await until(() => writer.settled.length === 2);
    expect(writer.settled[1]?.delivered).toBe(true);
  });

  it('that cancels gets no answer and leaves the message to the next wait', async () => {
    const waiting = post(url, waitCall('w'));
    await until(() => writer.waits.length === 1);
    // A number is not the text that looks like it.
    await post(url, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'x' } });
    expect(writer.waits[0]?.signal?.aborted).toBe(false);
    await post(url, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'w' } });
    expect(await waiting).toMatchObject({ status: 202, text: '' });
    say('one');
    expect(textOf(await post(url, waitCall()))).toBe('one');
  });

  it('cannot cancel the call of another session, nor one of two that bear the same id', async () => {
    const init = { jsonrpc: '2.0', id: 0, method: 'initialize', params: {} };
    const sessions = await Promise.all([post(url, init), post(url, init)]);
    const [one, two] = sessions.map(({ headers }) => ({
      'mcp-session-id': headers.get('mcp-session-id') ?? '',
    }));
    const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
    const waits = [post(url, waitCall(1), one), post(url, waitCall(1)), post(url, waitCall(1))];
    await until(() => writer.waits.length === 3);
    await post(url, cancel, two);
    await post(url, cancel);
    expect(writer.waits.map(({ signal }) => signal?.aborted)).toEqual([false, false, false]);
    await post(url, cancel, one);
    await until(() => writer.waits.some(({ signal }) => signal?.aborted));
    for (const text of ['a', 'b']) say(text);
    const texts = (await Promise.all(waits)).map((answer) => answer.status === 200 && textOf(answer));
    expect(texts.sort()).toEqual(['a', 'b', false]);
  });

  it('of revision 2026-07-28 cancels by hanging up, whatever ids others use', async () => {
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const wait = waitCall(1) as ReturnType<typeof JSON.parse>;
    wait.params._meta = meta;
    const headers = {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'coral_wait_for_message',
    };
    const [first, second] = [send(wait, headers), send(wait, headers)];
    await until(() => writer.waits.length === 2);
    await post(url, {
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 1, _meta: meta },
    });
    expect(writer.waits.map(({ signal }) => signal?.aborted)).toEqual([false, false]);
    first.destroy();
    await until(() => writer.waits.some(({ signal }) => signal?.aborted));
    expect(writer.waits.filter(({ signal }) => signal?.aborted)).toHaveLength(1);
    second.destroy();
  });

  it('may wait twice: one message satisfies one of the waits', async () => {
    const waits = [post(url, waitCall(1)), post(url, waitCall(2))];
    await until(() => writer.waits.length === 2);
    say('one');
    const first = await Promise.race(waits);
    expect(textOf(first)).toBe('one');
    say('two');
    expect((await Promise.all(waits)).map(textOf).sort()).toEqual(['one', 'two']);
  });

  it('gets several answers of a batch handed over together', async () => {
    const waiting = post(url, [waitCall(1), waitCall(2)]);
    await until(() => writer.waits.length === 2);
    say('one');
    expect(writer.settled).toEqual([]);
    say('two');
    const { body } = await waiting;
    expect(body.map(({ id }: { id: number }) => id)).toEqual([1, 2]);
    await until(() => writer.settled.length === 2);
  });
});

describe('state that was read by a client that vanished', () => {
  it('is not handed over', async () => {
    const readState = writer.readState.bind(writer);
    // Large enough to be still under way when the client leaves.
    writer.readState = () => ({ ...readState(), value: 'x'.repeat(16 * 1024 * 1024) });
    const request = send({
      jsonrpc: '2.0',
      id: 1,
      method: 'resources/read',
      params: { uri: 'coral://state' },
    });
    request.on('response', (response) => {
      response.pause();
      request.destroy();
    });
    await until(() => writer.settled.length === 1);
    expect(writer.settled).toEqual([{ what: 'state', delivered: false }]);
  });
});
