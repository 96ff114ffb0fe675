import { afterEach, describe, expect, it } from 'vitest';
import { KEY, openDoor, type Door, type DoorParts } from './door.ts';

let door: Door;
afterEach(() => door.close());

async function cookie(config: DoorParts['config'], headers: Record<string, string>): Promise<string> {
  door = await openDoor({ config: { ...config } });
  const answer = await door.send('POST', '/api/v1/auth/token', `token=${KEY}`, {
    'content-type': 'application/x-www-form-urlencoded',
    ...headers,
  });
  expect(answer.status, answer.text).toBe(302);
  return String(answer.headers['set-cookie']);
}

const FORWARDED = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'coral.example' };
const HTTPS = 'https://coral.example';

describe('behind a reverse proxy', () => {
  it.each([
    ['TLS, of a proxy that is trusted', { trustProxy: true }, { host: 'localhost', ...FORWARDED }, true],
    ['TLS, of one that is not', {}, { host: 'localhost', ...FORWARDED }, false],
    [
      'the external address, asked for by its name',
      { externalAddress: HTTPS },
      { host: 'coral.example' },
      true,
    ],
    ['the external address, asked for by another', { externalAddress: HTTPS }, { host: 'localhost' }, false],
    [
      'the external address, named by a trusted proxy',
      { externalAddress: HTTPS, trustProxy: true },
      { host: 'localhost', 'x-forwarded-host': 'coral.example' },
      true,
    ],
    [
      'an external address without TLS',
      { externalAddress: 'http://coral.example' },
      { host: 'coral.example' },
      false,
    ],
  ])('the cookie is only for https when the browser has it: %s', async (_name, config, headers, secure) => {
    expect((await cookie(config, headers as unknown as Record<string, string>)).includes('Secure')).toBe(
      secure,
    );
  });
});
