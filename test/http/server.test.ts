import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ErrorBody } from '../../src/domain/wire/session.ts';
import { listen, ListenError } from '../../src/http/listen.ts';
import { KEY, openDoor, raw, request, type Door, type DoorParts } from './door.ts';

let door: Door;
async function open(parts?: DoorParts): Promise<void> {
  door = await openDoor(parts);
}
afterEach(() => door.close());

describe('health', () => {
  it('says that the process lives, and which version it is', async () => {
    await open();
    const body = z.strictObject({ status: z.literal('ok'), version: z.literal('0.0.0-test') });
    (await door.send('GET', '/health', undefined, {})).as(body);
  });

  it('says whether it can work, and if not, why', async () => {
    await open();
    const good = (await door.send('GET', '/ready', undefined, {})).as(z.object({ ready: z.literal(true) }));
    expect(good).toEqual({ ready: true });
    door.world.coral.ready = async () => ({ ready: false, problems: ['The journal cannot be written.'] });
    const bad = await door.send('GET', '/ready', undefined, {});
    expect(bad.refused(503, 'not_ready').message).toBe('The journal cannot be written.');
  });
});

it('sends who asks for nothing in particular to the reference page, also without a key', async () => {
  await open();
  const answer = await door.send('GET', '/', undefined, {});
  expect([answer.status, answer.headers['location']]).toEqual([302, '/ui/docs']);
});

describe('what is not there', () => {
  it.each(['/nothing', '/api/v1', '/api/v1/local', '/api/v1/local/session/a'])(
    'is 404: GET %s',
    async (url) => {
      await open();
      (await door.send('GET', url)).refused(404, 'not_found');
    },
  );

  it.each([
    ['PUT', '/api/v1/local/session', 'POST'],
    ['GET', '/api/v1/local/session', 'POST'],
    ['PATCH', '/api/v1/local/session/ns/id', 'POST, GET, HEAD, DELETE'],
    ['DELETE', '/api/v1/local/namespace', 'POST, GET, HEAD'],
    ['POST', '/health?x=1', 'GET, HEAD'],
    ['POST', '/api/v1/teams/', 'GET, HEAD'],
  ])('is 405 where the path is: %s %s', async (method, url, allow) => {
    await open();
    const answer = await door.send(method, url);
    answer.refused(405, 'method_not_allowed');
    expect(String(answer.headers['allow']).split(', ').sort()).toEqual(allow.split(', ').sort());
  });

  it('is 400 where a path cannot be decoded', async () => {
    await open();
    (await door.send('GET', '/api/v1/local/namespace/%zz')).refused(400, 'invalid_request');
  });
});

describe('on the socket', () => {
  const port = async (): Promise<number> => Number(new URL(await door.listen()).port);

  it('bytes that are no HTTP are answered with a sentence', async () => {
    await open();
    const answer = await raw(await port(), 'HELLO\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request/);
    expect(ErrorBody.parse(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).code).toBe('invalid_request');
  });

  it('headers that are too large as well', async () => {
    await open();
    const answer = await raw(
      await port(),
      `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('a body over the limit is answered before all of it came', async () => {
    await open({ config: { bodyLimit: 1_000 } });
    const head = `POST /api/v1/local/session HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEY}\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\nConnection: close\r\n\r\n`;
    expect(await raw(await port(), head)).toMatch(/^HTTP\/1\.1 413 /);
  });

  it('a connection on which nothing was asked does not hold up the end', async () => {
    await open();
    const answer = raw(await port(), '');
    // Another request is answered only after the first connection was taken.
    await fetch(`http://127.0.0.1:${(door.app.server.address() as { port: number }).port}/health`);
    await door.close();
    expect(await answer).toBe('');
  });
});

describe('the door of the agents', () => {
  it('sees every request first, and takes what is its own', async () => {
    await open({
      options: {
        mcp: (request, response) => {
          if (request.url?.startsWith('/mcp/') !== true) return false;
          response.end('mine');
          return true;
        },
      },
    });
    const base = await door.listen();
    expect(await (await fetch(`${base}/mcp/v1/secret/mcp`)).text()).toBe('mine');
    expect((await fetch(`${base}/health`)).status).toBe(200);
  });
});

describe('listening', () => {
  const why = async (config: { bindAddress: string; bindPort: number }): Promise<string> => {
    const error = await listen(door.app, config).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ListenError);
    return (error as Error).message;
  };

  it('says who holds a port that is in use, and which flag to change', async () => {
    await open();
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as { port: number };
    const message = await why({ bindAddress: '127.0.0.1', bindPort: port });
    expect(message).toContain(`127.0.0.1:${port} is in use by `);
    if (process.platform === 'linux') expect(message).toContain(`(pid ${process.pid})`);
    expect(message).toContain('--network.bind-port');
    await new Promise((resolve) => other.close(resolve));
  });

  it('says when an address is not one of this machine', async () => {
    await open();
    const message = await why({ bindAddress: '192.0.2.1', bindPort: 0 });
    expect(message).toBe('192.0.2.1 is no address of this machine; choose one with --network.bind-address.');
  });
});

it('an answer can be read by a machine: JSON with its type', async () => {
  await open();
  const answer = await door.send('POST', '/api/v1/local/session', request(['a']));
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
});
