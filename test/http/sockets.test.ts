import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ListedEvent, ManagerEvent, WireEvent } from '../../src/domain/wire/event.ts';
import { KEY, raw, type Door, type DoorParts } from './door.ts';
import { listening, type Listening } from './listening.ts';
import { SocketReader } from './socket-reader.ts';

let door: Door;
let base: string;
let open: Listening['open'];
let close: Listening['end'];
async function listen(parts?: DoorParts): Promise<void> {
  ({ door, base, open, end: close } = await listening(parts));
}
afterEach(() => door.close());

const events = (id: string, query = '', key = `${KEY}/`): string =>
  `${base}/ws/v1/events/${key}session/test/${id}${query}`;
const manager = (query = ''): string => `${base}/ws/v1/events/${KEY}/lsm${query}`;

async function talk(id: string, count = 1, text = 'hello'): Promise<void> {
  const a = door.world.agent(id, 'a');
  const thread = await a.createThread('talk', ['b']);
  for (let number = 1; number <= count; number += 1)
    await a.sendMessage(thread.id, `${text} ${number}`, ['b']);
}

describe('the events of a session', () => {
  it('come from the handshake on, and the socket closes with the session', async () => {
    await listen();
    const id = await open();
    const reader = await SocketReader.open(events(id));
    await talk(id);
    const [created, sent] = await reader.take(2);
    expect(ListedEvent.parse(created)).toMatchObject({ type: 'thread_created' });
    expect(ListedEvent.parse(sent)).toMatchObject({
      type: 'thread_message_sent',
      message: { text: 'hello 1' },
    });
    await close(id);
    expect(await reader.closed).toEqual({ code: 1000, reason: 'the session is closed' });
    expect(reader.types.slice(2)).toEqual(['runtime_stopped', 'runtime_stopped']);
  });

  it('are replayed behind a seq, everything behind 0, other types only when asked for', async () => {
    await listen();
    const id = await open();
    await talk(id, 300);
    const some = await SocketReader.open(events(id, '?after=0'));
    const all = await SocketReader.open(events(id, '?after=0&all=true'));
    const late = await SocketReader.open(events(id, '?after=100&all=true'));
    await close(id);
    await Promise.all([some.closed, all.closed, late.closed]);
    for (const event of some.seen) ListedEvent.parse(event);
    for (const event of all.seen) WireEvent.parse(event);
    const { seqs } = all;
    expect(seqs).toEqual(seqs.map((_seq, index) => index + 1));
    expect(all.types.at(-1)).toBe('session_closed');
    expect(late.seqs).toEqual(seqs.slice(100));
    expect(some.seqs).toEqual(
      all.seen
        .filter((event) => ListedEvent.safeParse(event).success && !['wait_ended'].includes(event.type))
        .map(({ seq }) => seq),
    );
  });

  it('are told to whoever comes back after the end, and then it is over', async () => {
    await listen();
    const id = await open();
    const before = await SocketReader.open(events(id, '?after=0&all=true'));
    const [, , third] = await before.take(3);
    before.drop();
    await close(id);
    const rest = await SocketReader.open(events(id, `?all=true&after=${third?.seq}`));
    expect((await rest.closed).code).toBe(1000);
    expect(rest.seqs[0]).toBe(4);
    expect(rest.types.at(-1)).toBe('session_closed');
    await expect(SocketReader.open(events(id))).rejects.toMatchObject({ status: 404 });
  });

  it('go to every reader alike, each from where it stands', async () => {
    await listen();
    const id = await open();
    const readers = await Promise.all(Array.from({ length: 60 }, () => SocketReader.open(events(id))));
    await talk(id, 50);
    const late = await SocketReader.open(events(id, '?after=0'));
    await close(id);
    await Promise.all([...readers, late].map((reader) => reader.closed));
    const [first] = readers;
    expect(first?.seen).toHaveLength(53);
    for (const reader of readers) expect(reader.seqs).toEqual(first?.seqs);
    expect(late.seqs.slice(-53)).toEqual(first?.seqs);
  });
});

describe('who may read', () => {
  it('has a key in the path, as Bearer, or a cookie of this origin', async () => {
    await listen();
    const id = await open();
    const login = await door.send('POST', '/api/v1/auth/token', `token=${KEY}`, {
      'content-type': 'application/x-www-form-urlencoded',
    });
    const cookie = String(login.headers['set-cookie']).split(';')[0] ?? '';
    for (const headers of [{ cookie }, { cookie, origin: base }, { authorization: `Bearer ${KEY}` }]) {
      const reader = await SocketReader.open(events(id, '', ''), { headers });
      await reader.close();
    }
    const turned = (url: string, headers = {}) => expect(SocketReader.open(url, { headers })).rejects;
    await turned(events(id, '', '')).toMatchObject({ status: 401, body: { code: 'unauthorized' } });
    await turned(events(id, '', 'wrong/')).toMatchObject({ status: 401 });
    await turned(events(id, '', 'wrong/'), { cookie }).toMatchObject({ status: 401 });
    await turned(events(id, '', ''), { cookie: 'authSessionToken=x' }).toMatchObject({ status: 401 });
    await turned(events(id, '', ''), { cookie, origin: 'http://evil.example' }).toMatchObject({
      status: 401,
    });
    await turned(events(id), { host: 'evil.example' }).toMatchObject({ status: 403 });
  });

  it.each([
    ['session/test/none', 404],
    ['session/none/none?after=0', 404],
    ['session/test', 404],
    ['session/test/x?after=-1', 400],
    ['session/test/x?all=perhaps', 400],
    ['session/%/x', 400],
    ['lsm?namespaceAnnotationFilters=x', 400],
    ['nothing', 404],
  ])('is told why there is nothing at %s', async (path, status) => {
    await listen();
    await expect(SocketReader.open(`${base}/ws/v1/events/${KEY}/${path}`)).rejects.toMatchObject({
      status,
      body: { message: expect.stringMatching(/ .* .* /) },
    });
  });
});

