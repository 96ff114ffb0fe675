/** The server's resources, one class each. Source: docs/wire.md. */
import type { WireEvent } from '../domain/wire/event.ts';
import type { RegistryAgentSource, RegistryAgentView, TeamView } from '../domain/wire/registry.ts';
import type { SessionRequestInput } from '../domain/wire/request.ts';
import type {
  NamespaceStateBase,
  NamespaceStateExtended,
  SessionIdentifier,
  SessionStateBase,
  SessionStateExtended,
} from '../domain/wire/session.ts';
import type { Http } from './http.ts';
import { readLines } from './lines.ts';
import type {
  ArchiveQuery,
  Cancellable,
  EventQuery,
  LogLine,
  LogQuery,
  NamespaceRequestInput,
  SessionRuntimeSettingsInput,
  TeamRunOptions,
} from './types.ts';

/** Events and lines taken from the archive at once. */
const EVENTS_PAGE = 1_000;
const LINES_PAGE = 5_000;

/** The types of events that are sent unasked. */
const LISTED: ReadonlySet<string> = new Set<WireEvent['type']>([
  'runtime_started',
  'runtime_stopped',
  'agent_connected',
  'agent_wait_start',
  'agent_wait_stop',
  'agent_sleep_start',
  'agent_sleep_stop',
  'thread_created',
  'thread_participant_added',
  'thread_participant_removed',
  'thread_closed',
  'thread_message_sent',
  'docker_container_created',
  'docker_container_removed',
]);

/** `NAMESPACE/SESSION` as a path. */
export function pathOf({ namespace, sessionId }: SessionIdentifier): string {
  return `${encodeURIComponent(namespace)}/${encodeURIComponent(sessionId)}`;
}

/** Sessions that live: a closed one is only in the archive. */
export class Sessions {
  constructor(private readonly http: Http) {}

  /** Answers before the agents run; with every fault of the request at once. */
  async create(request: SessionRequestInput, options: Cancellable = {}): Promise<SessionIdentifier> {
    return await this.http.json('POST', '/api/v1/local/session', { body: request, signal: options.signal });
  }

  /** Starts a deferred session. */
  async execute(
    session: SessionIdentifier,
    settings: SessionRuntimeSettingsInput = {},
    options: Cancellable = {},
  ): Promise<void> {
    const path = `/api/v1/local/session/${pathOf(session)}`;
    await this.http.done('POST', path, { body: settings, signal: options.signal });
  }

  async get(session: SessionIdentifier, options: Cancellable = {}): Promise<SessionStateBase> {
    return await this.http.json('GET', `/api/v1/local/session/${pathOf(session)}`, options);
  }

  /** With agents, threads and messages: at most the latest `messages` of each thread. */
  async extended(
    session: SessionIdentifier,
    options: Cancellable & { readonly messages?: number } = {},
  ): Promise<SessionStateExtended> {
    return await this.http.json('GET', `/api/v1/local/session/${pathOf(session)}/extended`, {
      query: { messages: options.messages },
      signal: options.signal,
    });
  }

  /** The sessions of one namespace. */
  async list(namespace: string, options: Cancellable = {}): Promise<SessionStateBase[]> {
    return await this.http.json('GET', `/api/v1/local/namespace/${encodeURIComponent(namespace)}`, options);
  }

  /** Stops every agent and resolves when they are gone. A held session stays until it is closed a second time. */
  async close(session: SessionIdentifier, options: Cancellable = {}): Promise<void> {
    await this.http.done('DELETE', `/api/v1/local/session/${pathOf(session)}`, options);
  }
}

/** The groups that sessions belong to. */
export class Namespaces {
  constructor(private readonly http: Http) {}

  async create(request: NamespaceRequestInput, options: Cancellable = {}): Promise<void> {
    await this.http.done('POST', '/api/v1/local/namespace', { body: request, signal: options.signal });
  }

  async list(options: Cancellable = {}): Promise<NamespaceStateBase[]> {
    return await this.http.json('GET', '/api/v1/local/namespace', options);
  }

  /** With their sessions. */
  async extended(options: Cancellable = {}): Promise<NamespaceStateExtended[]> {
    return await this.http.json('GET', '/api/v1/local/namespace/extended', options);
  }

  /** Closes all its sessions and resolves when they and the namespace are gone. */
  async delete(name: string, options: Cancellable = {}): Promise<void> {
    await this.http.done('DELETE', `/api/v1/local/namespace/${encodeURIComponent(name)}`, options);
  }
}

/** What can be launched. */
export class Registry {
  constructor(private readonly http: Http) {}

