/**
 * Who comes in by a key, at whichever door: as Bearer, in the path of a socket, or by a cookie. Keys that are wrong
 * count against the address they came from, and soon none from there is looked at any more, so that nobody can guess.
 * A1: an application whose key was good from that address before is not held up by others who guess beside it. A2: a
 * cookie is sealed and cannot be guessed, and an agent's secret is too long to be: they do not count. Source:
 * docs/wire.md, "Limits".
 */
import type { IncomingMessage } from 'node:http';
import { bearerOf, type Auth } from './auth.ts';
import { HttpFault } from './errors.ts';
import { tooOften, type RateLimit } from './rate-limit.ts';

/** Pairs of address and key remembered (A1). */
const MOST_KNOWN = 1_000;

/** What came along with a request. */
export interface Said {
  /** A key in the path; then nothing else counts. */
  readonly key?: string | undefined;
  readonly authorization?: string | undefined;
  readonly cookie?: string | undefined;
}

/** What decides. */
export interface AdmissionParts {
  readonly auth: Auth;
  /** Of requests, by key. */
  readonly requests: RateLimit;
  /** Of wrong keys, by address. */
  readonly failures: RateLimit;
  /** A proxy says whose request it is. */
  readonly trustProxy: boolean;
}

/** Lets in (A1, A2). */
export class Admission {
  private readonly known = new Set<string>();

  constructor(private readonly parts: AdmissionParts) {}

  /** Lets in by a good key. Throws 401 without one, 429 when the key or the address has come too often. */
  admit(request: IncomingMessage, said: Said): void {
    const { auth, requests } = this.parts;
    const tried = said.key ?? bearerOf(said.authorization);
    const pair = tried === undefined ? undefined : `${this.addressOf(request)} ${tried}`;
    if (pair !== undefined && !this.known.has(pair)) this.mayTry(request);
    const isGood = said.key !== undefined && auth.checkKey(said.key);
    const key = said.key === undefined ? auth.keyOf(said) : isGood ? said.key : undefined;
    if (key === undefined) {
      if (pair !== undefined) this.failed(request);
      throw unauthorized(said.key !== undefined);
    }
    if (pair !== undefined && key === tried) this.remember(pair);
    const wait = requests.take(key);
    if (wait > 0) throw tooOften(wait, 'This key asks too often', 'limits.requestsPerSecond');
  }

  /** Throws 429 when too many keys from this address were wrong. */
  mayTry(request: IncomingMessage): void {
    const wait = this.parts.failures.wait(this.addressOf(request));
    if (wait > 0) throw tooOften(wait, 'Too many keys from this address were wrong', 'limits.failedLogins');
  }

  /** A key was wrong. */
  failed(request: IncomingMessage): void {
    this.parts.failures.take(this.addressOf(request));
  }

  private remember(pair: string): void {
    if (this.known.has(pair)) return;
    this.known.add(pair);
    const [oldest] = this.known;
    if (this.known.size > MOST_KNOWN && oldest !== undefined) this.known.delete(oldest);
  }

  private addressOf({ headers, socket }: IncomingMessage): string {
    const forwarded = this.parts.trustProxy ? [headers['x-forwarded-for'] ?? []].flat().join() : '';
    return forwarded.split(',')[0]?.trim() || (socket.remoteAddress ?? '');
  }
}

function unauthorized(inPath: boolean): HttpFault {
  return new HttpFault(
    401,
    'unauthorized',
    inPath
      ? 'The key in the path is not one of auth.keys.'
      : 'This needs a key: send "Authorization: Bearer KEY" with one of auth.keys, or log in.',
    { 'www-authenticate': 'Bearer' },
  );
}
