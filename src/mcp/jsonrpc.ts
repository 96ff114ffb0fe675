/**
 * JSON-RPC 2.0 as MCP uses it: what comes in, sorted by kind; what goes out, put together as text (results are
 * already JSON when they get here, so that nothing is serialised twice).
 */

/** Number and string ids are different ids: 1 is not "1". */
export type RequestId = string | number;

/** The parameters of a message; an empty object when it has none. */
export type Params = Readonly<Record<string, unknown>>;

/** A message, by what it is. */
export type Incoming =
  | { readonly kind: 'request'; readonly id: RequestId; readonly method: string; readonly params: Params }
  | { readonly kind: 'notification'; readonly method: string; readonly params: Params }
  /** An answer to something we never asked: taken and dropped. */
  | { readonly kind: 'response' }
  | { readonly kind: 'invalid'; readonly id: RequestId | null; readonly message: string };

export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
export const INTERNAL_ERROR = -32603;
/** Ours, from the range JSON-RPC leaves to servers. */
export const SERVER_ERROR = -32000;
/** Revisions before 2026-07-28. */
export const RESOURCE_NOT_FOUND = -32002;
/** Revision 2026-07-28: a header contradicts the body or is missing. */
export const HEADER_MISMATCH = -32020;
export const UNSUPPORTED_REVISION = -32022;

/** A request that is answered with a JSON-RPC error. `status` is the HTTP status where it is not 200. */
export class RpcFailure extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly data?: unknown,
    readonly status = 200,
  ) {
    super(message);
    this.name = 'RpcFailure';
  }
}

const NO_PARAMS: Params = {};

/** Sorts one message. A missing `jsonrpc` is forgiven, a wrong one is not. */
export function classify(value: unknown): Incoming {
  if (!isObject(value)) return invalid(null, 'A message is a JSON object.');
  const { id, method, params, jsonrpc } = value;
  const requestId = isRequestId(id) ? id : null;
  if (jsonrpc !== undefined && jsonrpc !== '2.0') return invalid(requestId, 'jsonrpc must be "2.0".');
  if (method === undefined && ('result' in value || 'error' in value)) return { kind: 'response' };
  if (typeof method !== 'string') return invalid(requestId, 'A request names its method as text.');
  if (params !== undefined && params !== null && !isObject(params)) {
    return invalid(requestId, 'params must be an object.');
  }
  const given = params ?? NO_PARAMS;
  if (id === undefined) return { kind: 'notification', method, params: given };
  if (requestId === null) return invalid(null, 'A request id is text or a number.');
  return { kind: 'request', id: requestId, method, params: given };
}

function invalid(id: RequestId | null, message: string): Incoming {
  return { kind: 'invalid', id, message };
}

/** True for objects that are no lists. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isRequestId(value: unknown): value is RequestId {
  return typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));
}

/** The answer to `id`; `result` is JSON. */
export function resultMessage(id: RequestId, result: string): string {
  return `{"jsonrpc":"2.0","id":${idJson(id)},"result":${result}}`;
}

/** The answer to `id` when it failed; null when the message bore no id that could be read. */
export function errorMessage(id: RequestId | null, failure: RpcFailure): string {
  const { code, message, data } = failure;
  const error = { code, message, ...(data !== undefined && { data }) };
  return `{"jsonrpc":"2.0","id":${id === null ? 'null' : idJson(id)},"error":${JSON.stringify(error)}}`;
}

/** A notification to the client; `params` is JSON. */
export function notificationMessage(method: string, params: string): string {
  return `{"jsonrpc":"2.0","method":"${method}","params":${params}}`;
}

function idJson(id: RequestId): string {
  return typeof id === 'number' ? String(id) : JSON.stringify(id);
}
