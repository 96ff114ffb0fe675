/** The bare thing to compare sockets with: a `ws` server that sends every frame to every client. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { answer } from '../peer.ts';

const http = createServer();
const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });

answer({
  start(): Promise<number> {
    return new Promise((resolve) =>
      http.listen(0, '127.0.0.1', () => resolve((http.address() as AddressInfo).port)),
    );
  },

  /** Sends `count` frames of so many bytes to everybody, one a turn of the event loop. */
  async say({ count, bytes }: { count: number; bytes: number }): Promise<void> {
    const frame = Buffer.alloc(bytes, 'x');
    for (let n = 0; n < count; n += 1) {
      for (const client of sockets.clients) client.send(frame, { binary: false });
      await new Promise((resolve) => setImmediate(resolve));
    }
  },

  end(): void {
    for (const client of sockets.clients) client.terminate();
    http.close();
  },
});
