/**
 * The bare thing: `node:http` that reads a JSON body, parses it and answers JSON of a given size. Everything a server
 * in Node pays for, and nothing else.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answer } from '../peer.ts';

let reply = { text: '' };

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const [first] = chunks;
    const body = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
    const parsed = JSON.parse(body.toString('utf8')) as { id?: unknown };
    const json = JSON.stringify({ id: parsed.id, ...reply });
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(json),
    });
    response.end(json);
  });
});

answer({
  /** Listens; the argument is how many bytes an answer has. */
  async start(bytes: number): Promise<number> {
    reply = { text: 'x'.repeat(Math.max(0, bytes - JSON.stringify({ id: 1, text: '' }).length)) };
    if (!server.listening)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    return (server.address() as AddressInfo).port;
  },
  /** ms of processor time this process has used. */
  cpu(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
  end: () => server.closeAllConnections(),
});
