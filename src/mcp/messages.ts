/** Reads the messages of a POST and finds out which protocol revision they are of. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { answerError, answerJson, readBody } from './http.ts';
import {
  INVALID_REQUEST,
  PARSE_ERROR,
  RpcFailure,
  classify,
  errorMessage,
  type Incoming,
} from './jsonrpc.ts';
import { isSessionless } from './revisions.ts';

/** Messages in one batch. */
const LARGEST_BATCH = 1000;

/** A message that wants an answer. */
export type Request = Extract<Incoming, { kind: 'request' }>;
/** A message that wants none. */
export type Notification = Extract<Incoming, { kind: 'notification' }>;

/** What one POST holds. */
export interface Messages {
  readonly requests: readonly Request[];
  readonly notifications: readonly Notification[];
  /** Answers to what was no message. */
  readonly failed: readonly string[];
  /** They came as a list. */
  readonly batch: boolean;
}

/** The messages of a POST; undefined when it was answered already (no JSON, too large) or the client left. */
export async function readMessages(
  request: IncomingMessage,
  response: ServerResponse,
  bodyLimit: number,
): Promise<Messages | undefined> {
  const body = await readBody(request, bodyLimit);
  if (body === 'gone') return undefined;
  if (body === 'too_large') {
    answerError(response, 413, 'body_too_large', `A message may have ${bodyLimit} bytes at most.`);
    return undefined;
  }
  let parsed: unknown;
  try {
    parsed = parseJson(body);
  } catch {
    const failure = new RpcFailure(PARSE_ERROR, 'The body is not JSON.');
    answerJson(response, 400, errorMessage(null, failure));
    return undefined;
  }
  const batch = Array.isArray(parsed);
  const list: readonly unknown[] = Array.isArray(parsed) ? parsed : [parsed];
  if (list.length === 0 || list.length > LARGEST_BATCH) {
    const failure = new RpcFailure(INVALID_REQUEST, `A batch holds 1 to ${LARGEST_BATCH} messages.`);
    answerJson(response, 400, errorMessage(null, failure));
    return undefined;
  }
  const requests: Request[] = [];
  const notifications: Notification[] = [];
  const failed: string[] = [];
  for (const item of list) {
    const message = classify(item);
    if (message.kind === 'request') requests.push(message);
    else if (message.kind === 'notification') notifications.push(message);
    else if (message.kind === 'invalid') {
      failed.push(errorMessage(message.id, new RpcFailure(INVALID_REQUEST, message.message)));
    }
  }
  return { requests, notifications, failed, batch };
}

/** What the messages of a POST mean for the session they belong to. */
export type Manner = 'begins' | 'in_session' | 'sessionless';

/** Throws `RpcFailure` when the messages cannot be sent like that; `id` is then whom to answer. */
export function mannerOf(
  headers: IncomingHttpHeaders,
  { requests, notifications, batch }: Messages,
): Manner | { readonly failure: RpcFailure; readonly id: Request['id'] | null } {
  let manner: Manner = 'in_session';
  const messages = notifications.length === 0 ? requests : [...notifications, ...requests];
  for (const message of messages) {
    const isRequest = message.kind === 'request';
    try {
      if (isSessionless(headers, message.method, message.params, isRequest)) {
        if (batch) throw alone('Since 2026-07-28 messages are sent one by one.');
        manner = 'sessionless';
      } else if (isRequest && message.method === 'initialize') {
        if (batch) throw alone('initialize is sent alone.');
        manner = 'begins';
      }
    } catch (error) {
      if (error instanceof RpcFailure) return { failure: error, id: isRequest ? message.id : null };
      throw error;
    }
  }
  return manner;
}

function alone(message: string): RpcFailure {
  return new RpcFailure(INVALID_REQUEST, message, undefined, 400);
}

function parseJson(body: Buffer): unknown {
  const text = body.toString('utf8');
  return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
}
