/** Which paths are sockets, and what may be asked of each. Source: docs/wire.md, "Sockets". */
import { z } from 'zod';
import type { SessionKey } from '../domain/state.ts';
import { HttpFault } from './errors.ts';
import { After, Flag } from './schemas.ts';
import { DEFAULT_LINES } from './stream-routes.ts';

/** The segment that readers with a cookie leave out. */
const KEY = '{key}';

/** Every socket there is: its path, and its query as a schema. Paths and the API's description are read from here. */
export const SOCKETS = {
  session: {
    path: `/ws/v1/events/${KEY}/session/{namespace}/{sessionId}`,
    query: z.object({
      after: After.optional().describe('Replay from behind this seq; 0: everything'),
      all: Flag.default(false).describe('With event types that are not sent unasked'),
    }),
  },
  manager: {
    path: `/ws/v1/events/${KEY}/lsm`,
    query: z.object({
      after: After.optional().describe('Replay from behind this seq; 0: everything'),
      namespaceFilter: z.string().optional().describe('Only of this namespace'),
      namespaceAnnotationFilters: z
        .string()
        .optional()
        .describe('URL-safe base64 of a JSON map of strings: all pairs must be annotations of the namespace'),
    }),
  },
  logs: {
    path: `/ws/v1/logs/${KEY}`,
    query: z.object({
      namespaceFilter: z.string().optional().describe('Only of this namespace'),
      sessionFilter: z.string().optional().describe('Only of the session with this id'),
      agentFilter: z.string().optional().describe('Only of agents of this name'),
      allowSensitive: Flag.default(false).describe('With lines that are tagged as sensitive'),
      limit: z.coerce
        .number()
        .int()
        .min(0)
        .default(DEFAULT_LINES)
        .describe('So many of the newest lines come first, at most logging.maxReplay'),
      after: After.optional().describe(
        'Every kept line from behind this seq first, whatever the limit; 0: all. Lines then carry their seq',
      ),
    }),
  },
} as const;

/** One of them. */
export type SocketKind = keyof typeof SOCKETS;

/** What a path asks for; `key` is the one in it. */
export type SocketPath = { readonly key?: string | undefined } & (
  | { readonly kind: 'session'; readonly session: SessionKey }
  | { readonly kind: 'manager' }
  | { readonly kind: 'logs' }
);

/** The path for readers whose cookie is their key. */
export function withoutKey(path: string): string {
  return path.replace(`/${KEY}`, '');
}

const PATTERNS = (Object.keys(SOCKETS) as SocketKind[]).flatMap((kind) => {
  const { path } = SOCKETS[kind];
  return [path, withoutKey(path)].map((each) => ({ kind, segments: segments(each) }));
});

/** Undefined for a path that is no socket. Throws 400 for one that cannot be decoded. */
export function readSocketPath(path: string): SocketPath | undefined {
  const given = decoded(path);
  for (const { kind, segments } of PATTERNS) {
    const values = match(segments, given);
    if (values === undefined) continue;
    const { key, namespace = '', sessionId = '' } = values;
    return kind === 'session' ? { kind, key, session: { namespace, sessionId } } : { kind, key };
  }
  return undefined;
}

/** Whether it is one. */
export function isSocketPath(path: string): boolean {
  try {
    return readSocketPath(path) !== undefined;
  } catch {
    return false;
  }
}

/** What stands where the pattern has a name in braces; undefined when something else differs. */
function match(
  pattern: readonly string[],
  given: readonly string[],
): Readonly<Record<string, string>> | undefined {
  if (pattern.length !== given.length) return undefined;
  const values: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const value = given[index] ?? '';
    if (part.startsWith('{')) values[part.slice(1, -1)] = value;
    else if (part !== value) return undefined;
  }
  return values;
}

function segments(path: string): string[] {
  return path.replace(/^\/+|\/+$/g, '').split('/');
}

/** The segments of a path, decoded. */
function decoded(path: string): string[] {
  try {
    return segments(path).map(decodeURIComponent);
  } catch {
    throw new HttpFault(
      400,
      'invalid_request',
      'The path is not decodable: a % in it is not followed by two hex digits.',
    );
  }
}
