import { describe, expect, it } from 'vitest';
import { createAuth, isOwnPath } from '../../src/http/auth.ts';
import { hostGuard, isLoopback } from '../../src/http/host-guard.ts';

describe('a sealed key', () => {
  let now = 1_000;
  const auth = (keys: string[], secret?: string) =>
    createAuth({ check: (key) => keys.includes(key) }, () => now, secret);

  it('is good until it is old', () => {
    const one = auth(['k']);
    const cookie = one.seal('k');
    expect(one.check({ cookie })).toBe(true);
    now += 31 * 24 * 3_600_000;
    expect(one.check({ cookie })).toBe(false);
  });

  it('dies with its key and with the secret that sealed it, and outlives a restart with the same one', () => {
    const cookie = auth(['k'], 'secret').seal('k');
    expect(auth(['k'], 'secret').check({ cookie })).toBe(true);
    expect(auth(['other'], 'secret').check({ cookie })).toBe(false);
    expect(auth(['k']).check({ cookie })).toBe(false);
    const forged = cookie.slice(0, 20) + (cookie[20] === 'A' ? 'B' : 'A') + cookie.slice(21);
    expect(auth(['k'], 'secret').check({ cookie: forged })).toBe(false);
  });
});

describe('the host guard', () => {
  const guard = (config: Partial<Parameters<typeof hostGuard>[0]> = {}) =>
    hostGuard({ bindAddress: '127.0.0.1', trustProxy: false, allowAnyHost: false, ...config });
  const code = (
    config: Partial<Parameters<typeof hostGuard>[0]>,
    headers: Record<string, string>,
    method = 'GET',
  ) => guard(config).check({ method, headers })?.code;

  it.each([
    'localhost',
    'localhost:5555',
    '127.0.0.1:5555',
    '127.9.9.9',
    '[::1]:5555',
    'console.localhost:80',
  ])('lets the Host %s reach a loopback server', (host) => {
    expect(code({}, { host })).toBeUndefined();
  });

  it.each([
    'evil.example',
    'evil.example:5555',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    '',
  ])('turns the Host %j away from a loopback server', (host) => {
    expect(code({}, { host })).toBe('forbidden_host');
  });

  it('lets the external address in, and everybody where that is set or the server is reachable anyway', () => {
    const host = 'coral.example:8443';
    for (const externalAddress of ['coral.example', 'coral.example:8443', 'https://coral.example']) {
      expect(code({ externalAddress }, { host })).toBeUndefined();
    }
    expect(code({ allowAnyHost: true }, { host })).toBeUndefined();
    expect(code({ bindAddress: '0.0.0.0' }, { host })).toBeUndefined();
    expect(code({ bindAddress: '::1' }, { host })).toBe('forbidden_host');
  });

  it('lets pages of this server change things, and no others', () => {
    const host = 'localhost:5555';
    const change = (origin: string, config = {}, more = {}) =>
      code(config, { host, origin, ...more }, 'POST');
    expect(change('http://localhost:5555')).toBeUndefined();
    expect(change('http://localhost:3000')).toBe('forbidden_origin');
    expect(change('https://evil.example')).toBe('forbidden_origin');
    expect(change('null')).toBe('forbidden_origin');
    expect(change('https://coral.example', { externalAddress: 'https://coral.example' })).toBeUndefined();
    const forwarded = { 'x-forwarded-host': 'coral.example' };
    expect(change('https://coral.example', { trustProxy: true }, forwarded)).toBeUndefined();
    expect(change('https://coral.example', {}, forwarded)).toBe('forbidden_origin');
    expect(code({}, { host, origin: 'https://evil.example' })).toBeUndefined();
    expect(code({}, { host }, 'POST')).toBeUndefined();
  });

  it.each([
    ['localhost', true],
    ['LOCALHOST.', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['0.0.0.0', false],
    ['::', false],
    ['128.0.0.1', false],
  ])('knows whether %s is loopback', (host, loopback) => {
    expect(isLoopback(host)).toBe(loopback);
  });
});

it.each([
  ['/', true],
  ['/ui/console/', true],
  ['', false],
  ['//x', false],
  ['/ /x', false],
])('%j is a path of this server: %s', (path, own) => {
  expect(isOwnPath(path)).toBe(own);
});
