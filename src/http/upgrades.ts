/**
 * Requests that ask for another protocol. Websockets go to their door; everything else (clients that would like HTTP/2
 * ask with every first request) is answered as if it had not asked.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/** True when a websocket is asked for. */
export function wantsWebsocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

const ABOUT_UPGRADES = new Set(['upgrade', 'http2-settings', 'connection']);

/** Gives the request back to the server as it came, without what it said about another protocol. */
export function withoutUpgrade(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): void {
  const { rawHeaders, method, url, httpVersion } = request;
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (!ABOUT_UPGRADES.has(name.toLowerCase())) lines.push(`${name}: ${rawHeaders[index + 1] ?? ''}`);
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}
