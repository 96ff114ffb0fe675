/**
 * The cheapest HTTP client there is: requests made beforehand as bytes, one at a time on a connection of its own,
 * answers read by their content length. What it costs is not the server's, and must not hold it up.
 */
import { connect, type Socket } from 'node:net';

/** One answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
}

const END_OF_HEAD = Buffer.from('\r\n\r\n');

/** The bytes of a POST with a JSON body. */
export function postOf(
  port: number,
  path: string,
  json: unknown,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  return requestOf('POST', port, path, JSON.stringify(json), headers);
}

/** The bytes of a request; a body is JSON text. */
export function requestOf(
  method: string,
  port: number,
  path: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    ...(body === '' ? [] : ['content-type: application/json']),
    'accept: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** One connection; one request at a time. */
export class Connection {
  private pending: Buffer | undefined;
  private head: string | undefined;
  private status = 0;
  private missing = 0;
  private take: ((answer: HttpAnswer) => void) | undefined;
  private fail: ((error: Error) => void) | undefined;

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    const broken = (error?: Error): void => {
      this.fail?.(error ?? new Error('the server closed the connection'));
      this.fail = undefined;
    };
    socket.on('error', broken);
    socket.on('close', () => broken());
  }

  /** Connects to a port of this machine. */
  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(new Connection(socket)));
      socket.once('error', reject);
    });
  }

  /** Sends a request; `take` gets its answer, in the same turn it arrived. */
  send(request: Buffer, take: (answer: HttpAnswer) => void, fail: (error: Error) => void): void {
    this.take = take;
    this.fail = fail;
    this.socket.write(request);
  }

  /** Sends a request and resolves with its answer. */
  ask(request: Buffer): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => this.send(request, resolve, reject));
  }

  close(): void {
    this.fail = undefined;
    this.socket.destroy();
  }

  private read(chunk: Buffer): void {
    const data = this.pending === undefined ? chunk : Buffer.concat([this.pending, chunk]);
    let from = 0;
    if (this.head === undefined) {
      const end = data.indexOf(END_OF_HEAD);
      if (end === -1) {
        this.pending = data;
        return;
      }
      this.head = data.toString('latin1', 0, end);
      this.status = Number(this.head.slice(9, 12));
      const length = /\r\ncontent-length: (\d+)/i.exec(this.head)?.[1];
      if (length === undefined && this.status !== 204) {
        this.fail?.(new Error(`an answer without content-length: ${this.head}`));
        return;
      }
      this.missing = Number(length ?? 0);
      from = end + END_OF_HEAD.length;
    }
    if (data.length - from < this.missing) {
      this.pending = from === 0 ? data : data.subarray(from);
      return;
    }
    const answer = { status: this.status, head: this.head, body: data.subarray(from, from + this.missing) };
    this.pending = undefined;
    this.head = undefined;
    const { take } = this;
    this.take = undefined;
    take?.(answer);
  }
}
