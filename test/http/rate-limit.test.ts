import { afterEach, describe, expect, it } from 'vitest';
import { RateLimit } from '../../src/http/rate-limit.ts';
import { HandClock } from '../support/hand-clock.ts';
import { SocketReader } from './socket-reader.ts';
import { KEY, openDoor, type Answer, type Door } from './door.ts';

describe('a rate limit', () => {
  const limit = (tokens: number, most?: number): { clock: HandClock; rate: RateLimit } => {
    const clock = new HandClock();
    return { clock, rate: new RateLimit({ tokens, perMs: 1_000 }, clock.now, most) };
  };

  it('gives each name its tokens at once, then one at a time', () => {
    const { clock, rate } = limit(4);
    expect([1, 2, 3, 4].map(() => rate.take('a'))).toEqual([0, 0, 0, 0]);
    expect(rate.take('a')).toBe(250);
    expect(rate.take('b')).toBe(0);
    clock.advance(249);
    expect(rate.take('a')).toBe(1);
    clock.advance(1);
    expect([rate.take('a'), rate.take('a')]).toEqual([0, 250]);
    clock.advance(3_600_000);
    expect([1, 2, 3, 4, 5].map(() => rate.take('a'))).toEqual([0, 0, 0, 0, 250]);
  });

  it('counts nothing when it only looks, and nothing at all when it is off', () => {
    const { rate } = limit(1);
    expect([rate.wait('a'), rate.wait('a'), rate.size]).toEqual([0, 0, 0]);
    expect([rate.take('a'), rate.wait('a')]).toEqual([0, 1_000]);
    const off = limit(0).rate;
    expect([off.take('a'), off.take('a'), off.size]).toEqual([0, 0, 0]);
  });

  it('forgets who was not there lately, and never keeps more than it may', () => {
    const { clock, rate } = limit(2, 100);
    for (let name = 0; name < 1_000; name += 1) rate.take(String(name));
    expect(rate.size).toBe(100);
    clock.advance(1_000);
    rate.take('late');
    expect(rate.size).toBe(1);
  });

  it('is not confused by a clock that goes back', () => {
    const clock = { time: 1_000_000 };
    const rate = new RateLimit({ tokens: 1, perMs: 1_000 }, () => clock.time);
    rate.take('a');
    clock.time = 0;
    expect(rate.take('a')).toBe(1_000);
    clock.time = 1_000;
    expect(rate.take('a')).toBe(0);
  });
});

let door: Door;
afterEach(() => door?.close());

