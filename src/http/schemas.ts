/** Pieces that the schemas of several routes share: paths, queries, and the answers every route may give. */
import { z } from 'zod';
import { ErrorBody } from '../domain/wire/session.ts';

export const SessionParams = z.object({
  namespace: z.string().describe('Name of the namespace'),
  sessionId: z.string().describe('Id of the session'),
});

export const NamespaceParams = z.object({ namespace: z.string().describe('Name of the namespace') });

/** An answer without a body. */
export const Empty = z.void().describe('Done; no body');

/** A place in a stream: everything after it. */
export const After = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** `true` or `false`, as in a query. */
export const Flag = z.enum(['true', 'false', '1', '0']).transform((text) => text === 'true' || text === '1');

const SENTENCES = {
  400: 'The request does not fit; `issues` names every fault',
  401: 'No key, or one that is not known',
  403: 'A page of another origin, or a Host header that names another server',
  404: 'There is no such thing',
  409: 'Something else is in the way: a name that is taken, or a key that was used for something else',
  413: 'The body (or a message) is too large',
  429: 'As much as there may be; try again later, or with less',
  503: 'Cannot be done for now; try again later',
  507: 'The disk is full; nothing new is taken',
} as const;

/** What every route may answer that needs a key. */
const ALWAYS = [401, 403, 429] as const;

/** The error answers of a route, for its schema. */
export function errors(...statuses: readonly (keyof typeof SENTENCES)[]): Record<number, z.ZodType> {
  const all = new Set([...ALWAYS, ...statuses]);
  return Object.fromEntries([...all].map((status) => [status, ErrorBody.describe(SENTENCES[status])]));
}

/** What every route may answer whose request is written down. */
export const WRITES = [400, 413, 429, 503, 507] as const;

/**
 * The caller's own name for a request. Asked again with it, the same request is answered as the first time; another
 * request under it is 409.
 */
export const IdempotencyKey = z.looseObject({
  'idempotency-key': z.string().min(1).max(255).optional().describe('Your own name for this request'),
});

/** An event stream, for the schema of its route; `data`: the type of what each event carries. */
export function eventStream(data: 'SessionEvent' | 'LogEvent' | 'ManagerEvent'): z.ZodString {
  return z.string().describe(`text/event-stream of events, each with a ${data} as its data`);
}

/** Where a reader of an event stream goes on (sse.ts reads it). */
export const LastEventId = z.looseObject({
  'last-event-id': z
    .string()
    .optional()
    .describe('Id of the last event that was received; wins over `after`'),
});
