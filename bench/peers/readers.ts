/** Many socket readers in one process: they count what arrives, and some of them read nothing at all. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { answer } from '../peer.ts';

const readers: WebSocket[] = [];
let received = 0;
let bytes = 0;
let expected = Infinity;
let reached: (() => void) | undefined;

answer({
  /** Opens readers of a socket, and beside them stuck ones that read nothing. */
  async open({ url, count, stuck = 0 }: { url: string; count: number; stuck?: number }): Promise<void> {
    for (let n = 0; n < count + stuck; n += 1) {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      await once(socket, 'open');
      readers.push(socket);
      if (n >= count) {
        socket.pause();
        continue;
      }
      socket.on('message', (data: Buffer) => {
        received += 1;
        bytes = data.length;
        if (received >= expected) reached?.();
      });
    }
  },

  /** Forgets what came so far. */
  reset(): void {
    received = 0;
    expected = Infinity;
  },

  /** Resolves when so many frames have come in all, with the length of the last. */
  async until(frames: number): Promise<number> {
    expected = frames;
    if (received < frames) await new Promise<void>((resolve) => (reached = resolve));
    return bytes;
  },

  end(): void {
    for (const reader of readers) reader.terminate();
  },
});
