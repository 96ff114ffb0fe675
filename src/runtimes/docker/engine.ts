/**
 * The Docker Engine's API as this runtime uses it, over dockerode's connection. E1: every call has a deadline, because
 * a hung engine hangs every call. E2: an answer that breaks off rejects (dockerode's own methods wait for its end for
 * ever when the engine dies). E3: "cannot be reached" and "said no" are told apart by type.
 */
import { Agent } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import { inspect } from 'node:util';
import Docker from 'dockerode';

/** The engine answered, with a refusal. */
export class EngineRefusal extends Error {
  constructor(
    readonly status: number,
    /** The engine's own words. */
    readonly reason: string,
  ) {
    super(reason);
    this.name = 'EngineRefusal';
  }
}

/** The engine did not answer: nothing is known of what was asked. */
export class EngineUnreachable extends Error {
  constructor(
    readonly code: 'absent' | 'forbidden' | 'silent' | 'broken' | 'aborted' | 'unusable',
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'EngineUnreachable';
  }
}

/** Who the engine has to be, and who we are to it: PEM texts. */
export interface EngineTls {
  /** Absent: the system's certificate authorities. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** How the engine is reached. */
export interface EngineOptions {
  /** Path of a Unix socket, or `unix://`, `tcp://`, `http://` or `https://` with host and port. */
  readonly endpoint: string;
  /** For an engine behind TLS: `https://`, and `tcp://` when this is there. */
  readonly tls?: EngineTls;
  /** Why it cannot be reached at all: what every call says. */
  readonly problem?: string;
  /** For an answer, ms. Default 30,000. */
  readonly responseTimeoutMs?: number;
  /** For a ping, ms. Default 5,000. */
  readonly pingTimeoutMs?: number;
  /** Calls under way at once; streams are not counted. Default 1,024. */
  readonly maxConnections?: number;
}

/** One call of the API. */
export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
  readonly path: string;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  /** A body that is no JSON: a tar archive. */
  readonly file?: Buffer;
  /** `X-Registry-Auth`. */
  readonly credentials?: object;
  readonly signal?: AbortSignal;
  /** ms; for a stream: until its headers are there. */
  readonly deadlineMs?: number;
}

const OK: Readonly<Record<number, true>> = { 200: true, 201: true, 204: true, 304: true };
/** Longest answer that is read whole, bytes. */
const LONGEST_ANSWER = 64 * 1024 * 1024;

/** The connection to one engine. Every method rejects with EngineRefusal or EngineUnreachable. */
export class Engine {
  /** As a person would write it. */
  readonly endpoint: string;
  private readonly calls: Docker;
  private readonly streams: Docker;
  private readonly agents: readonly Agent[];

  constructor(private readonly options: EngineOptions) {
    this.endpoint = options.endpoint.replace(/^unix:\/\//, '');
    // No keep-alive: a kept connection is a broken one after the engine's restart, and a new one costs next to nothing.
    const address = addressOf(this.endpoint, options.tls !== undefined);
    const agent = (more: { maxSockets?: number }): Agent =>
      unseen(
        address.protocol === 'https'
          ? new SecureAgent({ keepAlive: false, ...more, ...options.tls })
          : new Agent({ keepAlive: false, ...more }),
      );
    const calling = agent({ maxSockets: options.maxConnections ?? 1_024 });
    const streaming = agent({});
    this.agents = [calling, streaming];
    this.calls = connection(address, calling);
    this.streams = connection(address, streaming);
  }

  /** Resolves when the engine answers. */
  async ping(): Promise<void> {
    await this.text({ path: '/_ping', deadlineMs: this.options.pingTimeoutMs ?? 5_000 });
  }

  /** The answer as JSON; `undefined` when it has no body. */
  async json<T>(call: Call): Promise<T> {
    const text = await this.text(call);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  async text(call: Call): Promise<string> {
    return (await this.bytes(call)).toString('utf8');
  }

  async bytes(call: Call): Promise<Buffer> {
    const deadline = new Deadline(call.deadlineMs ?? this.responseTimeout, call.signal);
    try {
      const response = await this.dial(this.calls, call, deadline);
      return await deadline.race(wholeBody(response), () => response.destroy());
    } catch (error) {
      throw this.explained(error, deadline, call);
    } finally {
      deadline.over();
    }
  }

  /** A stream of bytes that lasts; its end says nothing about why it ended. Destroy it when it is no longer wanted. */
  async stream(call: Call): Promise<IncomingMessage> {
    const deadline = new Deadline(call.deadlineMs ?? this.responseTimeout, call.signal);
    try {
      return await this.dial(this.streams, call, deadline);
    } catch (error) {
      throw this.explained(error, deadline, call);
    } finally {
      deadline.over();
    }
  }

  close(): void {
    for (const agent of this.agents) agent.destroy();
  }

  private get responseTimeout(): number {
    return this.options.responseTimeoutMs ?? 30_000;
  }

  private dial(docker: Docker, call: Call, deadline: Deadline): Promise<IncomingMessage> {
    const { problem } = this.options;
    if (problem !== undefined) return Promise.reject(new EngineUnreachable('unusable', problem));
    const { method = 'GET', path, query, body, file, credentials } = call;
    let isWanted = true;
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      docker.modem.dial(
        {
          path: `${path}?`,
          method,
          options: { _query: queryOf(query), ...(body !== undefined && { _body: body }) },
          ...(method === 'POST' && body === undefined && { options: { _query: queryOf(query), _body: {} } }),
          ...(file !== undefined && { file, options: queryOf(query) }),
          ...(credentials !== undefined && { authconfig: credentials }),
          abortSignal: deadline.signal,
          isStream: true,
          statusCodes: OK,
        },
        (error: Error | null, response: unknown) => {
          if (error) {
            reject(error);
            return;
          }
          const stream = response as IncomingMessage;
          stream.on('error', () => undefined); // its end is what is looked at
          if (isWanted) resolve(stream);
          else stream.destroy();
        },
      );
    });
    return deadline.race(answered, () => {
      isWanted = false;
    });
  }

