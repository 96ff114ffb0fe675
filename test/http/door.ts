/** The HTTP door on a small world: an engine in memory, scripted agents, a key. */
import { connect } from 'node:net';
import type { z } from 'zod';
import type { Coral } from '../../src/engine/coral.ts';
import type { App } from '../../src/http/door.ts';
import { createHttpServer, type HttpServerOptions } from '../../src/http/server.ts';
import { listen } from '../../src/http/listen.ts';
import { ErrorBody } from '../../src/domain/wire/session.ts';
import type { SessionRequestInput } from '../../src/domain/wire/request.ts';
import { engineWorld, type EngineWorld, type WorldParts } from '../support/engine-world.ts';

export const KEY = 'a-key-of-this-test';

export interface Logged {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** The body, which must fit the schema. */
  as<T extends z.ZodType>(schema: T): z.output<T>;
  /** The body of an error with this status and code. */
  refused(status: number, code: string): ErrorBody;
}

export interface Door {
  readonly app: App;
  readonly world: EngineWorld;
  readonly logged: Logged[];
  /** With the key, unless the headers say otherwise. */
  send(method: string, url: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Really listens; resolves with the base URL. */
  listen(): Promise<string>;
  close(): Promise<void>;
}

export interface DoorParts extends WorldParts {
  readonly coral?: Coral;
  readonly config?: Partial<HttpServerOptions['config']>;
  readonly options?: Partial<HttpServerOptions>;
}

export async function openDoor(parts: DoorParts = {}): Promise<Door> {
  const logged: Logged[] = [];
  const note =
    (level: Logged['level']) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      logged.push({ level, message, fields });
    };
  const world = await engineWorld(parts);
  const app = createHttpServer({
    coral: parts.coral ?? world.coral,
    config: {
      bindAddress: '127.0.0.1',
      bindPort: 0,
      trustProxy: false,
      allowAnyHost: false,
      ...parts.config,
    },
    authKeys: { check: (key) => key === KEY },
    environment: {},
    log: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') },
    version: '0.0.0-test',
    ...parts.options,
  });
  return {
    app,
    world,
    logged,
    async send(method, url, body, headers = { authorization: `Bearer ${KEY}` }) {
      const response = await app.inject({
        method,
        url,
        headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
        ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = response.body;
      return {
        status: response.statusCode,
        headers: response.headers,
        text,
        as(schema) {
          if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${text}`);
          return schema.parse(text === '' ? undefined : JSON.parse(text));
        },
        refused(status, code) {
          const error = ErrorBody.parse(JSON.parse(text));
          if (response.statusCode !== status || error.code !== code) {
            throw new Error(`wanted ${status} ${code}, got ${response.statusCode}: ${text}`);
          }
          // A sentence for a person.
          if (error.message.split(' ').length < 4) throw new Error(`no sentence: ${error.message}`);
          return error;
        },
      };
    },
    async listen() {
      const { port } = await listen(app, { bindAddress: '127.0.0.1', bindPort: 0 });
      return `http://127.0.0.1:${port}`;
    },
    close: () => app.close(),
  };
}

/** A session request as a client writes it. */
export function request(
  agents: readonly string[],
  given: Partial<SessionRequestInput> = {},
): SessionRequestInput {
  return {
    agentGraphRequest: {
      agents: agents.map((name) => ({
        id: { name: 'worker', version: '1.0.0', registrySourceId: { type: 'local' } },
        name,
        provider: { type: 'local', runtime: 'scripted' },
      })),
      groups: [[...agents]],
    },
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'test' } },
    ...given,
  };
}

export interface SseEvent {
  readonly id: string;
  readonly data: unknown;
}

/** Reads an event stream frame by frame. */
export class SseReader {
  private buffer = '';
  private readonly decoder = new TextDecoder();

  private constructor(
    readonly response: Response,
    private readonly chunks: AsyncIterator<Uint8Array> | undefined,
    private readonly leave: AbortController,
  ) {}

  static async open(url: string, headers: Record<string, string> = {}): Promise<SseReader> {
    const leave = new AbortController();
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${KEY}`, ...headers },
      signal: leave.signal,
    });
    const body = response.body as AsyncIterable<Uint8Array> | null;
    return new SseReader(response, body?.[Symbol.asyncIterator](), leave);
  }

  /** The next frame; undefined at the end of the stream. Comments are skipped. */
  async next(): Promise<SseEvent | undefined> {
    for (;;) {
      const end = this.buffer.indexOf('\n\n');
      if (end >= 0) {
        const block = this.buffer.slice(0, end);
        this.buffer = this.buffer.slice(end + 2);
        const id = /^id: (.*)$/m.exec(block)?.[1];
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (id !== undefined && data !== undefined) return { id, data: JSON.parse(data) };
        continue;
      }
      const chunk = await this.chunks?.next();
      if (chunk === undefined || chunk.done === true) return undefined;
      this.buffer += this.decoder.decode(chunk.value, { stream: true });
    }
  }

  async take(count: number): Promise<SseEvent[]> {
    const events: SseEvent[] = [];
    while (events.length < count) {
      const event = await this.next();
      if (event === undefined) throw new Error(`the stream ended after ${events.length} of ${count} events`);
      events.push(event);
    }
    return events;
  }

  /** Everything up to the end of the stream. */
  async rest(): Promise<SseEvent[]> {
    const events: SseEvent[] = [];
    for (let event = await this.next(); event !== undefined; event = await this.next()) events.push(event);
    return events;
  }

  close(): void {
    this.leave.abort();
  }
}

/** Sends bytes as they are and resolves with everything that comes back. */
export function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => (answer += chunk));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}
