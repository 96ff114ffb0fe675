/** Whatever is sent: every request is answered, never with 5xx, and nothing is left behind. */
import fc from 'fast-check';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { post, startMcp, until, type McpServer } from '../support/mcp-server.ts';
import { runs } from '../support/runs.ts';

const IDLE = 1_000;
let mcp: McpServer;
/** The door's clock: sessions are idle when the test says so. */
let time = 0;
beforeAll(async () => {
  mcp = await startMcp(
    { writer: { plugins: ['close_session_tool'] } },
    { bodyLimit: 100_000, defaultWaitMs: 1, now: () => time, idleMs: IDLE, beatMs: 5 },
  );
  // Garbage is not to wait for anything.
  const writer = mcp.team.agent('writer');
  const wait = writer.wait.bind(writer);
  writer.wait = (request) => wait({ ...request, maxWaitMs: 0 });
});
afterAll(() => mcp.stop());

const methods = fc.constantFrom(
  'initialize',
  'ping',
  'tools/list',
  'tools/call',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'prompts/get',
  'server/discover',
  'notifications/cancelled',
  'notifications/initialized',
  'logging/setLevel',
  '__proto__',
  'constructor',
);
const toolNames = fc.constantFrom(
  'coral_create_thread',
  'coral_send_message',
  'coral_wait_for_message',
  'coral_wait_for_agent',
  'coral_close_session',
  'toString',
);
const messages = fc.oneof(
  { weight: 2, arbitrary: fc.jsonValue() },
  {
    weight: 5,
    arbitrary: fc.record(
      {
        jsonrpc: fc.oneof(fc.constant('2.0'), fc.jsonValue()),
        id: fc.oneof(fc.integer(), fc.string(), fc.jsonValue()),
        method: fc.oneof(methods, fc.string(), fc.jsonValue()),
        params: fc.oneof(
          fc.jsonValue(),
          fc.record({
            name: toolNames,
            arguments: fc.jsonValue(),
            uri: fc.jsonValue(),
            _meta: fc.jsonValue(),
          }),
          fc.record({
            name: toolNames,
            arguments: fc.dictionary(
              fc.constantFrom(
                'threadId',
                'content',
                'mentions',
                'maxWaitMs',
                'agentName',
                'reason',
                'result',
              ),
              fc.jsonValue(),
            ),
          }),
        ),
      },
      { requiredKeys: [] },
    ),
  },
);
const bodies = fc.oneof(
  fc.string({ unit: 'binary' }),
  messages.map((message) => JSON.stringify(message)),
  fc.array(messages, { maxLength: 5 }).map((batch) => JSON.stringify(batch)),
  messages.map((message) => JSON.stringify(message).slice(0, -1)),
);
const headerValue = fc.oneof(
  fc.constantFrom(
    '',
    'application/json',
    'text/event-stream',
    '2026-07-28',
    '2025-11-25',
    '2024-11-05',
    '*/*',
  ),
  fc.stringMatching(/^[!-~]{0,30}$/),
);
const headers = fc.dictionary(
  fc.constantFrom(
    'accept',
    'mcp-session-id',
    'mcp-protocol-version',
    'mcp-method',
    'mcp-name',
    'content-type',
  ),
  headerValue,
  { maxKeys: 4 },
);
const paths = fc.constantFrom(
  'secret-writer/mcp',
  'secret-writer/sse/',
  'secret-writer/sse/?sessionId=x',
  'mcp',
  'x/mcp',
);

/** Every call was answered; once idle, no session, stream, wait or subscription is left of any of them. */
async function nothingLeft(): Promise<void> {
  await until(() => mcp.door.stats().calls === 0);
  time += IDLE + 1;
  await until(() => mcp.door.stats().sessions === 0);
  expect(mcp.door.stats()).toEqual({ sessions: 0, calls: 0, streams: 0 });
  expect(mcp.team.agent('writer').watched).toBe(0);
  expect(mcp.warnings).toEqual([]);
}

describe('garbage', () => {
  it('is answered, never with 5xx, and changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(paths, bodies, headers, async (path, body, given) => {
        const { status, text } = await post(`http://127.0.0.1:${mcp.port}/mcp/v1/${path}`, body, given);
        expect(status).toBeGreaterThanOrEqual(200);
        expect(status).toBeLessThan(500);
        if (status !== 202 && !text.startsWith('event:')) JSON.parse(text);
      }),
      runs(600),
    );
    // At least of this one, which is no garbage.
    await post(mcp.url('writer'), { jsonrpc: '2.0', id: 1, method: 'ping' });
    expect(mcp.door.stats().sessions).toBeGreaterThan(0);
    await nothingLeft();
  });

  it('that stops half way leaves nothing behind', async () => {
    await fc.assert(
      fc.asyncProperty(messages, fc.double({ min: 0, max: 1, noNaN: true }), async (message, share) => {
        const body = JSON.stringify(message);
        const cut = Buffer.from(body).subarray(0, Math.floor(body.length * share));
        const socket = connect(mcp.port, '127.0.0.1');
        socket.on('error', () => {});
        await new Promise((resolve) => socket.once('connect', resolve));
        const head = `POST /mcp/v1/secret-writer/mcp HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length + 1}\r\n\r\n`;
        await new Promise((resolve) => socket.write(Buffer.concat([Buffer.from(head), cut]), resolve));
        socket.destroy();
      }),
      runs(100),
    );
    await nothingLeft();
  });

  it('without end is cut off', async () => {
    const socket = connect(mcp.port, '127.0.0.1');
    socket.on('error', () => {});
    let answer = '';
    socket.on('data', (chunk) => (answer += String(chunk)));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write('POST /mcp/v1/secret-writer/mcp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    const more = (): void => {
      while (socket.writable && socket.write(chunk));
    };
    socket.on('drain', more);
    more();
    await closed;
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });
});
