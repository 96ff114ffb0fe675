/** A real websocket client that keeps what it was sent. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket, type ClientOptions } from 'ws';

export interface Seen {
  readonly type: string;
  readonly seq: number;
  readonly [field: string]: unknown;
}

/** Why there was no socket. */
export class Turned extends Error {
  constructor(
    readonly status: number,
    readonly body: { readonly message: string; readonly code: string },
  ) {
    super(`${status}: ${body.message}`);
  }
}

export class SocketReader {
  readonly seen: Seen[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  private readonly news = new Set<() => void>();

  private constructor(readonly ws: WebSocket) {
    ws.on('message', (data: Buffer, isBinary) => {
      if (isBinary) throw new Error('a binary frame');
      this.seen.push(JSON.parse(data.toString('utf8')) as Seen);
      for (const tell of this.news) tell();
    });
    this.closed = new Promise((resolve) =>
      ws.on('close', (code, reason) => resolve({ code, reason: reason.toString('utf8') })),
    );
  }

  /** Resolves when the handshake is done; rejects with `Turned`. */
  static async open(url: string, options: ClientOptions = {}): Promise<SocketReader> {
    const ws = new WebSocket(url.replace(/^http/, 'ws'), options);
    const reader = new SocketReader(ws);
    await new Promise<void>((resolve, reject) => {
      ws.once('open', resolve);
      ws.once('error', reject);
      ws.once('unexpected-response', (_request, response: IncomingMessage) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => reject(new Turned(response.statusCode ?? 0, JSON.parse(text))));
      });
    });
    return reader;
  }

  get types(): string[] {
    return this.seen.map(({ type }) => type);
  }

  get seqs(): number[] {
    return this.seen.map(({ seq }) => seq);
  }

  /** Resolves once `count` frames came in all. */
  async take(count: number): Promise<readonly Seen[]> {
    await this.until(() => this.seen.length >= count);
    return this.seen.slice(0, count);
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      let tell = (): void => {};
      const told = new Promise<void>((resolve) => this.news.add((tell = resolve)));
      const ended = this.closed.then(() => 'closed' as const);
      const what = await Promise.race([told, ended]);
      this.news.delete(tell);
      if (what === 'closed' && !holds())
        throw new Error(`closed after ${this.seen.length} frames: ${JSON.stringify(await this.closed)}`);
    }
  }

  /** Takes nothing from its connection any more. */
  stall(): void {
    this.socket.pause();
  }

  goOn(): void {
    this.socket.resume();
  }

  /** Gone without a word. */
  drop(): void {
    this.ws.terminate();
  }

  async close(): Promise<void> {
    if (this.ws.readyState === WebSocket.CLOSED) return;
    this.ws.close();
    await once(this.ws, 'close');
  }

  private get socket(): Socket {
    return (this.ws as unknown as { _socket: Socket })._socket;
  }
}
