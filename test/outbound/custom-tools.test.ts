/** Custom tools against a real HTTP server. */
import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { callUrl, CustomTools, type CustomToolResult } from '../../src/outbound/custom-tools.ts';
import { createSender } from '../../src/outbound/http-sender.ts';

interface Seen {
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function tool(
  answer: (res: ServerResponse, seen: Seen) => void,
): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer((req, res) => {
    let body = '';
    req.on('data', (chunk) => (body += chunk));
    req.on('end', () => {
      const call = { url: req.url ?? '', headers: req.headers, body };
      seen.push(call);
      answer(res, call);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/tools/lookup?tenant=7`, seen };
}

async function call(
  url: string,
  options: { allowLoopback?: boolean; timeoutMs?: number; outputSchema?: Record<string, unknown> } = {},
): Promise<CustomToolResult> {
  const sender = createSender({ allowLoopback: options.allowLoopback ?? true, allow: [] });
  closers.push(() => sender.close());
  const tools = new CustomTools({
    sender,
    secret: 'shh',
    maxAnswerBytes: 1000,
    ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
  });
  return tools.call({
    key: { namespace: 'ns', sessionId: 's 1' },
    agent: 'zoë/1',
    name: 'lookup',
    args: { q: 'x' },
    tool: {
      transport: { type: 'http', url, signatureHeader: 'X-Coral-Signature' },
      inputSchema: undefined,
      ...(options.outputSchema && { outputSchema: options.outputSchema }),
    },
  });
}

describe('a custom tool', () => {
  it('is called with its arguments, signed, and with who calls', async () => {
    const { url, seen } = await tool((res) => res.end('found it'));
    expect(await call(url)).toEqual({ isError: false, text: 'found it' });
    const [request] = seen;
    expect(request?.url).toBe('/tools/lookup/s%201/zo%C3%AB%2F1?tenant=7');
    expect(request?.body).toBe('{"q":"x"}');
    expect(request?.headers).toMatchObject({
      'content-type': 'application/json',
      'x-coral-signature': createHmac('sha256', 'shh').update('{"q":"x"}').digest('hex'),
      'x-coral-namespace': 'ns',
      'x-coral-sessionid': 's 1',
      'x-coral-agentname': 'zo%C3%AB%2F1',
    });
  });

  it('gives structured content only when it announced an output schema', async () => {
    const { url } = await tool((res) => res.end('{"n":1}'));
    expect(await call(url)).toEqual({ isError: false, text: '{"n":1}' });
    expect(await call(url, { outputSchema: { type: 'object' } })).toEqual({
      isError: false,
      text: '{"n":1}',
      structured: { n: 1 },
    });
  });

  it('tells the status of a failure and nothing of its body', async () => {
    const { url } = await tool((res) => {
      res.statusCode = 503;
      res.end('stack trace with internals');
    });
    expect(await call(url)).toEqual({ isError: true, text: 'The tool "lookup" answered with status 503.' });
  });

  it('does not follow redirects', async () => {
    const { url, seen } = await tool((res) => {
      res.writeHead(302, { location: '/elsewhere' });
      res.end();
    });
    expect(await call(url)).toMatchObject({ isError: true, text: expect.stringContaining('302') });
    expect(seen).toHaveLength(1);
  });

  it('is given up after its time and beyond its size', async () => {
    const { url: slow } = await tool(() => {});
    expect(await call(slow, { timeoutMs: 50 })).toMatchObject({
      isError: true,
      text: expect.stringContaining('in time'),
    });
    const { url: big } = await tool((res) => res.end('x'.repeat(2000)));
    expect(await call(big)).toMatchObject({ isError: true, text: expect.stringContaining('more than') });
  });

  it('is not called at a loopback address that the server may not call, by number or by name', async () => {
    const { url, seen } = await tool((res) => res.end('secret'));
    expect(await call(url, { allowLoopback: false })).toMatchObject({
      isError: true,
      text: expect.stringContaining('may not call'),
    });
    expect(await call(url.replace('127.0.0.1', 'localhost'), { allowLoopback: false })).toMatchObject({
      isError: true,
      text: expect.stringContaining('may not call'),
    });
    expect(seen).toEqual([]);
  });

  it('is said to be unreachable when it is', async () => {
    expect(await call('http://127.0.0.1:9/')).toMatchObject({
      isError: true,
      text: 'The tool "lookup" cannot be reached.',
    });
  });
});

describe('the URL of a call', () => {
  it.each([
    ['http://h/a', 'http://h/a/s/n'],
    ['http://h/a/', 'http://h/a/s/n'],
    ['http://h', 'http://h/s/n'],
    ['http://h/a?b=c', 'http://h/a/s/n?b=c'],
  ])('%s → %s', (base, url) => expect(callUrl(base, 's', 'n')).toBe(url));
});
