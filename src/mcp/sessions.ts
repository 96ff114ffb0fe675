/**
 * The MCP sessions that are alive, and what they mean for their agents.
 *
 * S1 An agent is connected while it has at least one live session here: the first one awaits `Participant.connect`,
 *    the end of the last one calls `Participant.disconnected`, exactly once each way.
 * S2 A session is alive from its first request until it is deleted, its stream closes, its secret dies or nothing was
 *    heard of it for the idle time. A request with a signed id that is not alive (after a restart of the server, or
 *    idle for long) brings it back to life.
 * S3 A session costs one small object and one map entry; everything else is made on first use.
 */
import type { Participant } from '../engine/participant.ts';
import type { RequestId } from './jsonrpc.ts';
import { createSessionIds, type SessionIds } from './session-ids.ts';
import type { SseStream } from './sse.ts';
import { StateWatch } from './watch.ts';

/** Deleted ids that are remembered, so that they answer 404 as long as anybody is likely to use them. */
const DELETED_REMEMBERED = 10_000;

/** Everything of one agent secret. */
interface Peer {
  readonly secret: string;
  participant: Participant;
  /** Sessions that are registered. */
  sessions: number;
  /** Sessions that connect or are connected. */
  live: number;
  /** What the agent was last told to be. */
  connected: boolean;
  /** The session of requests that name none. */
  unnamed: McpSession | undefined;
}

/** A call under way. */
export interface Cancellable {
  readonly id: RequestId;
  cancel(): void;
  hurry(): void;
}

/** A stream that belongs to a session. */
export interface Attached {
  readonly stream: SseStream;
  /** The server may say on it what belongs to no call; of several the newest is used. */
  readonly speaks: boolean;
  /** What to say when the session ends first. */
  readonly farewell?: () => void;
}

/** What the sessions are made of; times are in ms. */
export interface SessionsOptions {
  readonly signingKey: Uint8Array | string;
  /** Wall-clock ms. */
  readonly now: () => number;
  /** ms without a request, a stream or a call under way after which a session is over. */
  readonly idleMs: number;
  readonly warn: (message: string, error?: unknown) => void;
}

/** One client's MCP session, or the one shared by an agent's requests that name none. */
export class McpSession {
  lastHeard: number;
  /** Calls under way and streams open: it is not idle while there are any. */
  busy = 0;
  private state: 'new' | 'alive' | 'over' = 'new';
  private beginning: Promise<void> | undefined;
  private calls: Set<Cancellable> | undefined;
  private streams: Attached[] | undefined;
  private watch: StateWatch | undefined;

  constructor(
    readonly peer: Peer,
    /** Undefined for the session of requests that name none. */
    readonly id: string | undefined,
    private readonly sessions: Sessions,
    now: number,
  ) {
    this.lastHeard = now;
  }

  get participant(): Participant {
    return this.peer.participant;
  }

  get over(): boolean {
    return this.state === 'over';
  }

  /** Whether its secret is still good. */
  get valid(): boolean {
    return this.peer.participant.valid;
  }

  /** The agent counts as connected from here on; resolves at once for a session that is alive. Rejects as `connect` does. */
  begin(): Promise<void> | undefined {
    if (this.state === 'alive') return undefined;
    if (this.beginning !== undefined) return this.beginning;
    this.peer.live += 1;
    this.beginning = this.peer.participant.connect().then(
      () => {
        this.beginning = undefined;
        this.peer.connected = true;
        if (this.state === 'new') this.state = 'alive';
        else this.left();
      },
      (error: unknown) => {
        this.beginning = undefined;
        this.left();
        this.sessions.end(this);
        throw error;
      },
    );
    return this.beginning;
  }

  /** Registers a call that can be cancelled. */
  track(call: Cancellable): void {
    (this.calls ??= new Set()).add(call);
  }

  untrack(call: Cancellable): void {
    this.calls?.delete(call);
    if (this.calls?.size === 0) this.calls = undefined;
  }

  /**
   * The client wants no answer to that call any more. Unknown ids mean nothing, and so does one that two calls bear:
   * several clients may share the session of requests that name none.
   */
  cancel(id: RequestId): void {
    const meant = [...(this.calls ?? [])].filter((call) => call.id === id);
    if (meant.length === 1) meant[0]?.cancel();
  }

  /** Keeps the session alive while that stream is open and ends it with the session. */
  attach(attached: Attached): void {
    this.busy += 1;
    (this.streams ??= []).push(attached);
    attached.stream.onceClosed(() => {
      this.busy -= 1;
      this.lastHeard = this.sessions.now();
      this.streams = this.streams?.filter((other) => other !== attached);
      if (this.streams?.length === 0) this.streams = undefined;
    });
    if (attached.speaks) this.watch?.streamOpened();
  }

