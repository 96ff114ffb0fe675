/**
 * What one agent of one session can do: the face of the engine that MCP and the puppet API talk to. Every method
 * rejects with a `Refusal` when a rule says no, and with a `JournalError` when nothing can be written.
 */
import type { WaitFilter } from '../domain/event.ts';
import type { AgentPlan, CustomToolPlan } from '../domain/graph.ts';
import type { SessionKey, SessionState } from '../domain/state.ts';
import type { Message, Thread } from '../domain/wire/session.ts';

/**
 * Something on its way to a client. Call `settle(true)` once the answer was written to it, `settle(false)` when the
 * client went away first: only what was written counts as handed over. Settling twice does nothing.
 */
export interface Delivery<T> {
  readonly value: T;
  settle(delivered: boolean): void;
}

/** What somebody waits for, and how long. */
export interface WaitRequest {
  readonly filters: readonly WaitFilter[];
  /** ms; above 55000 it is clipped. */
  readonly maxWaitMs: number;
  /** An explicit cursor: the oldest matching message after that one, handed over or not. */
  readonly afterMessageId?: string;
  /** The client went away. */
  readonly signal?: AbortSignal;
}

/** What somebody reads along, and how long they wait for it. */
export interface ReadRequest {
  /** Everything visible after this message; undefined: from the first one on. */
  readonly after?: string | undefined;
  /** ms until an empty answer; above 55000 it is clipped, 0: at once. */
  readonly waitMs: number;
  /** At most so many. */
  readonly limit: number;
  /** The client went away: the answer is empty. */
  readonly signal?: AbortSignal;
}

/** One agent of one session, as the doors see it. */
export interface Participant {
  readonly key: SessionKey;
  readonly agent: string;
  readonly plan: AgentPlan;
  /** The custom tools it was given access to, by name. */
  readonly customTools: Readonly<Record<string, CustomToolPlan>>;
  /** The session as it stands; do not keep. */
  readonly state: SessionState;
  /** It called: it is alive. */
  active(): void;
  /** False once its secret was revoked or its attempt is over. */
  readonly valid: boolean;
  /** An MCP session begins: marks the agent connected and, for a blocking agent's first one, holds until the others are there or 50 s passed. */
  connect(): Promise<void>;
  /** No MCP session of it is left. */
  disconnected(): void;
  createThread(name: string, participants: readonly string[]): Promise<Thread>;
  closeThread(threadId: string, summary: string): Promise<void>;
  addParticipant(threadId: string, name: string): Promise<void>;
  removeParticipant(threadId: string, name: string): Promise<void>;
  /** `key`: the sender's own name for this message. Sent twice with it, it is one message. */
  sendMessage(threadId: string, text: string, mentions: readonly string[], key?: string): Promise<Message>;
  /** `value` is undefined when the time was up. Rejects with `unknown_message` for an unknown cursor. */
  wait(request: WaitRequest): Promise<Delivery<Message | undefined>>;
  /** The text of `coral://state`; settling it hands over everything it shows but messages that mention the reader. */
  readState(): Delivery<string>;
  /** Plugin `close_session_tool`: stops every agent and ends the session. */
  closeSession(reason: string, result?: unknown): Promise<void>;
  /**
   * Visible messages of others, oldest first: whoever drives the agent from outside reads along. Touches nothing that
   * the agent's own waits return. Rejects with `unknown_message` for an unknown cursor.
   */
  read(request: ReadRequest): Promise<readonly Message[]>;
  /** Stops its runtime and resolves when that is gone. Rejects with `agent_not_running` before its first launch, with `not_gone` while something of it is left. */
  stop(): Promise<void>;
  /** Called after every change of what `coral://state` would say to this agent; returns what ends it. */
  onStateChange(changed: () => void): () => void;
}
