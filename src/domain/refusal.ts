/**
 * A rule said no. Codes are stable snake_case words; every door owns one table that translates them
 * (`http/errors.ts`, `mcp/errors.ts`). The message is a sentence for a person and holds nothing secret.
 */
export const REFUSAL_CODES = [
  'invalid_request', // a body, file or argument that does not fit
  'invalid_graph', // agents, groups, options, tools of a session request
  'unknown_agent', // not in the registry
  'not_supported', // this version cannot do it
  'unknown_namespace',
  'namespace_exists',
  'unknown_session',
  'session_not_pending', // executing what is not deferred
  'session_ended', // nothing new is taken by a session that stops
  'agent_not_in_session',
  'agent_not_running',
  'unknown_thread',
  'thread_closed',
  'not_participating',
  'already_participating',
  'invalid_mention', // mentioning oneself
  'unknown_mention', // mentioning who takes no part in the thread
  'unknown_message',
  'unknown_team',
  'unknown_delivery',
  'stale', // a report for an attempt that is over: means nothing, told to nobody
  'conflict', // somebody else was first
  'idempotency_conflict', // a key that was used for something else
  'limit_exceeded', // as much as there may be of something
  'too_large', // bigger than one may be
  'not_gone', // asked to end, and something of it could not be ended
  'session_damaged', // records of this session are damaged: it is not served, all others are
  'docker_unavailable',
  'storage_full', // the journal's disk is full
  'storage_unavailable', // the journal cannot be written
  'shutting_down',
] as const;
/** One of the codes. */
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** One fault of several: where (a key path, in the reader's spelling) and what. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

/** Returned by rules, thrown by the engine. `issues` lists every fault, where there may be several. */
export class Refusal extends Error {
  constructor(
    readonly code: RefusalCode,
    message: string,
    readonly issues?: readonly Issue[],
  ) {
    super(message);
    this.name = 'Refusal';
  }
}

/** True for refusals, also across bundle boundaries. */
export function isRefusal(error: unknown): error is Refusal {
  return error instanceof Error && error.name === 'Refusal' && 'code' in error;
}