  async sources(options: Cancellable = {}): Promise<RegistryAgentSource[]> {
    return await this.http.json('GET', '/api/v1/registry', options);
  }

  /** One local agent. */
  async agent(name: string, version: string, options: Cancellable = {}): Promise<RegistryAgentView> {
    const path = `/api/v1/registry/local/${encodeURIComponent(name)}/${encodeURIComponent(version)}`;
    return await this.http.json('GET', path, options);
  }
}

/** Sessions that somebody has written down. */
export class Teams {
  constructor(private readonly http: Http) {}

  async list(options: Cancellable = {}): Promise<TeamView[]> {
    return await this.http.json('GET', '/api/v1/teams', options);
  }

  /** Opens a session of a team. */
  async run(name: string, { signal, ...body }: TeamRunOptions = {}): Promise<SessionIdentifier> {
    const path = `/api/v1/teams/${encodeURIComponent(name)}/session`;
    return await this.http.json('POST', path, { body, signal });
  }
}

/** The story of every session, live and closed. */
export class Archive {
  constructor(private readonly http: Http) {}

  /** All that match, newest first; asked for page by page. */
  async *list(query: ArchiveQuery = {}): AsyncGenerator<SessionStateBase, void> {
    const { namespace, annotations = {}, pageSize, signal } = query;
    let cursor: string | undefined;
    do {
      const page: { sessions: SessionStateBase[]; next?: string } = await this.http.json(
        'GET',
        '/api/v1/archive/session',
        {
          query: {
            namespace,
            annotation: Object.entries(annotations).map(([key, value]) => `${key}:${value}`),
            from: timeOf(query.from),
            before: timeOf(query.before),
            limit: pageSize,
            cursor,
          },
          signal,
        },
      );
      yield* page.sessions;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  /** Sessions that are not served because records of them are damaged; their status says what is. */
  async quarantined(options: Cancellable = {}): Promise<SessionStateBase[]> {
    const { sessions }: { sessions: SessionStateBase[] } = await this.http.json(
      'GET',
      '/api/v1/quarantine',
      options,
    );
    return sessions;
  }

  /** With everything that was ever said; `messages` bounds it as for a live session. */
  async state(
    session: SessionIdentifier,
    options: Cancellable & { readonly messages?: number } = {},
  ): Promise<SessionStateExtended> {
    return await this.http.json('GET', `/api/v1/archive/session/${pathOf(session)}`, {
      query: { messages: options.messages },
      signal: options.signal,
    });
  }

  /** What has happened so far, oldest first; `CoralClient.events` goes on with what comes. */
  async *events(session: SessionIdentifier, query: EventQuery = {}): AsyncGenerator<WireEvent, void> {
    let after: number | undefined = query.after ?? 0;
    do {
      const page: { events: WireEvent[]; next?: number } = await this.http.json(
        'GET',
        `/api/v1/archive/session/${pathOf(session)}/events`,
        { query: { after, limit: EVENTS_PAGE }, signal: query.signal },
      );
      for (const event of page.events) if (query.all === true || LISTED.has(event.type)) yield event;
      after = page.next;
    } while (after !== undefined);
  }

  /** What the agents have printed so far, as far as it is kept. */
  async *logs(session: SessionIdentifier, query: LogQuery = {}): AsyncGenerator<LogLine, void> {
    let after: number | undefined = query.after ?? 0;
    do {
      const page: { lines: LogLine[]; next?: number } = await this.http.json(
        'GET',
        `/api/v1/archive/session/${pathOf(session)}/logs`,
        {
          query: {
            after,
            limit: LINES_PAGE,
            agentFilter: query.agent,
            allowSensitive: query.sensitive === true ? true : undefined,
          },
          signal: query.signal,
        },
      );
      yield* page.lines;
      after = page.next;
    } while (after !== undefined);
  }

  /** The whole story, every event as it stands in the journal's order, streamed as JSON Lines. */
  async *export(session: SessionIdentifier, options: Cancellable = {}): AsyncGenerator<WireEvent, void> {
    const response = await this.http.request('GET', `/api/v1/archive/session/${pathOf(session)}/export`, {
      query: { format: 'jsonl' },
      headers: { accept: 'application/jsonl' },
      signal: options.signal,
    });
    if (response.body === null) return;
    for await (const line of readLines(response.body)) {
      if (line !== '') yield JSON.parse(line) as WireEvent;
    }
  }
}

function timeOf(time: Date | string | undefined): string | undefined {
  return time instanceof Date ? time.toISOString() : time;
}
