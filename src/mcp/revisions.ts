/**
 * The protocol revisions we speak, and how a request tells which one it means. Up to 2025-11-25 a client says it once,
 * in `initialize`; since 2026-07-28 it says it in every request's `_meta`, mirrored in headers, and there is no session.
 */
import type { IncomingHttpHeaders } from 'node:http';
import {
  HEADER_MISMATCH,
  INVALID_PARAMS,
  RpcFailure,
  UNSUPPORTED_REVISION,
  isObject,
  type Params,
} from './jsonrpc.ts';

/** Revisions with `initialize`, oldest first. */
export const SESSION_REVISIONS = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'] as const;
export const NEWEST_SESSION_REVISION = '2025-11-25';
/** The revision without sessions. */
export const SESSIONLESS_REVISION = '2026-07-28';
const ALL_REVISIONS: readonly string[] = [SESSIONLESS_REVISION, ...[...SESSION_REVISIONS].reverse()];

const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';
const CAPABILITIES_KEY = 'io.modelcontextprotocol/clientCapabilities';
export const SERVER_INFO_KEY = 'io.modelcontextprotocol/serverInfo';
export const SUBSCRIPTION_KEY = 'io.modelcontextprotocol/subscriptionId';

/** Newest first; what `server/discover` and errors about revisions list. */
export function supportedRevisions(): readonly string[] {
  return ALL_REVISIONS;
}

/** The revision an `initialize` is answered with: the one asked for, else our newest. */
export function negotiate(requested: unknown): string {
  return SESSION_REVISIONS.find((revision) => revision === requested) ?? NEWEST_SESSION_REVISION;
}

/** True when the headers alone say that the sender speaks the revision without sessions. */
export function saysSessionless(headers: IncomingHttpHeaders): boolean {
  return headers['mcp-protocol-version'] === SESSIONLESS_REVISION;
}

/**
 * True for a message of revision 2026-07-28, false for one of an earlier revision. Throws `RpcFailure` (HTTP 400) for
 * a revision we don't know and, in requests of 2026-07-28, for missing metadata and for headers that are missing or
 * contradict the body; notifications need no headers there.
 */
export function isSessionless(
  headers: IncomingHttpHeaders,
  method: string,
  params: Params,
  request: boolean,
): boolean {
  const header = single(headers['mcp-protocol-version']);
  const meta = params['_meta'];
  const claim = isObject(meta) ? meta[VERSION_KEY] : undefined;
  if (claim === undefined) {
    // `initialize` negotiates in its body, whatever the header says.
    if (header === undefined || method === 'initialize' || isSessionRevision(header)) return false;
    if (header !== SESSIONLESS_REVISION) throw unsupported(header);
    if (!request) return true;
    throw new RpcFailure(
      INVALID_PARAMS,
      `The header says revision ${SESSIONLESS_REVISION}, but params._meta has no "${VERSION_KEY}".`,
      undefined,
      400,
    );
  }
  if (typeof claim !== 'string') {
    throw new RpcFailure(INVALID_PARAMS, `params._meta["${VERSION_KEY}"] must be text.`, undefined, 400);
  }
  if (header !== undefined && header !== claim) {
    throw mismatch('MCP-Protocol-Version', header, `params._meta says ${JSON.stringify(claim)}`);
  }
  if (isSessionRevision(claim)) return false;
  if (claim !== SESSIONLESS_REVISION) throw unsupported(claim);
  if (!request) return true;
  if (!isObject((meta as Params)[CAPABILITIES_KEY])) {
    throw new RpcFailure(
      INVALID_PARAMS,
      `params._meta has no "${CAPABILITIES_KEY}": say {} when the client has none.`,
      undefined,
      400,
    );
  }
  checkHeaders(headers, header, method, params);
  return true;
}

/** The methods whose subject is mirrored in `Mcp-Name`, and the parameter that names it. */
const NAMED: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
};

function checkHeaders(
  headers: IncomingHttpHeaders,
  revision: string | undefined,
  method: string,
  params: Params,
): void {
  if (revision === undefined) throw missing('MCP-Protocol-Version');
  const named = single(headers['mcp-method']);
  if (named === undefined) throw missing('Mcp-Method');
  if (named !== method) throw mismatch('Mcp-Method', named, `the method is ${JSON.stringify(method)}`);
  const field = Object.hasOwn(NAMED, method) ? NAMED[method] : undefined;
  const subject = field === undefined ? undefined : params[field];
  if (typeof subject !== 'string') return;
  const header = single(headers['mcp-name']);
  if (header === undefined) throw missing('Mcp-Name');
  if (decoded(header) !== subject) {
    throw mismatch('Mcp-Name', header, `params.${field ?? ''} is ${JSON.stringify(subject)}`);
  }
}

/** Header values that are not plain ASCII come as `=?base64?…?=`. */
function decoded(value: string): string {
  const encoded = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/.exec(value)?.[1];
  return encoded === undefined ? value : Buffer.from(encoded, 'base64').toString('utf8');
}

function isSessionRevision(revision: string): boolean {
  return (SESSION_REVISIONS as readonly string[]).includes(revision);
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(', ') : header;
}

function missing(header: string): RpcFailure {
  return new RpcFailure(
    HEADER_MISMATCH,
    `Revision ${SESSIONLESS_REVISION} needs the header ${header}, which is missing.`,
    undefined,
    400,
  );
}

function mismatch(header: string, value: string, body: string): RpcFailure {
  return new RpcFailure(
    HEADER_MISMATCH,
    `The header ${header} says ${JSON.stringify(value)}, but ${body}.`,
    undefined,
    400,
  );
}

function unsupported(requested: string): RpcFailure {
  return new RpcFailure(
    UNSUPPORTED_REVISION,
    `This server does not speak revision ${JSON.stringify(requested)}; it speaks ${ALL_REVISIONS.join(', ')}.`,
    { supported: ALL_REVISIONS, requested },
    400,
  );
}