describe('readers', () => {
  it('are pinged, and dropped when they are silent', async () => {
    await listen({ options: { sockets: { pingEvery: 10, silence: 60 } } });
    const id = await open();
    const alive = await SocketReader.open(events(id));
    const dead = await SocketReader.open(events(id), { autoPong: false });
    expect((await dead.closed).code).toBe(1006);
    expect(alive.ws.readyState).toBe(alive.ws.OPEN);
    await alive.close();
  });

  it('that take nothing are cut off, come back with the seq they are told, and hold up nobody', async () => {
    await listen({ options: { sockets: { patience: 100, silence: 60_000 } } });
    const id = await open();
    const [quick, stuck] = await Promise.all([SocketReader.open(events(id)), SocketReader.open(events(id))]);
    stuck.stall();
    const a = door.world.agent(id, 'a');
    const thread = await a.createThread('talk', ['b']);
    const text = 'x'.repeat(60_000);
    for (let number = 0; number < 400; number += 1) await a.sendMessage(thread.id, text, []);
    await quick.take(401);
    expect(stuck.seen.length).toBeLessThan(401);
    await new Promise((resolve) => {
      const look = (): void =>
        void (door.logged.some(({ message }) => message.includes('too slow'))
          ? resolve(0)
          : setImmediate(look));
      look();
    });
    stuck.goOn();
    const { code, reason } = await stuck.closed;
    expect(code).toBe(4008);
    const after = Number(/^after=(\d+)$/.exec(reason)?.[1]);
    expect(after).toBe(stuck.seqs.at(-1));
    const back = await SocketReader.open(events(id, `?after=${after}`));
    await close(id);
    await Promise.all([back.closed, quick.closed]);
    expect([...stuck.seqs, ...back.seqs]).toEqual(quick.seqs);
  });

  it('are told when the server closes', async () => {
    await listen();
    const id = await open();
    const [one, two] = await Promise.all([SocketReader.open(events(id)), SocketReader.open(manager())]);
    await door.close();
    expect(await Promise.all([one.closed, two.closed])).toMatchObject([{ code: 1001 }, { code: 1001 }]);
  });

  it('may say what they like', async () => {
    await listen();
    const id = await open();
    const reader = await SocketReader.open(events(id));
    reader.ws.send('hello');
    reader.ws.send(Buffer.alloc(1_000));
    await talk(id);
    await reader.take(2);
    reader.ws.send('x'.repeat(100_000));
    expect((await reader.closed).code).toBe(1009);
  });
});

describe('the events of the manager', () => {
  it('tell of sessions and namespaces, can be filtered and resumed', async () => {
    await listen();
    const all = await SocketReader.open(manager());
    const filter = Buffer.from(JSON.stringify({ team: 'x' })).toString('base64url');
    const some = await SocketReader.open(manager('?namespaceFilter=other'));
    const noted = await SocketReader.open(manager(`?namespaceAnnotationFilters=${filter}`));
    const first = await open('test');
    const second = await open('other', { team: 'x' });
    await close(first);
    await close(second, 'other');
    const life = [
      'namespace_created',
      'session_created',
      'session_running',
      'session_closing',
      'session_closed',
      'namespace_closed',
    ];
    await all.take(12);
    await some.take(6);
    await noted.take(6);
    for (const event of all.seen) ManagerEvent.parse(event);
    expect(some.types).toEqual(life);
    expect(noted.seen).toEqual(some.seen);
    const back = await SocketReader.open(manager(`?after=${all.seqs[4]}`));
    await back.take(7);
    expect(back.seqs).toEqual(all.seqs.slice(5));
  });
});

describe('a request that asks for another protocol', () => {
  it('is answered as if it had not asked', async () => {
    await listen();
    const { port } = new URL(base);
    const body = JSON.stringify({ name: 'made' });
    const head = (method: string, path: string): string =>
      `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEY}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n`;
    const get = await raw(
      Number(port),
      `${head('GET', '/health')}\r\nGET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    expect(get.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    // The body comes later than the head.
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(`${head('POST', '/api/v1/local/namespace')}Content-Length: ${body.length}\r\n\r\n`);
    await new Promise((resolve) => setImmediate(resolve));
    socket.write(body);
    const answer = await new Promise<string>((resolve) =>
      socket.once('data', (data) => resolve(String(data))),
    );
    expect(answer).toContain('HTTP/1.1 200');
    expect(door.world.coral.namespaces().map(({ name }) => name)).toEqual(['made']);
    socket.destroy();
  });
});
