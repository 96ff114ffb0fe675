/**
 * The MCP door: everything under `/mcp/v1`, on a bare `node:http` server. It takes HTTP apart, finds the agent and its
 * session and hands requests to the runner. Source: docs/wire.md, "MCP endpoints".
 *
 * D1 No request is looked at before its secret was; a secret that is not good is 401, whatever else is wrong.
 * D2 Every request is answered, at once when it is wrong.
 * D3 One timer for everything: it sweeps idle sessions and keeps open streams from looking dead.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Participant } from '../engine/participant.ts';
import { tell } from './errors.ts';
import { answerError, answerJson, answerTaken, bearer, route } from './http.ts';
import { errorMessage } from './jsonrpc.ts';
import { mannerOf, readMessages, type Messages, type Notification } from './messages.ts';
import { createMethods, type CustomTools } from './methods.ts';
import { saysSessionless } from './revisions.ts';
import { Runner } from './runner.ts';
import { Sessions, type McpSession } from './sessions.ts';
import type { SseStream } from './sse.ts';
import type { ExtraTool } from './tool.ts';

/** What the door is made of; times are in ms. */
export interface McpDoorOptions {
  /** The agent whose current secret this is. */
  readonly authenticate: (secret: string) => Participant | undefined;
  /** How long a wait lasts that does not say, ms; above 55000 it is clipped. */
  readonly defaultWaitMs: number;
  /** Wall-clock ms. */
  readonly now: () => number;
  /** At least 16 bytes; the same over restarts, so that session ids stay good. */
  readonly signingKey: Uint8Array | string;
  /** Our version, told to clients. */
  readonly version: string;
  /** Something is wrong that no client can be told. */
  readonly warn: (message: string, error?: unknown) => void;
  /** ms after which a session nobody hears of is over. Default: 30 minutes. */
  readonly idleMs?: number;
  /** ms between signs of life on open streams. Default: 10 s. */
  readonly beatMs?: number;
  /** Largest request body, bytes. Default: 8 MiB. */
  readonly bodyLimit?: number;
  /** A sentence when a request's Host or Origin is refused (403). */
  readonly allowHost?: (request: IncomingMessage) => string | undefined;
  readonly customTools?: CustomTools;
  /** Tools every agent gets on top of ours. */
  readonly extraTools?: readonly ExtraTool[];
}

/** The door, for any number of listeners. */
export interface McpDoor {
  /** True when the path was the door's: then it answers, now or later. */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
  /** Ends sessions and streams and aborts calls; resolves when the last one was answered. New requests get 503. */
  close(): Promise<void>;
  stats(): McpStats;
}

/** What is going on at the door. */
export interface McpStats {
  /** MCP sessions alive. */
  readonly sessions: number;
  /** Requests under way, waits among them. */
  readonly calls: number;
  /** Event streams open. */
  readonly streams: number;
}

const IDLE_MS = 30 * 60_000;
const BEAT_MS = 10_000;
const BODY_LIMIT = 8 * 1024 * 1024;

interface Caller {
  readonly secret: string;
  readonly participant: Participant;
}

