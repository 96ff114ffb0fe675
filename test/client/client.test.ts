import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CoralClient, CoralError } from 'coral/client';

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL, body: string) => void;

/** A server whose answers a test writes; what was asked is kept. */
let server: Server;
let handle: Handler;
let asked: { method: string; path: string; query: Record<string, string>; key: string; body: unknown }[];

beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      asked.push({
        method: request.method ?? '',
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        key: request.headers.authorization ?? '',
        body: body === '' ? undefined : JSON.parse(body),
      });
      handle(request, response, url, body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const client = (more: { reconnectForMs?: number } = {}): CoralClient =>
  new CoralClient({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    key: 'sesame',
    ...more,
  });

const json = (response: ServerResponse, value: unknown, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
};

const SESSION = { namespace: 'a b', sessionId: 's1' };

describe('requests', () => {
  test('carry the key, the body and escaped names', async () => {
    handle = (_request, response) => json(response, SESSION);
    const body = {
      agentGraphRequest: { agents: [] },
      namespaceProvider: { type: 'use_existing' as const, name: 'a b' },
    };
    expect(await client().sessions.create(body)).toEqual(SESSION);
    await client().sessions.extended(SESSION, { messages: 3 });
    await client().sessions.close(SESSION);
    await client().teams.run('my team', { inputs: { n: 1 }, namespace: 'x' });
    expect(asked).toEqual([
      { method: 'POST', path: '/api/v1/local/session', query: {}, key: 'Bearer sesame', body },
      {
        method: 'GET',
        path: '/api/v1/local/session/a%20b/s1/extended',
        query: { messages: '3' },
        key: 'Bearer sesame',
        body: undefined,
      },
      { method: 'DELETE', path: '/api/v1/local/session/a%20b/s1', query: {}, key: 'Bearer sesame', body: undefined }, // prettier-ignore
      {
        method: 'POST',
        path: '/api/v1/teams/my%20team/session',
        query: {},
        key: 'Bearer sesame',
        body: { inputs: { n: 1 }, namespace: 'x' },
      },
    ]);
  });

  test('full-width integers travel as decimal strings', async () => {
    handle = (_request, response) => json(response, SESSION);
    await client().sessions.create({
      agentGraphRequest: {
        agents: [
          {
            id: { name: 'a', version: '1.0.0', registrySourceId: { type: 'local' } },
            name: 'a',
            provider: { type: 'local', runtime: 'executable' },
            options: { BIG: { type: 'u64', value: 18446744073709551615n } },
          },
        ],
      },
      namespaceProvider: { type: 'use_existing', name: 'n' },
    });
    expect(asked[0]?.body).toMatchObject({
      agentGraphRequest: { agents: [{ options: { BIG: { value: '18446744073709551615' } } }] },
    });
  });

  test('a refusal becomes one error with everything the server said', async () => {
    const issues = [
      { path: 'agents.a', message: 'x' },
      { path: 'agents.b', message: 'y' },
    ];
    handle = (_request, response) =>
      json(response, { message: 'That does not fit.', code: 'invalid_graph', issues }, 400);
    const error: unknown = await client()
      .sessions.get(SESSION)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CoralError);
    expect(error).toMatchObject({
      status: 400,
      code: 'invalid_graph',
      message: 'That does not fit.',
      issues,
    });
  });

  test('an answer that is not from Coral, and no answer, are errors too', async () => {
    handle = (_request, response) => void response.writeHead(502).end('<html>');
    await expect(client().registry.sources()).rejects.toMatchObject({ status: 502, code: 'unknown' });
    handle = (_request, response) => void response.writeHead(200).end('<html>');
    await expect(client().registry.sources()).rejects.toMatchObject({ code: 'unknown' });
    const gone = client();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await expect(gone.health()).rejects.toMatchObject({ status: 0, code: 'unreachable' });
    server.listen(0);
  });

  test('readiness is an answer, not an error', async () => {
    handle = (_request, response) => json(response, { ready: false, problems: ['disk full'] }, 503);
    expect(await client().ready()).toEqual({ ready: false, problems: ['disk full'] });
  });

  test('a list of the archive is asked for page by page', async () => {
    handle = (_request, response, url) =>
      json(
        response,
        url.searchParams.has('cursor')
          ? { sessions: [{ id: 's1' }] }
          : { sessions: [{ id: 's3' }, { id: 's2' }], next: 'more' },
      );
    const ids: string[] = [];
    for await (const { id } of client().archive.list({
      namespace: 'n',
      annotations: { a: '1' },
      from: new Date(0),
      pageSize: 2,
    })) {
      ids.push(id);
    }
    expect(ids).toEqual(['s3', 's2', 's1']);
    expect(asked.map(({ query }) => query)).toEqual([
      { namespace: 'n', annotation: 'a:1', from: '1970-01-01T00:00:00.000Z', limit: '2' },
      { namespace: 'n', annotation: 'a:1', from: '1970-01-01T00:00:00.000Z', limit: '2', cursor: 'more' },
    ]);
  });

  test('an export is read line by line however it is cut', async () => {
    handle = (_request, response) => {
      response.write('{"seq":1}\n{"se');
      setImmediate(() => response.end('q":2}\n{"seq":3}\n'));
    };
    const seqs: number[] = [];
    for await (const { seq } of client().archive.export(SESSION)) seqs.push(seq);
    expect(seqs).toEqual([1, 2, 3]);
  });
});

