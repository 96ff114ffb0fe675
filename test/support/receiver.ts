/** Somebody on loopback whom the server calls: keeps what came, and answers as it is told. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One call that came. */
export interface Called {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** What is answered; a status without a text is answered empty, undefined cuts the connection. */
export type Reply = { readonly status: number; readonly text?: string } | undefined;

/** A real HTTP server. */
export class Receiver {
  readonly called: Called[] = [];
  private readonly news = new Set<() => void>();

  private constructor(
    private readonly server: Server,
    private readonly reply: (call: Called, count: number) => Reply,
  ) {
    server.on('request', (request, response) => this.take(request, response));
  }

  /** `reply` is told how many calls there were before this one. `port`: one it had before. */
  static async open(reply: (call: Called, count: number) => Reply, port = 0): Promise<Receiver> {
    const server = createServer();
    const receiver = new Receiver(server, reply);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** What came at a path, in order. */
  at(path: string): Called[] {
    return this.called.filter((call) => call.path === path);
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        const tell = (): void => {
          this.news.delete(tell);
          resolve();
        };
        this.news.add(tell);
      });
    }
  }

  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  private take(request: IncomingMessage, response: ServerResponse): void {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const call = { path: request.url ?? '', headers: request.headers, body };
      const reply = this.reply(call, this.called.length);
      this.called.push(call);
      for (const tell of this.news) tell();
      if (reply === undefined) request.socket.destroy();
      else response.writeHead(reply.status).end(reply.text);
    });
  }
}
