/**
 * Sessions and namespaces as they come and go, whatever carries the news. Source: docs/wire.md, "Manager events".
 */
import { evolveNamespaces, type NamespaceState } from '../domain/namespace.ts';
import { namespaceManagerEvent, sessionManagerEvent, type ManagedSession } from '../domain/wire-event.ts';
import type { ManagerEvent } from '../domain/wire/event.ts';
import type { Coral } from '../engine/coral.ts';
import type { JournalRecord } from '../ports/journal.ts';

/** Which manager events a follower asked for. */
export interface ManagerQuery {
  /** Replays from behind this seq; undefined: only what comes next. */
  readonly after?: number | undefined;
  /** Only this namespace. */
  readonly namespace?: string | undefined;
  /** Only namespaces with all of these annotations. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** Manager events until the signal; the subscription stands when this returns. */
export function managerEvents(
  coral: Coral,
  query: ManagerQuery,
  signal: AbortSignal,
): AsyncIterable<ManagerEvent> {
  const view = new ManagerView(coral, query, signal);
  const records = coral.feed.manager(query.after, signal);
  return (async function* () {
    for await (const record of records) {
      const event = await view.see(record);
      if (event !== undefined) yield event;
    }
  })();
}

/** What one follower knows of sessions and namespaces at the record it stands at. */
class ManagerView {
  private readonly sessions = new Map<string, ManagedSession>();
  /** Undefined until needed, for one that resumes somewhere in the past. */
  private namespaces: Map<string, NamespaceState> | undefined;

  constructor(
    private readonly coral: Coral,
    private readonly query: ManagerQuery,
    private readonly signal: AbortSignal,
  ) {
    if (query.after === 0) this.namespaces = new Map();
    if (query.after === undefined) {
      this.namespaces = new Map(coral.namespaces().map((namespace) => [namespace.name, namespace]));
    }
  }

  async see(record: JournalRecord): Promise<ManagerEvent | undefined> {
    const { event } = record;
    const namespaces = (this.namespaces ??= await this.namespacesBefore(record.position));
    if (event.type === 'namespace_created' || event.type === 'namespace_closed') {
      const before = namespaces.get(event.name);
      evolveNamespaces(namespaces, record);
      return this.wanted(namespaces.get(event.name) ?? before)
        ? namespaceManagerEvent(record, before)
        : undefined;
    }
    const session = await this.session(record);
    const namespace = session === undefined ? undefined : namespaces.get(session.namespace);
    if (session === undefined || namespace === undefined || !this.wanted(namespace)) return undefined;
    return sessionManagerEvent(record, session, namespace);
  }

  private wanted(namespace: NamespaceState | undefined): boolean {
    if (namespace === undefined) return false;
    const { namespace: name, annotations = {} } = this.query;
    return (
      (name === undefined || namespace.name === name) &&
      Object.entries(annotations).every(([key, value]) => namespace.annotations[key] === value)
    );
  }

  /** The session of a record, with what happened to it up to there. */
  private async session(record: JournalRecord): Promise<ManagedSession | undefined> {
    const { event, stream, time } = record;
    const known = await this.remembered(record);
    if (known === undefined) return undefined;
    const session =
      event.type === 'session_executed'
        ? { ...known, executedAt: time }
        : event.type === 'session_ended'
          ? { ...known, endedAt: time }
          : known;
    if (event.type === 'session_closed') this.sessions.delete(stream);
    else this.sessions.set(stream, session);
    return session;
  }

  private async remembered({ event, stream, time }: JournalRecord): Promise<ManagedSession | undefined> {
    if (event.type === 'session_opened') {
      const { namespace, sessionId, annotations } = event;
      return { namespace, sessionId, annotations, createdAt: time };
    }
    return this.sessions.get(stream) ?? (await this.looked(stream));
  }

  /** A session that was opened before this follower came. */
  private async looked(stream: string): Promise<ManagedSession | undefined> {
    const id = stream.slice(stream.indexOf('/') + 1);
    const { streams } = await this.coral.archive.list({ id, limit: 1 });
    const [found] = streams;
    if (found === undefined) return undefined;
    const key = { namespace: found.namespace, sessionId: id };
    const { phase } = await this.coral.archive.state(key);
    const executedAt = phase.type === 'pending' ? undefined : phase.executedAt;
    const endedAt = phase.type === 'ended' || phase.type === 'closed' ? phase.endedAt : undefined;
    return {
      ...key,
      createdAt: found.openedAt,
      annotations: found.annotations,
      ...(executedAt !== undefined && { executedAt }),
      ...(endedAt !== undefined && { endedAt }),
    };
  }

  /** The namespaces as they were just before a position, read off the journal from its beginning. */
  private async namespacesBefore(position: number): Promise<Map<string, NamespaceState>> {
    const namespaces = new Map<string, NamespaceState>();
    for await (const record of this.coral.feed.manager(0, this.signal)) {
      if (record.position >= position) break;
      evolveNamespaces(namespaces, record);
    }
    return namespaces;
  }
}
