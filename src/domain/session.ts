/**
 * A session as its facts add up to it (`state.ts`): what everybody but the fold holds, every field of it read-only.
 */
import type { JournalledHandle, SessionEndCause, WaitFilter } from './event.ts';
import type { Exit, StopCause } from './exit.ts';
import type { AgentPlan, CustomToolPlan } from './graph.ts';
import type { Inbox, MessageRecord } from './inbox.ts';
import type { SessionRuntimeSettings } from './wire/request.ts';

/** How a session is named. */
export interface SessionKey {
  readonly namespace: string;
  readonly sessionId: string;
}

/** A session's phases, in order. Times are wall-clock ms. */
export type SessionPhase =
  | { readonly type: 'pending' }
  | ({ readonly type: 'running' } & Executed)
  | ({ readonly type: 'stopping'; readonly since: number; readonly cause: SessionEndCause } & Executed)
  | ({
      readonly type: 'ended';
      readonly endedAt: number;
      readonly cause: SessionEndCause;
      readonly heldUntil?: number;
    } & Executed)
  | ({
      readonly type: 'closed';
      readonly closedAt: number;
      readonly endedAt?: number;
      readonly cause?: SessionEndCause;
    } & Partial<Executed>);

/** What is known of every session that was ever executed. */
export interface Executed {
  readonly executedAt: number;
  readonly settings: SessionRuntimeSettings;
}

/** An agent's phases. Times are wall-clock ms; `attempt` counts its launches from 1. */
export type AgentPhase =
  | { readonly type: 'waiting'; readonly retryAt?: number; readonly reason?: string }
  | { readonly type: 'launching'; readonly attempt: number; readonly since: number }
  | {
      readonly type: 'running';
      readonly attempt: number;
      readonly startedAt: number;
      readonly handle: JournalledHandle;
      /** False while its runtime cannot be seen. */
      readonly seen: boolean;
    }
  | {
      readonly type: 'stopping';
      readonly attempt: number;
      readonly since: number;
      readonly cause: StopCause;
      readonly startedAt?: number;
      /** Absent when the stop came before the launch had one. */
      readonly handle?: JournalledHandle;
      readonly seen: boolean;
    }
  | { readonly type: 'stopped'; readonly exit?: Exit; readonly startedAt?: number };

/** One attempt that ran, for the end report. */
export interface AgentRun {
  readonly startedAt: number;
  readonly endedAt?: number;
}

/** One agent of a session. */
export interface AgentState {
  readonly plan: AgentPlan;
  readonly phase: AgentPhase;
  /** Launches begun so far; the current attempt's number. */
  readonly attempts: number;
  /** Restarts since it was last stable. */
  readonly restarts: number;
  /** Hex SHA-256 of the current attempt's secret, while that is valid. */
  readonly secretDigest?: string;
  /** The server's port as the current attempt was told. */
  readonly port?: number;
  readonly connected: boolean;
  /** It connected at least once in this attempt. */
  readonly everConnected: boolean;
  readonly waits: ReadonlyMap<string, readonly WaitFilter[]>;
  readonly inbox: Inbox;
  readonly runs: readonly AgentRun[];
  /** How its latest attempts ended, newest last, at most five. */
  readonly exits: readonly (Exit & { readonly attempt: number })[];
  /** It left the session for good. */
  readonly dismissed: boolean;
}

/** One thread of a session. */
export interface ThreadState {
  readonly id: string;
  readonly name: string;
  readonly creator: string;
  readonly createdAt: number;
  /** In the order they joined. */
  readonly participants: ReadonlySet<string>;
  /** Empty once closed. */
  readonly messages: readonly MessageRecord[];
  readonly closed?: { readonly summary: string; readonly at: number };
}

/** A session as its facts add up to it. */
export interface SessionState extends SessionKey {
  readonly createdAt: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly phase: SessionPhase;
  readonly agents: ReadonlyMap<string, AgentState>;
  readonly groups: readonly (readonly string[])[];
  readonly customTools: Readonly<Record<string, CustomToolPlan>>;
  readonly threads: ReadonlyMap<string, ThreadState>;
  /** All messages of the session; a message's ordinal is its place here, counted from 1. */
  readonly messages: readonly MessageRecord[];
  /** `SENDER/KEY` → ordinal, for messages that were sent with an idempotency key. */
  readonly keys: ReadonlyMap<string, number>;
  /** Digest of the request that opened it, when that came with an idempotency key. */
  readonly requestDigest?: string;
  readonly result?: unknown;
  readonly hasResult: boolean;
  /** Seq of the last fact folded in. */
  readonly seq: number;
  /** Time of the last fact folded in. */
  readonly time: number;
}