  private explained(error: unknown, deadline: Deadline, call: Call): Error {
    if (error instanceof EngineUnreachable) return error;
    const { statusCode, json, code, message } = error as {
      statusCode?: number;
      json?: unknown;
      code?: string;
      message?: string;
    };
    if (statusCode !== undefined) return new EngineRefusal(statusCode, reasonIn(json, message ?? ''));
    const at = `the Docker engine at ${this.endpoint}`;
    const cause = { cause: error };
    if (call.signal?.aborted === true)
      return new EngineUnreachable('aborted', `The call to ${at} was given up.`, cause);
    if (deadline.passed) {
      return new EngineUnreachable(
        'silent',
        `No answer from ${at} to ${call.path} in ${deadline.ms} ms: it hangs.`,
        cause,
      );
    }
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTFOUND')
      return new EngineUnreachable('absent', `There is no Docker engine at ${this.endpoint}.`, cause);
    if (code === 'EACCES' || code === 'EPERM')
      return new EngineUnreachable('forbidden', `The server's user may not use ${this.endpoint}.`, cause);
    return new EngineUnreachable(
      'broken',
      `The connection to ${at} broke off (${message ?? String(error)}).`,
      cause,
    );
  }
}

/** True for a refusal with one of these statuses. */
export function isRefusal(error: unknown, ...statuses: readonly number[]): error is EngineRefusal {
  return error instanceof EngineRefusal && (statuses.length === 0 || statuses.includes(error.status));
}

/** Time for one call: passes once, or is given up by somebody else's signal. */
class Deadline {
  passed = false;
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private readonly giveUp = (): void => this.controller.abort();

  constructor(
    readonly ms: number,
    private readonly outer: AbortSignal | undefined,
  ) {
    this.timer = setTimeout(() => {
      this.passed = true;
      this.controller.abort();
    }, ms);
    this.timer.unref();
    if (outer?.aborted === true) this.giveUp();
    else outer?.addEventListener('abort', this.giveUp, { once: true });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Rejects when the time is up, whatever becomes of `work`. */
  race<T>(work: Promise<T>, abandon: () => void): Promise<T> {
    const { signal } = this.controller;
    return new Promise((resolve, reject) => {
      const late = (): void => {
        abandon();
        work.catch(() => undefined);
        reject(new Error('given up'));
      };
      if (signal.aborted) return late();
      signal.addEventListener('abort', late, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', late));
    });
  }

  over(): void {
    clearTimeout(this.timer);
    this.outer?.removeEventListener('abort', this.giveUp);
  }
}

function wholeBody(response: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > LONGEST_ANSWER) response.destroy(new Error('the answer is too long'));
    });
    response.once('end', () => resolve(Buffer.concat(chunks)));
    response.once('close', () => reject(new Error('the answer broke off')));
  });
}

function queryOf(query: Call['query'] = {}): Record<string, unknown> {
  // dockerode leaves the question mark's place to us: an empty query must still be there.
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
}

function reasonIn(json: unknown, message: string): string {
  const given = (json as { message?: unknown } | null | undefined)?.message;
  if (typeof given === 'string') return given;
  return message.replace(/^\(HTTP code \d+\) [^-]*- /, '').trim();
}

function connection(address: Docker.DockerOptions, agent: Agent): Docker {
  return new Docker({ ...address, agent } as Docker.DockerOptions); // its types lack the agent
}

/**
 * dockerode puts all that it is given into words on every call, for a log that nobody reads. Of an agent those would be
 * all its open connections: each call would cost more the more containers are being watched.
 */
function unseen(agent: Agent): Agent {
  return Object.assign(agent, { [inspect.custom]: () => 'Agent' });
}

/** Everything that dockerode would otherwise take from `DOCKER_HOST` is said. */
function addressOf(endpoint: string, secure: boolean): Docker.DockerOptions {
  const none = {
    socketPath: undefined,
    host: undefined,
    port: undefined,
    ca: undefined,
    cert: undefined,
    key: undefined,
  };
  if (!endpoint.includes('://')) return { ...none, socketPath: endpoint, protocol: 'http' };
  const url = new URL(endpoint.replace(/^tcp:/, secure ? 'https:' : 'http:'));
  const protocol = url.protocol === 'https:' ? 'https' : 'http';
  const port = Number(url.port) || (protocol === 'https' ? 2_376 : 2_375);
  return { ...none, host: url.hostname, port, protocol };
}
