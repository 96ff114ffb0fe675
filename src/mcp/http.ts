/** The little of HTTP that the door needs: where a request goes, its body, and plain answers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { failpoint } from '../ports/failpoint.ts';

/** `/mcp/v1/…`: which transport, and the secret when the path holds it. */
export interface Route {
  readonly transport: 'streamable' | 'sse' | 'unknown';
  readonly secret: string | undefined;
  readonly query: string;
}

const PREFIX = '/mcp/v1';

/** Undefined for a path that is not the door's. */
export function route(url: string): Route | undefined {
  if (!url.startsWith(PREFIX)) return undefined;
  const mark = url.indexOf('?');
  const path = mark === -1 ? url : url.slice(0, mark);
  const query = mark === -1 ? '' : url.slice(mark + 1);
  if (path.length > PREFIX.length && path[PREFIX.length] !== '/') return undefined;
  const parts = path.slice(PREFIX.length + 1).split('/');
  if (parts.length > 1 && parts[parts.length - 1] === '') parts.pop();
  const last = parts[parts.length - 1];
  const transport =
    parts.length > 2 ? 'unknown' : last === 'mcp' ? 'streamable' : last === 'sse' ? 'sse' : 'unknown';
  return { transport, secret: parts.length === 2 ? parts[0] : undefined, query };
}

/** The token of `Authorization: Bearer …`. */
export function bearer(request: IncomingMessage): string | undefined {
  return /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
}

/** The body; `too_large` above `limit` bytes (the rest is then read away); `gone` when the client left. */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer | 'too_large' | 'gone'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    if (Number(request.headers['content-length'] ?? 0) > limit) refuse();
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else refuse();
    });
    request.on('end', () => {
      const [first] = chunks;
      resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks));
    });
    // Also after an error, which is nobody's to hear of. Resolving what is resolved is not free in Node.
    request.on('close', () => {
      if (!request.readableEnded) resolve('gone');
    });

    function refuse(): void {
      chunks.length = 0;
      // Read on for a while, so that the client gets to see the answer; whoever sends for ever is cut off.
      if (size > 8 * limit) request.destroy();
      resolve('too_large');
    }
  });
}

/**
 * Answers with JSON text, unless the client is gone or was answered before. `written` is called once: true when the
 * text has left for a living client, false when that is gone.
 */
export function answerJson(
  response: ServerResponse,
  status: number,
  json: string,
  headers?: Readonly<Record<string, string>>,
  written?: (delivered: boolean) => void,
): void {
  if (response.destroyed || response.headersSent) {
    written?.(false);
    return;
  }
  const length = Buffer.byteLength(json);
  const own = { 'content-type': 'application/json', 'content-length': length };
  response.writeHead(status, headers === undefined ? own : { ...own, ...headers });
  if (written === undefined) {
    atEndOfTurn(() => response.end(json));
    return;
  }
  writeTelling(response, json, written);
  response.end();
}

let due: (() => void)[] = [];

/**
 * Answers of one turn of the event loop leave together: while the first wakes a client up, the others are written
 * without waking anybody, which makes a call cheaper under load (`npm run bench -- tool-calls`).
 */
function atEndOfTurn(write: () => void): void {
  if (due.push(write) === 1) setImmediate(flush);
}

function flush(): void {
  const writes = due;
  due = [];
  for (const write of writes) write();
  failpoint('answered'); // message 4
}

/**
 * Writes and tells whether it has left for a living client. Node calls back without an error, and says 'finish', also
 * when the connection broke with bytes still to send: only the socket itself tells.
 */
export function writeTelling(
  response: ServerResponse,
  data: string,
  written: (delivered: boolean) => void,
): void {
  const { socket } = response;
  response.write(data, (error) => {
    written(socket !== null && !socket.destroyed && (error === null || error === undefined));
  });
}

/** An error outside of JSON-RPC: `{message, code}` as everywhere in the API. */
export function answerError(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers?: Readonly<Record<string, string>>,
): void {
  answerJson(response, status, JSON.stringify({ message, code }), headers);
}

/** 202: taken, nothing to say. */
export function answerTaken(response: ServerResponse): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(202, { 'content-length': 0 });
  response.end();
}
