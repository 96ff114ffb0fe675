/** `CoralClient`: the server's API as an application uses it. Source: docs/wire.md. */
import type { LogEvent, ManagerEvent, WireEvent } from '../domain/wire/event.ts';
import type { SessionIdentifier, SessionStateExtended } from '../domain/wire/session.ts';
import { Http } from './http.ts';
import { Archive, Namespaces, pathOf, Registry, Sessions, Teams } from './resources.ts';
import { follow } from './sse.ts';
import type { Placed } from './sse.ts';
import type { Cancellable, Followed, LogLine } from './types.ts';

/** Where the server is and how to speak with it. */
export interface CoralClientOptions {
  /** Where the server is. Default: http://127.0.0.1:5555. */
  readonly url?: string;
  /** One of the server's keys. */
  readonly key?: string;
  /** In place of the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** How long streams go on trying to reach a server that does not answer, ms. Default: 60000. */
  readonly reconnectForMs?: number;
}

const DEFAULT_URL = 'http://127.0.0.1:5555';
const RECONNECT_FOR = 60_000;

/** Where a follower begins: behind a number (0: everything), or with what comes next. */
type Beginning = number | 'now';

/** Every method rejects with CoralError when the server says no or cannot be reached. */
export class CoralClient {
  readonly sessions: Sessions;
  readonly namespaces: Namespaces;
  readonly registry: Registry;
  readonly teams: Teams;
  readonly archive: Archive;
  readonly #http: Http;
  readonly #reconnectFor: number;

  constructor(options: CoralClientOptions = {}) {
    this.#http = new Http(options.url ?? DEFAULT_URL, options.key, options.fetch ?? fetch);
    this.#reconnectFor = options.reconnectForMs ?? RECONNECT_FOR;
    this.sessions = new Sessions(this.#http);
    this.namespaces = new Namespaces(this.#http);
    this.registry = new Registry(this.#http);
    this.teams = new Teams(this.#http);
    this.archive = new Archive(this.#http);
  }

  /** The process lives. Needs no key. */
  async health(options: Cancellable = {}): Promise<{ status: string; version?: string }> {
    return await this.#http.json('GET', '/health', options);
  }

  /** Whether it can work: the journal takes events, the runtimes are there. Needs no key. */
  async ready(options: Cancellable = {}): Promise<{ ready: boolean; problems: string[] }> {
    const response = await this.#http.fetch('GET', '/ready', options);
    const { problems = [] } = (await response.json()) as { problems?: string[] };
    return { ready: response.ok, problems };
  }

  /** A copy of the server's journal as it is now, an SQLite file: its size in bytes, and the bytes as they come. */
  async backup(
    options: Cancellable = {},
  ): Promise<{ readonly bytes: number; readonly body: AsyncIterable<Uint8Array> }> {
    const response = await this.#http.request('GET', '/api/v1/backup', options);
    return {
      bytes: Number(response.headers.get('content-length')),
      body: response.body as unknown as AsyncIterable<Uint8Array>,
    };
  }

  /**
   * The events of a session, live or over, until it is closed: without gap or repeat, whatever happens to the
   * connection. `after`: behind this seq (default 0: from the beginning), or `now`: only what comes next (a break
   * before the first one may hide some). `all`: with the types that are not sent unasked.
   */
  events(
    session: SessionIdentifier,
    options: Followed & { readonly after?: Beginning; readonly all?: boolean } = {},
  ): AsyncGenerator<WireEvent, void> {
    const { signal, all = false } = options;
    return follow<WireEvent>({
      after: beginning(options.after),
      signal,
      reconnectFor: this.#reconnectFor,
      open: (after) =>
        this.#stream(`/api/v1/local/session/${pathOf(session)}/events`, signal, {
          after,
          all: all || undefined,
        }),
      parse: (data) => JSON.parse(data) as WireEvent,
      isOver: () => this.#isClosed(session, signal),
      kept: (after) => placed(this.archive.events(session, { after, all, signal }), ({ seq }) => seq),
    });
  }

  /**
   * What the agents of a session print, until it is closed. `after`: behind the line of this number (default 0: all
   * that is kept), or `now`. `agent`: only this one's. `sensitive`: with lines that may hold secrets.
   */
  logs(
    session: SessionIdentifier,
    options: Followed & {
      readonly after?: Beginning;
      readonly agent?: string;
      readonly sensitive?: boolean;
    } = {},
  ): AsyncGenerator<LogLine, void> {
    const { signal, agent, sensitive = false } = options;
    return follow<LogLine>({
      after: beginning(options.after),
      signal,
      reconnectFor: this.#reconnectFor,
      open: (after) =>
        this.#stream(`/api/v1/local/session/${pathOf(session)}/logs`, signal, {
          after,
          limit: after === undefined ? 0 : undefined,
          agentFilter: agent,
          allowSensitive: sensitive || undefined,
        }),
      parse: (data, number) => lineOf(number, JSON.parse(data) as LogEvent),
      isOver: () => this.#isClosed(session, signal),
      kept: (after) =>
        placed(
          this.archive.logs(session, { after, sensitive, signal, ...(agent !== undefined && { agent }) }),
          ({ number }) => number,
        ),
    });
  }

  /** Sessions and namespaces as they come and go, for ever. `after`: behind this seq (default `now`). */
  managerEvents(
    options: Followed & { readonly after?: Beginning; readonly namespace?: string } = {},
  ): AsyncGenerator<ManagerEvent, void> {
    const { signal, after = 'now', namespace } = options;
    return follow<ManagerEvent>({
      after: beginning(after),
      signal,
      reconnectFor: this.#reconnectFor,
      open: (behind) =>
        this.#stream('/api/v1/local/events', signal, { after: behind, namespaceFilter: namespace }),
      parse: (data) => JSON.parse(data) as ManagerEvent,
      isOver: async () => false,
      kept: nothing,
    });
  }

  /**
   * Resolves when all agents of a session are gone, with everything there is to know of it, its `result` included.
   * Rejects with the signal's reason when that aborts.
   */
  async finished(session: SessionIdentifier, options: Cancellable = {}): Promise<SessionStateExtended> {
    for await (const event of this.events(session, { all: true, signal: options.signal })) {
      if (event.type === 'session_ended' || event.type === 'session_closed') break;
    }
    options.signal?.throwIfAborted();
    return await this.archive.state(session, options);
  }

  async #stream(
    path: string,
    signal: AbortSignal | undefined,
    query: Readonly<Record<string, string | number | boolean | undefined>>,
  ): Promise<Response> {
    return await this.#http.fetch('GET', path, { query, headers: { accept: 'text/event-stream' }, signal });
  }

  async #isClosed(session: SessionIdentifier, signal: AbortSignal | undefined): Promise<boolean> {
    const { base } = await this.archive.state(session, { messages: 0, signal });
    return base.status.type === 'closed';
  }
}

function beginning(after: Beginning = 0): number | undefined {
  return after === 'now' ? undefined : after;
}

async function* placed<T>(source: AsyncIterable<T>, id: (value: T) => number): AsyncGenerator<Placed<T>> {
  for await (const value of source) yield { id: id(value), value };
}

async function* nothing(): AsyncGenerator<never, void> {
  // A source that is never over keeps nothing for its end.
}

function lineOf(number: number, { text, timestamp, tags }: LogEvent): LogLine {
  let agent = '';
  let io: LogLine['io'] = 'out';
  for (const tag of tags) {
    if (tag.type === 'agent') agent = tag.name;
    if (tag.type === 'stdout') io = tag.io;
  }
  return { number, timestamp, agent, io, text };
}
