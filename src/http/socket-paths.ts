/** Which paths are sockets. Source: docs/wire.md, "Sockets". */
import type { SessionKey } from '../domain/state.ts';
import { HttpFault } from './errors.ts';

/** What a path asks for; `key` is the one in it. */
export type SocketPath = { readonly key?: string | undefined } & (
  | { readonly kind: 'session'; readonly session: SessionKey }
  | { readonly kind: 'manager' }
  | { readonly kind: 'logs' }
);

/** Undefined for a path that is no socket. Throws 400 for one that cannot be decoded. */
export function readSocketPath(path: string): SocketPath | undefined {
  const [ws, v1, kind, ...rest] = decoded(path);
  if (ws !== 'ws' || v1 !== 'v1') return undefined;
  if (kind === 'logs') return rest.length <= 1 ? { kind: 'logs', key: rest[0] } : undefined;
  if (kind !== 'events') return undefined;
  if (rest.at(-1) === 'lsm' && rest.length <= 2) {
    return { kind: 'manager', ...(rest.length === 2 && { key: rest[0] }) };
  }
  const hasKey = rest.length === 4 && rest[1] === 'session';
  if (!hasKey && !(rest.length === 3 && rest[0] === 'session')) return undefined;
  const [namespace = '', sessionId = ''] = rest.slice(-2);
  return { kind: 'session', session: { namespace, sessionId }, ...(hasKey && { key: rest[0] }) };
}

/** Whether it is one. */
export function isSocketPath(path: string): boolean {
  try {
    return readSocketPath(path) !== undefined;
  } catch {
    return false;
  }
}

/** The segments of a path, decoded. */
function decoded(path: string): string[] {
  try {
    return path
      .replace(/^\/+|\/+$/g, '')
      .split('/')
      .map(decodeURIComponent);
  } catch {
    throw new HttpFault(
      400,
      'invalid_request',
      'The path is not decodable: a % in it is not followed by two hex digits.',
    );
  }
}