  subscribe(uri: string): void {
    this.watch ??= new StateWatch(
      this.participant,
      uri,
      () => this.streams?.findLast(({ stream, speaks }) => speaks && stream.open)?.stream,
    );
  }

  unsubscribe(): void {
    this.watch?.close();
    this.watch = undefined;
  }

  /** Only `Sessions.end` calls this. */
  finish(): void {
    const was = this.state;
    this.state = 'over';
    this.unsubscribe();
    for (const call of this.calls ?? []) call.hurry();
    for (const { stream, farewell } of this.streams ?? []) {
      farewell?.();
      stream.end();
    }
    if (was === 'alive') this.left();
  }

  private left(): void {
    this.peer.live -= 1;
    if (this.peer.live > 0 || !this.peer.connected) return;
    this.peer.connected = false;
    try {
      this.peer.participant.disconnected();
    } catch (error) {
      this.sessions.warn(`agent ${this.peer.participant.agent} could not be marked as disconnected`, error);
    }
  }
}

/** All MCP sessions of one door. */
export class Sessions {
  private readonly ids: SessionIds;
  private readonly peers = new Map<string, Peer>();
  private readonly byId = new Map<string, McpSession>();
  private readonly deleted = new Set<string>();

  constructor(private readonly options: SessionsOptions) {
    this.ids = createSessionIds(options.signingKey);
  }

  /** Sessions alive, those of requests that name none included. */
  get size(): number {
    let size = 0;
    for (const peer of this.peers.values()) size += peer.sessions;
    return size;
  }

  now(): number {
    return this.options.now();
  }

  warn(message: string, error?: unknown): void {
    this.options.warn(message, error);
  }

  /** A session with a new id, for `initialize` and for a stream of the older transport. */
  create(secret: string, participant: Participant): McpSession {
    const id = this.ids.mint(secret);
    return this.add(id, this.peer(secret, participant));
  }

  /** The session with that id; undefined when the id was never given out for this secret or was deleted. */
  find(id: string, secret: string, participant: Participant): McpSession | undefined {
    const known = this.byId.get(id);
    if (known === undefined) {
      if (this.deleted.has(id) || !this.ids.verify(id, secret)) return undefined;
      return this.add(id, this.peer(secret, participant));
    }
    if (known.peer.secret !== secret) return undefined;
    known.peer.participant = participant;
    known.lastHeard = this.now();
    return known;
  }

  /** The session with that id if it is alive; nothing is brought back to life. */
  alive(id: string, secret: string): McpSession | undefined {
    const known = this.byId.get(id);
    return known?.peer.secret === secret ? known : undefined;
  }

  /** The session of this secret's requests that name none. */
  unnamed(secret: string, participant: Participant): McpSession {
    const peer = this.peer(secret, participant);
    const session = peer.unnamed ?? this.add(undefined, peer);
    session.lastHeard = this.now();
    return session;
  }

  /** The client said goodbye: the id is worth nothing from here on. */
  delete(session: McpSession): void {
    if (session.id !== undefined) {
      this.deleted.add(session.id);
      if (this.deleted.size > DELETED_REMEMBERED) {
        const oldest = this.deleted.values().next();
        if (oldest.done !== true) this.deleted.delete(oldest.value);
      }
    }
    this.end(session);
  }

  /** The session is over; its calls are aborted and its streams ended. */
  end(session: McpSession): void {
    if (session.over) return;
    session.finish();
    const { peer, id } = session;
    if (id === undefined) peer.unnamed = undefined;
    else this.byId.delete(id);
    peer.sessions -= 1;
    if (peer.sessions === 0) this.peers.delete(peer.secret);
  }

  /** Ends what is idle and what has lost its secret. */
  sweep(): void {
    const heardBefore = this.now() - this.options.idleMs;
    for (const session of this.all()) {
      if (!session.valid || (session.busy === 0 && session.lastHeard < heardBefore)) this.end(session);
    }
  }

  endAll(): void {
    for (const session of this.all()) this.end(session);
  }

  private *all(): IterableIterator<McpSession> {
    yield* this.byId.values();
    for (const peer of this.peers.values()) if (peer.unnamed !== undefined) yield peer.unnamed;
  }

  private peer(secret: string, participant: Participant): Peer {
    let peer = this.peers.get(secret);
    if (peer === undefined) {
      peer = { secret, participant, sessions: 0, live: 0, connected: false, unnamed: undefined };
      this.peers.set(secret, peer);
    }
    peer.participant = participant;
    return peer;
  }

  private add(id: string | undefined, peer: Peer): McpSession {
    const session = new McpSession(peer, id, this, this.now());
    peer.sessions += 1;
    if (id === undefined) peer.unnamed = session;
    else this.byId.set(id, session);
    return session;
  }
}
