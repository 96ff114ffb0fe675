/**
 * The engine as the doors see it. Made by `createCoral` (create-coral.ts). Every method rejects with a `Refusal`
 * when a rule says no.
 */
import type { NamespaceState } from '../domain/namespace.ts';
import type { SessionKey, SessionState } from '../domain/state.ts';
import type {
  GraphAgentRequest,
  NamespaceRequest,
  SessionRequest,
  SessionRuntimeSettings,
} from '../domain/wire/request.ts';
import type { SessionIdentifier } from '../domain/wire/session.ts';
import type { AgentDetail } from '../domain/agent-detail.ts';
import type { JournalRecord, StreamPage, StreamQuery } from '../ports/journal.ts';
import type { OutputStore } from '../ports/output.ts';
import type { Registry } from '../ports/registry.ts';
import type { Living } from '../ports/runtime.ts';
import type { Delivery } from './webhook-runner.ts';
import type { Participant } from './participant.ts';
import type { Quarantined } from './quarantine.ts';

/** The engine. Methods reject with a `Refusal` when a rule says no and with a `JournalError` when nothing can be written. */
export interface Coral {
  /** Id of the state folder, on every mark we leave in the world. */
  readonly instance: string;
  readonly registry: Registry;
  readonly output: OutputStore;
  now(): number;

  /**
   * Checks everything (all faults at once), writes it down and answers; launching goes on behind. With `key` (the
   * caller's own name for this request) the same request asked again is answered as the first time; another request
   * under the same key is an `idempotency_conflict`. Keys are kept as long as the session is in the archive.
   */
  open(request: SessionRequest, key?: string): Promise<SessionIdentifier>;
  /** Executes a deferred session. */
  execute(key: SessionKey, settings: SessionRuntimeSettings): Promise<void>;
  /** Stops every agent and resolves when they are gone; a held session ends its hold. */
  close(key: SessionKey): Promise<void>;
  /** An agent joins a running session, in groups with others of it. */
  addAgent(key: SessionKey, agent: GraphAgentRequest, groups: readonly (readonly string[])[]): Promise<void>;
  /** An agent leaves for good; resolves when it is gone. */
  dismissAgent(key: SessionKey, agent: string): Promise<void>;
  /** Moves the deadline: ms from execution; undefined: none. */
  changeTtl(key: SessionKey, ttl: number | undefined): Promise<void>;
  /** Why is it (not) running: everything about one agent. */
  agent(key: SessionKey, agent: string): AgentDetail;
  /** Live sessions only; throws `unknown_session`. */
  session(key: SessionKey): SessionState;
  /** Live sessions, optionally of one namespace (throws `unknown_namespace`), oldest first. */
  sessions(namespace?: string): readonly SessionState[];
  /** The namespace of a live session; undefined when there is none of that id. Costs a look into each namespace. */
  namespaceOf(sessionId: string): string | undefined;

  /** Sessions whose records are damaged: not served, only named and closed. All other calls throw `session_damaged`. */
  quarantined(): readonly Quarantined[];

  createNamespace(request: NamespaceRequest): Promise<void>;
  namespaces(): readonly NamespaceState[];
  /** Throws `unknown_namespace`. */
  namespace(name: string): NamespaceState;
  /** Closes all its sessions, then the namespace. */
  closeNamespace(name: string): Promise<void>;

  /** The agent whose current secret this is; undefined for any other text. */
  authenticate(secret: string): Participant | undefined;
  /** The agent by name, for the puppet API; throws `unknown_session` or `agent_not_in_session`. */
  participant(key: SessionKey, agent: string): Participant;

  /** What lives now: for those who remove what does not. */
  living(): Living;

  readonly feed: Feed;
  readonly archive: Archive;

  /** Webhook deliveries that are being tried or were given up. */
  deliveries(): readonly Delivery[];
  /** Sends a dead delivery again; throws `unknown_delivery`. */
  replayDelivery(id: string): Promise<void>;

  /** Journal writable and runtimes there; the sentences say what is not. */
  ready(): Promise<{ readonly ready: boolean; readonly problems: readonly string[] }>;
  /**
   * Ends all sessions in good order (agents stopped with their grace) and stops taking new ones. What is kept goes on
   * with the next start: nothing (the default), the sessions that were found at this start, or everything. Rejects, once
   * all is done that can be, with what did not go in good order.
   */
  shutdown(keep?: 'nothing' | 'what_was_found' | 'everything'): Promise<void>;
}

/** A follower is a cursor into the journal: it replays from where it stands and then follows, without gap or repeat. */
export interface Feed {
  /**
   * Records of one session after `after` (a seq); undefined: only what comes next. Ends when the session is closed
   * and everything was read, when `signal` aborts, or with `SlowReader` when the reader falls too far behind.
   */
  session(key: SessionKey, after: number | undefined, signal: AbortSignal): AsyncIterable<JournalRecord>;
  /** Records that start and end sessions and namespaces, after `after` (a position). */
  manager(after: number | undefined, signal: AbortSignal): AsyncIterable<JournalRecord>;
}

/** Sessions as the journal tells them, closed ones included. */
export interface Archive {
  list(query: StreamQuery): Promise<StreamPage>;
  /** The state folded from the whole story; throws `unknown_session`. */
  state(key: SessionKey): Promise<SessionState>;
  /** Throws `unknown_session`. */
  records(key: SessionKey, after: number, limit: number): Promise<readonly JournalRecord[]>;
}