describe('a session followed', () => {
  const LISTED = { type: 'agent_connected', name: 'a', timestamp: '2026-01-01T00:00:00.000Z' };
  /** seq 1 to 6; 2 is not listed, the last one is the end. */
  const story = [1, 2, 3, 4, 5, 6].map((seq) => ({
    ...LISTED,
    seq,
    ...(seq === 2 && { type: 'session_executed' }),
    ...(seq === 6 && { type: 'session_closed' }),
  }));
  let closed: boolean;

  /** Live streams give what `parts` says, one part for each connection, and then break or end. */
  function live(parts: { to: number; then: 'break' | 'end' | 'gone' }[]): void {
    closed = false;
    handle = (request, response, url) => {
      const after = Number(url.searchParams.get('after') ?? 0);
      const behind = story.filter(({ seq }) => seq > after);
      if (url.pathname.startsWith('/api/v1/archive')) {
        if (url.pathname.endsWith('/events')) {
          const [first] = behind;
          json(response, { events: first === undefined ? [] : [first], ...(behind.length > 1 && { next: first?.seq }) }); // prettier-ignore
        } else json(response, { base: { status: { type: closed ? 'closed' : 'executed' } } });
        return;
      }
      const part = parts.shift();
      if (part === undefined || part.then === 'gone') {
        closed = true;
        json(response, { message: 'There is no such session.', code: 'unknown_session' }, 404);
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': stream\n\n');
      for (const event of behind) {
        if (event.seq > part.to || (event.type.startsWith('session') && !url.searchParams.has('all')))
          continue;
        response.write(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`);
      }
      if (part.then === 'end') {
        closed = true;
        response.end();
      } else response.write('id: 99\ndata: {"half', () => request.socket.destroy());
    };
  }

  async function seqs(options: Parameters<CoralClient['events']>[1] = {}): Promise<number[]> {
    const found: number[] = [];
    for await (const { seq } of client().events(SESSION, options)) found.push(seq);
    return found;
  }

  test('ends with the session', async () => {
    live([{ to: 6, then: 'end' }]);
    expect(await seqs()).toEqual([1, 3, 4, 5]);
    live([{ to: 6, then: 'end' }]);
    expect(await seqs({ all: true, after: 3 })).toEqual([4, 5, 6]);
  });

  test('goes on after a break where it was, without gap or repeat', async () => {
    live([
      { to: 3, then: 'break' },
      { to: 3, then: 'break' },
      { to: 6, then: 'end' },
    ]);
    expect(await seqs({ all: true })).toEqual([1, 2, 3, 4, 5, 6]);
    expect(asked.filter(({ path }) => path.startsWith('/api/v1/local')).map(({ query }) => query['after'])).toEqual(['0', '3', '3']); // prettier-ignore
  });

  test('takes from the archive what it missed when the session closed during a break', async () => {
    live([
      { to: 3, then: 'break' },
      { to: 0, then: 'gone' },
    ]);
    expect(await seqs()).toEqual([1, 3, 4, 5]);
  });

  test('that is over already is told from the archive', async () => {
    live([{ to: 0, then: 'gone' }]);
    expect(await seqs({ all: true })).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('ends quietly when its reader has enough', async () => {
    live([{ to: 3, then: 'break' }]);
    const stop = new AbortController();
    const found: number[] = [];
    for await (const { seq } of client().events(SESSION, { signal: stop.signal })) {
      found.push(seq);
      if (seq === 3) stop.abort();
    }
    expect(found).toEqual([1, 3]);
  });

  test('rejects when the server refuses, and when it stays away', async () => {
    handle = (_request, response) => json(response, { message: 'No.', code: 'unauthorized' }, 401);
    await expect(seqs()).rejects.toMatchObject({ status: 401 });
    handle = (request) => request.socket.destroy();
    const events = client({ reconnectForMs: 200 }).events(SESSION);
    await expect(events.next()).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('that nobody knows is an error', async () => {
    handle = (_request, response) => json(response, { message: 'Unknown.', code: 'unknown_session' }, 404);
    await expect(seqs()).rejects.toMatchObject({ status: 404, code: 'unknown_session' });
  });

  test('is finished when its agents are gone, and tells its result', async () => {
    live([{ to: 6, then: 'end' }]);
    const before = handle;
    handle = (request, response, url, body) => {
      if (url.pathname === '/api/v1/archive/session/a%20b/s1' && !url.searchParams.has('messages')) {
        json(response, { base: { status: { type: 'closed' } }, agents: [], threads: [], result: 42 });
      } else before(request, response, url, body);
    };
    expect((await client().finished(SESSION)).result).toBe(42);
  });
});

test('output lines are told plainly, and the number is the place to go on from', async () => {
  handle = (_request, response, url) => {
    if (url.pathname.startsWith('/api/v1/archive')) {
      json(response, { base: { status: { type: 'closed' } }, lines: [] });
      return;
    }
    const tags = [
      { type: 'agent', name: 'ada', mdcMap: {} },
      { type: 'stdout', io: 'error', mdcMap: {} },
    ];
    const event = { type: 'warning', text: 'oh', tags, timestamp: '2026-01-01T00:00:00.000Z' };
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(`:\n\nid: 7\ndata: ${JSON.stringify(event)}\n\n`);
  };
  const lines = [];
  for await (const line of client().logs(SESSION, { agent: 'ada', after: 6 })) lines.push(line);
  expect(lines).toEqual([
    { number: 7, timestamp: '2026-01-01T00:00:00.000Z', agent: 'ada', io: 'error', text: 'oh' },
  ]);
  expect(asked[0]?.query).toEqual({ after: '6', agentFilter: 'ada' });
});