describe('the limits of the API', () => {
  const logIn = (token: string): Promise<Answer> =>
    door.send('POST', '/api/v1/auth/token', `token=${token}`, {
      'content-type': 'application/x-www-form-urlencoded',
    });

  it('let a key ask so often and no more, whichever way it comes', async () => {
    door = await openDoor({ config: { requestsPerSecond: 2 } });
    const cookie = String((await logIn(KEY)).headers['set-cookie']).split(';')[0] ?? '';
    const ask = (headers?: Record<string, string>): Promise<Answer> =>
      door.send('GET', '/api/v1/local/namespace', undefined, headers);
    expect([(await ask()).status, (await ask({ cookie })).status]).toEqual([200, 200]);
    const refused = await ask();
    expect(refused.refused(429, 'limit_exceeded').message).toContain('limits.requestsPerSecond');
    expect(refused.headers['retry-after']).toBe('1');
    expect((await door.send('GET', '/health')).status).toBe(200);
    await door.world.advance(1_000);
    expect((await ask()).status).toBe(200);
  });

  it('look at no log-in from an address where too many failed', async () => {
    door = await openDoor({ config: { failedLogins: 3 } });
    for (let tries = 0; tries < 3; tries += 1) (await logIn('wrong')).refused(401, 'unauthorized');
    const refused = await logIn(KEY);
    expect(refused.refused(429, 'limit_exceeded').message).toContain('limits.failedLogins');
    expect(refused.headers['retry-after']).toBe('20');
    await door.world.advance(20_000);
    for (let times = 0; times < 5; times += 1) expect((await logIn(KEY)).status).toBe(302);
    (await logIn('wrong')).refused(401, 'unauthorized');
    (await logIn(KEY)).refused(429, 'limit_exceeded');
  });

  describe('on wrong keys', () => {
    const ask = (key: string): Promise<Answer> =>
      door.send('GET', '/api/v1/local/namespace', undefined, { authorization: `Bearer ${key}` });

    it('count them wherever they are said, and look at no new one after too many', async () => {
      door = await openDoor({ config: { failedLogins: 3 } });
      const url = await door.listen();
      const socket = (key: string): Promise<unknown> =>
        SocketReader.open(`${url}/ws/v1/events/${key}/lsm`).catch((error: unknown) => error);
      (await ask('wrong')).refused(401, 'unauthorized');
      expect(await socket('wrong')).toMatchObject({ status: 401 });
      (await logIn('wrong')).refused(401, 'unauthorized');
      expect((await ask(KEY)).refused(429, 'limit_exceeded').message).toContain('limits.failedLogins');
      expect(await socket(KEY)).toMatchObject({ status: 429, body: { code: 'limit_exceeded' } });
      await door.world.advance(60_000);
      expect((await ask(KEY)).status).toBe(200);
    });

    it('hold nobody up whose key was good before, nor who has a cookie', async () => {
      door = await openDoor({ config: { failedLogins: 3 } });
      const cookie = String((await logIn(KEY)).headers['set-cookie']).split(';')[0] ?? '';
      expect((await ask(KEY)).status).toBe(200);
      for (let tries = 0; tries < 3; tries += 1) (await ask(`wrong-${tries}`)).refused(401, 'unauthorized');
      (await ask('wrong')).refused(429, 'limit_exceeded');
      expect((await ask(KEY)).status).toBe(200);
      const asked = await door.send('GET', '/api/v1/local/namespace', undefined, { cookie });
      expect(asked.status).toBe(200);
    });

    it('do not count who said none, and whose cookie is too old', async () => {
      door = await openDoor({ config: { failedLogins: 1 } });
      for (const headers of [{}, { cookie: 'authSessionToken=old' }, { authorization: 'Basic eDp5' }])
        (await door.send('GET', '/api/v1/local/namespace', undefined, headers)).refused(401, 'unauthorized');
      expect((await ask(KEY)).status).toBe(200);
    });
  });

  it('count a socket as a request', async () => {
    door = await openDoor({ config: { requestsPerSecond: 1 } });
    const reader = await SocketReader.open(`${await door.listen()}/ws/v1/events/${KEY}/lsm`);
    (await door.send('GET', '/api/v1/local/namespace')).refused(429, 'limit_exceeded');
    await reader.close();
  });

  it('let so many follow at once, by sockets and event streams together, and the next one when another leaves', async () => {
    door = await openDoor({ config: { sockets: 2 } });
    const url = await door.listen();
    const socket = (): Promise<SocketReader> => SocketReader.open(`${url}/ws/v1/events/${KEY}/lsm`);
    const headers = { authorization: `Bearer ${KEY}` };
    const stream = (): Promise<Response> => fetch(`${url}/api/v1/local/events`, { headers });
    const first = await socket();
    const second = await stream();
    expect(second.status).toBe(200);
    const refused = {
      status: 429,
      body: { code: 'limit_exceeded', message: expect.stringMatching('limits.sockets') },
    };
    expect(await socket().catch((error: unknown) => error)).toMatchObject(refused);
    const third = await stream();
    expect([third.status, await third.json()]).toMatchObject([429, refused.body]);
    // Whoever does not follow is not held up.
    expect((await door.send('GET', '/api/v1/local/namespace')).status).toBe(200);
    await second.body?.cancel();
    await first.close();
    const late = await until(socket);
    await late.close();
  });
});

/** Asks again until it is let in: the server hears of who left a moment later. */
async function until(open: () => Promise<SocketReader>): Promise<SocketReader> {
  for (;;) {
    try {
      return await open();
    } catch (error) {
      expect(error).toMatchObject({ status: 429 });
    }
  }
}
