/**
 * The one table that translates what the engine says no with into HTTP, and the one shape of every error body:
 * `{message, code, issues?}`. Source: docs/wire.md, "Errors".
 */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isRefusal, type Issue, type RefusalCode } from '../domain/refusal.ts';
import type { ErrorBody } from '../domain/wire/session.ts';
import { JournalError } from '../ports/journal.ts';
import type { Log } from '../ports/log.ts';

const STATUS: Readonly<Record<RefusalCode, number>> = {
  invalid_request: 400,
  invalid_graph: 400,
  unknown_agent: 400,
  not_supported: 400,
  unknown_namespace: 404,
  namespace_exists: 400,
  unknown_session: 404,
  session_not_pending: 400,
  session_ended: 400,
  agent_not_in_session: 404,
  agent_not_running: 400,
  unknown_thread: 404,
  thread_closed: 400,
  not_participating: 400,
  already_participating: 400,
  invalid_mention: 400,
  unknown_mention: 404,
  unknown_message: 400,
  unknown_delivery: 404,
  unknown_team: 404,
  stale: 409,
  conflict: 409,
  idempotency_conflict: 409,
  limit_exceeded: 429,
  too_large: 413,
  not_gone: 503,
  session_damaged: 503,
  docker_unavailable: 503,
  storage_full: 507,
  storage_unavailable: 503,
  shutting_down: 503,
};

/** A fault of this door's own: a path, a method, a credential. */
export class HttpFault extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = 'HttpFault';
  }
}

/** An error as HTTP says it. */
export interface Answer {
  readonly status: number;
  readonly body: ErrorBody;
  readonly headers: Readonly<Record<string, string>>;
  /** Ours and not the client's: to be logged, and named by its id in the body. */
  readonly unexpected: boolean;
}

/** What an error means to a client. `id` names the request in our log. */
export function answerTo(error: unknown, id: string): Answer {
  if (isRefusal(error)) return answer(STATUS[error.code], error.code, error.message, error.issues);
  if (error instanceof HttpFault) {
    return { ...answer(error.status, error.code, error.message), headers: error.headers };
  }
  if (error instanceof JournalError) return storage(error);
  const framework = fromFramework(error);
  if (framework !== undefined) return framework;
  return {
    ...answer(500, 'internal_error', `The server failed at this request; its log says more under ${id}.`),
    unexpected: true,
  };
}

/** Sends any error as the one shape, and logs once what is ours. */
export function errorHandler(
  log: Log,
): (error: unknown, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => {
    const { status, body, headers, unexpected } = answerTo(error, request.id);
    if (unexpected) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.error('A request failed.', { id: request.id, route: request.routeOptions.url ?? '', reason });
    }
    void reply.headers(headers).code(status).send(body);
  };
}

function answer(status: number, code: string, message: string, issues?: readonly Issue[]): Answer {
  return {
    status,
    body: {
      message,
      code,
      ...(issues !== undefined && issues.length > 0 && { issues: issues.map((issue) => ({ ...issue })) }),
    },
    headers: {},
    unexpected: false,
  };
}

function storage(error: JournalError): Answer {
  switch (error.code) {
    case 'full':
      return answer(507, 'storage_full', error.message);
    case 'bad_cursor':
      return answer(400, 'invalid_request', error.message);
    case 'conflict':
      return answer(409, 'conflict', error.message);
    case 'damaged':
      return answer(503, 'session_damaged', error.message);
    case 'unavailable':
    case 'corrupt':
    case 'newer_version':
    case 'closed':
      return answer(503, 'storage_unavailable', error.message);
  }
}

/** What Fastify itself refuses: too large, aborted, not decodable … Undefined for anything that is not the client's. */
function fromFramework(error: unknown): Answer | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  const { statusCode, code, message } = error as FastifyError;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return answer(413, 'payload_too_large', 'The body is larger than this server takes; send less at once.');
  }
  if (code === 'FST_ERR_BAD_URL') {
    return answer(
      400,
      'invalid_request',
      'The path is not decodable: a % in it is not followed by two hex digits.',
    );
  }
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode >= 500) return undefined;
  return answer(statusCode, 'invalid_request', message);
}
