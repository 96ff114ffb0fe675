/**
 * Which namespaces and live sessions there are. Namespaces live in a journal stream of their own; changes to them go
 * one at a time. A place in a namespace is taken before a session is written down, so that a namespace is never
 * deleted from under a session that is just being opened.
 */
import { NAMESPACES_STREAM, type NamespaceEvent } from '../domain/event.ts';
import { evolveNamespaces, type NamespaceState } from '../domain/namespace.ts';
import { Refusal } from '../domain/refusal.ts';
import { isName } from '../domain/roster.ts';
import type { SessionKey } from '../domain/state.ts';
import type { NamespaceRequest, SessionRequest } from '../domain/wire/request.ts';
import type { Host } from '../ports/host.ts';
import { JournalError, type Journal, type JournalRecord } from '../ports/journal.ts';
import type { LiveFeed } from './feed.ts';
import { damaged, type Quarantined } from './quarantine.ts';
import type { SessionRunner } from './session-runner.ts';

interface Place {
  readonly runners: Map<string, SessionRunner>;
  /** Sessions that are there and cannot be served. */
  readonly quarantined: Map<string, Quarantined>;
  /** Sessions that are just being opened. */
  opening: number;
}

/** Namespaces and live sessions, by name and id. */
export class Directory {
  private readonly known = new Map<string, NamespaceState>();
  private readonly places = new Map<string, Place>();
  /** Namespaces whose deletion is under way: nobody gets in. */
  private readonly closing = new Set<string>();
  private seq = 0;
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly journal: Journal,
    private readonly host: Host,
    private readonly publish: LiveFeed['publish'],
  ) {}

  /** Live sessions, those that are being opened included. */
  get live(): number {
    let live = 0;
    for (const { runners, opening } of this.places.values()) live += runners.size + opening;
    return live;
  }

  /**
   * Reads the namespaces; call once, before anything else. Returns a sentence for each record that is damaged: what it
   * said is not known, and all others count.
   */
  async load(): Promise<readonly string[]> {
    const lost: string[] = [];
    for (;;) {
      try {
        const records = await this.journal.read(NAMESPACES_STREAM, this.seq, 1_000);
        for (const record of records) this.fold(record);
        if (records.length === 0) return lost;
      } catch (error) {
        if (!(error instanceof JournalError) || error.seq === undefined) throw error;
        const whole = error.seq - this.seq - 1;
        for (const record of await this.journal.read(NAMESPACES_STREAM, this.seq, whole)) this.fold(record);
        lost.push(error.message);
        this.seq = error.seq;
      }
    }
  }

  /** A session that was found and cannot be served. Its namespace is there, whatever became of the record that said so. */
  quarantine(session: Quarantined): void {
    this.place(session.namespace).quarantined.set(session.sessionId, session);
    this.assume(session.namespace);
  }

  /** Sessions that are not served, of all namespaces. */
  *quarantined(): IterableIterator<Quarantined> {
    for (const { quarantined } of this.places.values()) yield* quarantined.values();
  }

  findQuarantined(key: SessionKey): Quarantined | undefined {
    return this.places.get(key.namespace)?.quarantined.get(key.sessionId);
  }

  /** It was closed. */
  leaveQuarantine(key: SessionKey): void {
    this.places.get(key.namespace)?.quarantined.delete(key.sessionId);
    void this.tidy(key.namespace, true);
  }

  namespaces(): readonly NamespaceState[] {
    return [...this.known.values()];
  }

  namespace(name: string): NamespaceState {
    const found = this.known.get(name);
    if (found === undefined) throw unknownNamespace(name);
    return found;
  }

  runner(key: SessionKey): SessionRunner {
    const found = this.find(key);
    if (found === undefined) {
      const quarantined = this.findQuarantined(key);
      if (quarantined !== undefined) throw damaged(quarantined);
      throw new Refusal(
        'unknown_session',
        `There is no live session ${key.sessionId} in namespace "${key.namespace}"; closed ones are in the archive.`,
      );
    }
    return found;
  }

  find(key: SessionKey): SessionRunner | undefined {
    return this.places.get(key.namespace)?.runners.get(key.sessionId);
  }

  /** The namespace of a live session. */
  namespaceOf(sessionId: string): string | undefined {
    for (const [name, { runners }] of this.places) if (runners.has(sessionId)) return name;
    return undefined;
  }

  /** Live sessions, of all namespaces or one, oldest first. */
  *runners(namespace?: string): IterableIterator<SessionRunner> {
    if (namespace !== undefined) {
      this.namespace(namespace);
      yield* this.places.get(namespace)?.runners.values() ?? [];
      return;
    }
    for (const { runners } of this.places.values()) yield* runners.values();
  }

  async create(request: NamespaceRequest): Promise<void> {
    checkName(request.name);
    await this.exclusive(async () => {
      if (this.known.has(request.name)) {
        throw new Refusal(
          'namespace_exists',
          `There is a namespace "${request.name}" already; choose another name or use it as it is.`,
        );
      }
      await this.append(created(request));
    });
  }

  /** Takes a place for a session that is being opened; the name of its namespace. Give it back with `enter` or `leave`. */
  async reserve(provider: SessionRequest['namespaceProvider']): Promise<string> {
    const name = provider.type === 'use_existing' ? provider.name : provider.namespaceRequest.name;
    if (this.known.has(name) && !this.closing.has(name)) {
      this.place(name).opening += 1;
      return name;
    }
    if (provider.type === 'use_existing') throw unknownNamespace(name);
    checkName(name);
    return this.exclusive(async () => {
      if (!this.known.has(name)) await this.append(created(provider.namespaceRequest));
      this.place(name).opening += 1;
      return name;
    });
  }

  /** A session was opened (or found at start). */
  enter(runner: SessionRunner, reserved: boolean): void {
    const { namespace, sessionId } = runner.state;
    const place = this.place(namespace);
    place.runners.set(sessionId, runner);
    if (reserved) place.opening -= 1;
    else this.assume(namespace);
  }

  /** A reserved place is not needed after all. */
  async release(name: string): Promise<void> {
    this.place(name).opening -= 1;
    await this.tidy(name, false);
  }

  /** A session closed. The namespace goes with its last one, if it is of that kind. */
  leave(key: SessionKey): void {
    this.places.get(key.namespace)?.runners.delete(key.sessionId);
    void this.tidy(key.namespace, true);
  }

  /** Deletes a namespace that is empty of sessions by now. Nobody gets in while `empty` runs. */
  async remove(name: string, empty: () => Promise<void>): Promise<void> {
    this.namespace(name);
    this.closing.add(name);
    try {
      await empty();
      await this.exclusive(async () => {
        if (this.known.has(name) && !this.inUse(name)) await this.append({ type: 'namespace_closed', name });
      });
    } finally {
      this.closing.delete(name);
    }
  }

  /** After a start: deletes the namespaces that would have gone with a last session that closed before. */
  async tidyAll(): Promise<void> {
    for (const { name, createdAt } of this.namespaces()) {
      if (this.inUse(name)) continue;
      const { streams } = await this.journal.streams({
        kind: 'session',
        namespace: name,
        openedFrom: createdAt,
        limit: 1,
      });
      await this.tidy(name, streams.length > 0);
    }
  }

  /** Resolves when every change asked for so far is made. */
  async settled(): Promise<void> {
    await this.last.catch(() => {});
  }

  private async tidy(name: string, hadSession: boolean): Promise<void> {
    if (this.inUse(name)) return;
    if (!hadSession || this.known.get(name)?.deleteOnLastSessionExit !== true) return;
    await this.exclusive(async () => {
      if (this.known.get(name)?.deleteOnLastSessionExit === true && !this.inUse(name)) {
        await this.append({ type: 'namespace_closed', name });
      }
    }).catch(() => {
      // Not written now (the disk may be full): the namespace stays, empty, and goes with its next last session.
    });
  }

  private inUse(name: string): boolean {
    const place = this.places.get(name);
    return place !== undefined && (place.opening > 0 || place.runners.size > 0 || place.quarantined.size > 0);
  }

  /** A session was found in it: then there is this namespace, also where the record that made it is damaged. */
  private assume(name: string): void {
    if (!this.known.has(name))
      this.known.set(name, { name, deleteOnLastSessionExit: false, annotations: {}, createdAt: 0 });
  }

  private place(name: string): Place {
    let place = this.places.get(name);
    if (place === undefined)
      this.places.set(name, (place = { runners: new Map(), quarantined: new Map(), opening: 0 }));
    return place;
  }

  private exclusive<T>(act: () => Promise<T>): Promise<T> {
    const result = this.last.then(act, act);
    this.last = result.catch(() => {});
    return result;
  }

  private async append(event: NamespaceEvent): Promise<void> {
    const records = await this.journal.append({
      stream: NAMESPACES_STREAM,
      expectedSeq: this.seq,
      time: this.host.now(),
      events: [event],
      ...(this.seq === 0 && {
        header: { kind: 'namespaces' as const, id: NAMESPACES_STREAM, namespace: '', annotations: {} },
      }),
    });
    for (const record of records) this.fold(record);
    this.publish(NAMESPACES_STREAM, records);
    if (event.type === 'namespace_closed' && !this.inUse(event.name)) this.places.delete(event.name);
  }

  private fold(record: JournalRecord): void {
    evolveNamespaces(this.known, record);
    this.seq = record.seq;
  }
}

function created(request: NamespaceRequest): NamespaceEvent {
  const { name, deleteOnLastSessionExit, annotations } = request;
  return { type: 'namespace_created', name, deleteOnLastSessionExit, annotations };
}

function checkName(name: string): void {
  if (!isName(name)) {
    throw new Refusal(
      'invalid_request',
      'A namespace\'s name takes 1 to 128 characters, without "/" and control characters.',
    );
  }
}

function unknownNamespace(name: string): Refusal {
  return new Refusal(
    'unknown_namespace',
    `There is no namespace "${name.slice(0, 128)}"; create it, or open the session with create_if_not_exists.`,
  );
}
