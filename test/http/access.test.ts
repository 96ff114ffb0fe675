import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { KEY, openDoor, request, type Door, type DoorParts } from './door.ts';

let door: Door;
async function open(parts?: DoorParts): Promise<void> {
  door = await openDoor(parts);
}
afterEach(() => door.close());

const LIST = '/api/v1/local/namespace';
const bearer = { authorization: `Bearer ${KEY}` };

describe('a key', () => {
  it.each([
    ['nothing', {}],
    ['another key', { authorization: 'Bearer wrong' }],
    ['another scheme', { authorization: `Basic ${KEY}` }],
    ['an empty key', { authorization: 'Bearer ' }],
    ['a made-up cookie', { cookie: 'authSessionToken=made-up' }],
    ['the key itself as cookie', { cookie: `authSessionToken=${KEY}` }],
  ])('is needed under /api: %s is 401', async (_name, headers) => {
    await open();
    const answer = await door.send('GET', LIST, undefined, headers);
    answer.refused(401, 'unauthorized');
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });

  it.each([
    ['GET', '/api/v1/local/events'],
    ['POST', '/api/v1/local/session'],
    ['GET', '/api/v1/registry'],
    ['GET', '/api/v1/teams'],
    ['GET', '/api/v1/archive/session'],
    ['GET', '/api/v1/nothing/here'],
    ['GET', '/%61pi/v1/local/namespace'],
    ['PUT', '/api/v1/local/namespace'],
  ])('is needed for %s %s', async (method, url) => {
    await open();
    (await door.send(method, url, undefined, {})).refused(401, 'unauthorized');
  });

  it('is taken as Bearer, however that is spelled', async () => {
    await open();
    for (const authorization of [`Bearer ${KEY}`, `bearer  ${KEY} `]) {
      (await door.send('GET', LIST, undefined, { authorization })).as(z.array(z.unknown()));
    }
  });

  it.each(['/health', '/ready'])('is not needed for %s', async (url) => {
    await open();
    expect((await door.send('GET', url, undefined, {})).status).toBe(200);
  });
});

describe('logging in with a browser', () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded', host: '127.0.0.1:5555' };
  const login = (token: string, query = '', headers: Record<string, string> = form) =>
    door.send('POST', `/api/v1/auth/token${query}`, `token=${encodeURIComponent(token)}`, headers);
  const cookieOf = (answer: { headers: Readonly<Record<string, unknown>> }): string =>
    String(answer.headers['set-cookie']);

  it('trades the key for a cookie that is not the key, and goes on to the console', async () => {
    await open();
    const answer = await login(KEY);
    expect(answer.status).toBe(302);
    expect(answer.headers['location']).toBe('/ui/console/');
    const cookie = cookieOf(answer);
    expect(cookie).toMatch(/^authSessionToken=[\w-]+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(Buffer.from(cookie.split(/[=;]/)[1] ?? '', 'base64url').toString('latin1')).not.toContain(KEY);
    const pair = { cookie: cookie.split(';')[0] ?? '' };
    (await door.send('GET', LIST, undefined, pair)).as(z.array(z.unknown()));
    // Nobody lands on an error, though there is no console yet.
    const landing = await door.send('GET', '/ui/console/', undefined, pair);
    expect(landing.status).toBe(200);
    expect(landing.headers['content-type']).toContain('text/html');
    expect(landing.headers['content-security-policy']).toContain("default-src 'none'");
    for (const [, href = ''] of landing.text.matchAll(/href="([^"]+)"/g))
      expect((await door.send('GET', href, undefined, pair)).status).toBe(200);
  });

  it('goes on to any path of this server', async () => {
    await open();
    const answer = await login(KEY, `?to=${encodeURIComponent('/ui/docs?x=1#y')}`);
    expect(answer.headers['location']).toBe('/ui/docs?x=1#y');
  });

  it.each(['https://evil.example', '//evil.example', '/\\evil.example', '/\t/evil.example', 'ui/console'])(
    'goes nowhere else: %s',
    async (to) => {
      await open();
      const answer = await login(KEY, `?to=${encodeURIComponent(to)}`);
      answer.refused(400, 'invalid_request');
      expect(answer.headers['set-cookie']).toBeUndefined();
    },
  );

  it('makes the cookie Secure behind https', async () => {
    await open({ config: { trustProxy: true } });
    expect(cookieOf(await login(KEY, '', { ...form, 'x-forwarded-proto': 'https' }))).toContain('; Secure');
  });

  it('is refused with another key, and without one', async () => {
    await open();
    (await login('wrong')).refused(401, 'unauthorized');
    const error = (await door.send('POST', '/api/v1/auth/token', '', form)).refused(400, 'invalid_request');
    expect(error.message).not.toContain(KEY);
  });

  it('gives a cookie that pages of other origins cannot use, even where any may come', async () => {
    await open({ config: { allowAnyHost: true } });
    const cookie = cookieOf(await login(KEY)).split(';')[0] ?? '';
    const host = '127.0.0.1:5555';
    const headers = { cookie, host, origin: 'http://127.0.0.1:3000' };
    (await door.send('GET', LIST, undefined, headers)).refused(401, 'unauthorized');
    const own = { cookie, host, origin: `http://${host}` };
    expect((await door.send('GET', LIST, undefined, own)).status).toBe(200);
  });
});

describe('the host guard', () => {
  it('stands in front of every route, with 403 and a sentence', async () => {
    await open();
    (await door.send('GET', '/health', undefined, { host: 'evil.example' })).refused(403, 'forbidden_host');
    const headers = { ...bearer, host: 'localhost', origin: 'https://evil.example' };
    (await door.send('POST', '/api/v1/local/session', request(['a']), headers)).refused(
      403,
      'forbidden_origin',
    );
    expect(door.world.coral.sessions()).toEqual([]);
  });

  it('tells browsers that any page may come where that is set', async () => {
    await open({ config: { allowAnyHost: true } });
    const origin = 'https://app.example';
    const preflight = await door.send('OPTIONS', LIST, undefined, { origin });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': expect.stringContaining('Authorization'),
    });
    const answer = await door.send('GET', LIST, undefined, { ...bearer, origin });
    expect(answer.status).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBe('*');
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
  });
});