/** Makes the door. It listens to nothing itself: whoever owns a server hands requests to `handle`. */
export function createMcpDoor(options: McpDoorOptions): McpDoor {
  const { warn, now, bodyLimit = BODY_LIMIT } = options;
  const sessions = new Sessions({
    signingKey: options.signingKey,
    now,
    idleMs: options.idleMs ?? IDLE_MS,
    warn,
  });
  const methods = createMethods({
    defaultWaitMs: options.defaultWaitMs,
    version: options.version,
    customTools: options.customTools,
    extraTools: options.extraTools,
    warn,
  });
  const runner = new Runner({ methods, now, warn });
  /** The streams of the older transport, by the session they stand for. */
  const legacy = new WeakMap<McpSession, SseStream>();
  let timer: NodeJS.Timeout | undefined;
  let closing = false;
  let underWay = 0;
  let idle: (() => void) | undefined;

  function tick(): void {
    runner.beat();
    sessions.sweep();
    if (sessions.size === 0 && runner.streams.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  }

  function handle(request: IncomingMessage, response: ServerResponse): boolean {
    const target = route(request.url ?? '');
    if (target === undefined) return false;
    const refused = options.allowHost?.(request);
    if (refused !== undefined) {
      answerError(response, 403, 'host_refused', refused);
    } else if (target.transport === 'unknown') {
      const hint = 'There is nothing here; agents connect to /mcp/v1/SECRET/mcp.';
      answerError(response, 404, 'unknown_path', hint);
    } else {
      const caller = callerOf(target.secret ?? bearer(request), response);
      if (caller !== undefined) {
        serve(target.transport, target.query, request, response, caller);
        return true;
      }
    }
    request.resume();
    return true;
  }

  /** Who asks; answers 401 when nobody may ask with that secret. */
  function callerOf(secret: string | undefined, response: ServerResponse): Caller | undefined {
    const participant = secret === undefined ? undefined : options.authenticate(secret);
    if (secret !== undefined && participant?.valid === true) {
      if (!closing) return { secret, participant };
      answerError(response, 503, 'shutting_down', 'The server is stopping.');
      return undefined;
    }
    const message =
      secret === undefined
        ? 'An agent says its secret in the path or as a Bearer token.'
        : 'This agent secret is unknown or no longer valid.';
    answerError(response, 401, 'unauthorized', message, { 'www-authenticate': 'Bearer realm="coral"' });
    return undefined;
  }

  function serve(
    transport: 'streamable' | 'sse',
    query: string,
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
  ): void {
    timer ??= setInterval(tick, options.beatMs ?? BEAT_MS).unref();
    underWay += 1;
    const served =
      transport === 'sse'
        ? serveLegacy(request, response, caller, query)
        : serveStreamable(request, response, caller);
    served
      .catch((error: unknown) => {
        warn('an MCP request failed', error);
        answerError(response, 500, 'internal', 'The server failed to answer this request.');
      })
      .finally(() => {
        underWay -= 1;
        if (underWay === 0) idle?.();
      });
  }

  async function serveStreamable(
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
  ): Promise<void> {
    switch (request.method) {
      case 'POST': {
        const messages = await readMessages(request, response, bodyLimit);
        if (messages !== undefined) await post(request, response, caller, messages);
        return;
      }
      case 'GET':
      case 'DELETE': {
        request.resume();
        if (saysSessionless(request.headers)) break;
        const session = sessionOf(request, response, caller);
        if (session === undefined) return;
        if (request.method === 'DELETE') {
          sessions.delete(session);
          response.writeHead(200, { 'content-length': 0 }).end();
          return;
        }
        if (!(await connected(session, response))) return;
        session.attach({ stream: runner.open(response), speaks: true });
        return;
      }
      default:
        request.resume();
    }
    answerError(response, 405, 'method_not_allowed', 'Send messages with POST.', {
      allow: 'POST, GET, DELETE',
    });
  }

  async function post(
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
    messages: Messages,
  ): Promise<void> {
    const { headers } = request;
    const { requests, notifications, failed, batch } = messages;
    const manner = mannerOf(headers, messages);
    if (typeof manner !== 'string') {
      answerJson(response, manner.failure.status, errorMessage(manner.id, manner.failure));
      return;
    }
    const sessionless = manner === 'sessionless';
    const begins = manner === 'begins';
    const session = begins
      ? sessions.create(caller.secret, caller.participant)
      : sessionless
        ? sessions.unnamed(caller.secret, caller.participant)
        : sessionOf(request, response, caller);
    if (session === undefined) return;

    // Since 2026-07-28 a client cancels by closing the response; the ids of different clients would be mixed up here.
    if (!sessionless) for (const notification of notifications) notified(session, notification);
    const [only] = requests;
    if (only === undefined) {
      if (failed.length === 0) answerTaken(response);
      else answerJson(response, 400, batch ? `[${failed.join(',')}]` : (failed[0] ?? ''));
    } else if (sessionless && only.method === 'subscriptions/listen') {
      if (await connected(session, response)) runner.listen(response, session, only);
    } else {
      await runner.answerPost(response, session, requests, {
        sessionless,
        batch,
        accept: headers.accept,
        failed,
        ...(begins && session.id !== undefined && { headers: { 'mcp-session-id': session.id } }),
      });
      // Nobody knows the id of a session whose client left before it was told.
      if (begins && !response.headersSent) sessions.end(session);
    }
  }

  /** Lets the session begin for a stream; answers and gives false when it may not or the client left. */
  async function connected(session: McpSession, response: ServerResponse): Promise<boolean> {
    try {
      await session.begin();
      return !response.destroyed;
    } catch (error) {
      const { message, expected } = tell(error);
      if (!expected) warn(`agent ${session.participant.agent} could not connect`, error);
      answerError(response, expected ? 409 : 503, 'not_connected', message);
      return false;
    }
  }

  async function serveLegacy(
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
    query: string,
  ): Promise<void> {
    if (request.method === 'GET') {
      request.resume();
      const session = sessions.create(caller.secret, caller.participant);
      const stream = runner.open(response);
      legacy.set(session, stream);
      session.attach({ stream, speaks: true });
      stream.onceClosed(() => sessions.end(session));
      // Relative, so that it holds behind whatever proxy the client came through.
      stream.send(`?sessionId=${session.id ?? ''}`, 'endpoint');
      return;
    }
    if (request.method !== 'POST') {
      request.resume();
      answerError(response, 405, 'method_not_allowed', 'Open the stream with GET.', { allow: 'GET, POST' });
      return;
    }
    const id = new URLSearchParams(query).get('sessionId');
    const session = id === null ? undefined : sessions.alive(id, caller.secret);
    const stream = session === undefined ? undefined : legacy.get(session);
    if (session === undefined || stream === undefined) {
      request.resume();
      if (id === null) {
        answerError(
          response,
          400,
          'no_session',
          'Open the stream with GET first and post to the endpoint it names.',
        );
      } else
        answerError(
          response,
          404,
          'unknown_mcp_session',
          'That stream is not open; open a new one with GET.',
        );
      return;
    }
    const messages = await readMessages(request, response, bodyLimit);
    if (messages === undefined) return;
    session.lastHeard = now();
    const [failed] = messages.failed;
    if (failed !== undefined) {
      answerJson(response, 400, failed);
      return;
    }
    answerTaken(response);
    for (const notification of messages.notifications) notified(session, notification);
    await Promise.all(messages.requests.map((message) => runner.answerOn(stream, session, message)));
  }

  /** The session a request belongs to; answers 404 and gives none when it names one there is not. */
  function sessionOf(
    request: IncomingMessage,
    response: ServerResponse,
    { secret, participant }: Caller,
  ): McpSession | undefined {
    const id = request.headers['mcp-session-id'];
    if (typeof id !== 'string' || id === '') return sessions.unnamed(secret, participant);
    const session = sessions.find(id, secret, participant);
    if (session === undefined) {
      answerError(
        response,
        404,
        'unknown_mcp_session',
        'There is no such MCP session; initialize a new one.',
      );
    }
    return session;
  }

  return {
    handle,
    async close() {
      closing = true;
      clearInterval(timer);
      timer = undefined;
      sessions.endAll();
      if (underWay > 0) await new Promise<void>((resolve) => (idle = resolve));
    },
    stats: () => ({ sessions: sessions.size, calls: runner.calls.size, streams: runner.streams.size }),
  };
}

function notified(session: McpSession, { method, params }: Notification): void {
  if (method !== 'notifications/cancelled') return;
  const id = params['requestId'];
  if (typeof id === 'string' || typeof id === 'number') session.cancel(id);
}
