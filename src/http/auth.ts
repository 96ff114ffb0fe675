/**
 * Who may use the API: a key as Bearer, or the cookie a browser got for one. The cookie holds the key sealed with a
 * secret of the server, never the key itself, and dies with it. Source: docs/wire.md, "Authentication".
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** The configured keys; `check` compares in constant time. */
export interface AuthKeys {
  check(key: string): boolean;
}

export const COOKIE = 'authSessionToken';
/** How long a browser stays logged in, seconds. */
export const COOKIE_MAX_AGE = 30 * 24 * 3_600;

/** What a request brought along. */
export interface Credentials {
  readonly authorization?: string | undefined;
  readonly cookie?: string | undefined;
}

/** Decides who may use the API. */
export interface Auth {
  /** True for a good key. */
  checkKey(key: string): boolean;
  /** True for a good Bearer key, else for a good cookie. */
  check(credentials: Credentials): boolean;
  /** The good key that came along, as Bearer or sealed in a cookie; undefined without one. */
  keyOf(credentials: Credentials): string | undefined;
  /** The cookie's value for a key. */
  seal(key: string): string;
}

/**
 * `now`: wall-clock ms. `secret` seals the cookies: with the same one they outlive a restart; by default a fresh one
 * is made, and browsers log in again.
 */
export function createAuth(keys: AuthKeys, now: () => number, secret?: string): Auth {
  const sealing = secret === undefined ? randomBytes(32) : createHash('sha256').update(secret).digest();

  const seal = (key: string): string => {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', sealing, nonce);
    const until = now() + COOKIE_MAX_AGE * 1_000;
    const sealed = Buffer.concat([cipher.update(`${until} ${key}`, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url');
  };

  const unseal = (value: string): string | undefined => {
    const bytes = Buffer.from(value, 'base64url');
    if (bytes.length < 28) return undefined;
    try {
      const decipher = createDecipheriv('aes-256-gcm', sealing, bytes.subarray(0, 12));
      decipher.setAuthTag(bytes.subarray(12, 28));
      const text = decipher.update(bytes.subarray(28), undefined, 'utf8') + decipher.final('utf8');
      const space = text.indexOf(' ');
      return Number(text.slice(0, space)) > now() ? text.slice(space + 1) : undefined;
    } catch {
      return undefined;
    }
  };

  const keyOf = ({ authorization, cookie }: Credentials): string | undefined => {
    const bearer = bearerOf(authorization);
    if (bearer !== undefined && keys.check(bearer)) return bearer;
    const key = cookie === undefined ? undefined : unseal(cookie);
    return key !== undefined && keys.check(key) ? key : undefined;
  };

  return {
    checkKey: (key) => keys.check(key),
    check: (credentials) => keyOf(credentials) !== undefined,
    keyOf,
    seal,
  };
}

/** The key of an Authorization header that holds one. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return authorization === undefined ? undefined : /^Bearer\s+(\S+)\s*$/i.exec(authorization)?.[1];
}

/** True for a path on this server to send a browser to: relative to its root, never to another origin. */
export function isOwnPath(to: string): boolean {
  // Browsers take "/\x" and "//x" as another host, and drop tabs and line ends before they look.
  if (!/^\/(?![/\\])[\x21-\x7e]*$/.test(to)) return false;
  return URL.canParse(to, 'http://own.invalid') && new URL(to, 'http://own.invalid').host === 'own.invalid';
}
