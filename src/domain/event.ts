/**
 * Every fact there can be. A fact is written once, never changed, and everything else (state, sockets, history,
 * reports, recovery) is read off it. The envelope (stream, seq, position, time) is the journal's: `ports/journal.ts`.
 * Events of older versions are brought up to date by `upgrade` when they are read.
 */
import type { AgentPlan, CustomToolPlan } from './graph.ts';
import type { Exit, StopCause } from './exit.ts';
import type { SessionRuntimeSettings } from './wire/request.ts';

/** Version of the shapes below; written with the journal file, which refuses to be read by an older program. */
export const EVENT_VERSION = 1;

/** What an agent waits for. All given parts must hold. */
export type WaitFilter =
  | { readonly type: 'mentions'; readonly name: string }
  | { readonly type: 'thread'; readonly threadId: string }
  | { readonly type: 'from'; readonly name: string };

/** Why a session stops or stopped. */
export type SessionEndCause =
  | 'agents_exited' // the last agent ended by itself
  | 'agent_request' // an agent used the close-session tool
  | 'requested' // somebody asked over the API
  | 'ttl'
  | 'shutdown' // the server ended in good order
  | 'server_lost'; // the server ended without notice and found the session at its next start

/** The journalled part of a runtime's handle: plain JSON. */
export interface JournalledHandle {
  readonly runtime: string;
  readonly id: string;
  readonly [detail: string]: unknown;
}

/** The facts of one session, in the order of its life. `attempt` counts an agent's launches from 1. */
export type SessionEvent =
  // the session
  | {
      readonly type: 'session_opened';
      readonly namespace: string;
      readonly sessionId: string;
      readonly annotations: Readonly<Record<string, string>>;
      readonly agents: readonly AgentPlan[];
      readonly groups: readonly (readonly string[])[];
      readonly customTools: Readonly<Record<string, CustomToolPlan>>;
      /** Digest of the request, when it came with an idempotency key (the session's id is made of the key then). */
      readonly requestDigest?: string;
    }
  | { readonly type: 'session_executed'; readonly settings: SessionRuntimeSettings }
  | {
      readonly type: 'session_stopping';
      readonly cause: SessionEndCause;
      /** The agent that closed the session. */
      readonly by?: string;
      readonly reason?: string;
      readonly result?: unknown;
    }
  /** Every agent is gone: the wire's `closing`. Held until `heldUntil`. */
  | { readonly type: 'session_ended'; readonly cause: SessionEndCause; readonly heldUntil?: number }
  | { readonly type: 'session_closed' }
  /** The deadline moved: ms from execution; absent: none. */
  | { readonly type: 'ttl_changed'; readonly ttl?: number }
  // agents
  /** An agent joined a running session, with whom it shares groups. */
  | {
      readonly type: 'agent_added';
      readonly plan: AgentPlan;
      readonly groups: readonly (readonly string[])[];
    }
  /** An agent left for good: nobody is linked to it any more. */
  | { readonly type: 'agent_dismissed'; readonly agent: string }
  | {
      readonly type: 'agent_launching';
      readonly agent: string;
      readonly attempt: number;
      /** Hex SHA-256 of the attempt's secret. */
      readonly secretDigest: string;
      /** The server's port as the agent was told. */
      readonly port?: number;
    }
  | {
      readonly type: 'agent_started';
      readonly agent: string;
      readonly attempt: number;
      readonly handle: JournalledHandle;
    }
  | { readonly type: 'agent_connected'; readonly agent: string }
  | { readonly type: 'agent_disconnected'; readonly agent: string }
  | {
      readonly type: 'agent_stopping';
      readonly agent: string;
      readonly attempt: number;
      readonly cause: StopCause;
    }
  | { readonly type: 'agent_exited'; readonly agent: string; readonly attempt: number; readonly exit: Exit }
  | {
      readonly type: 'agent_retry_due';
      readonly agent: string;
      readonly attempt: number;
      readonly at: number;
      /** Restarts since it was last stable, this one included. */
      readonly restarts: number;
      readonly reason: string;
    }
  /** It would have been started again by its policy, but is not any more. */
  | {
      readonly type: 'agent_given_up';
      readonly agent: string;
      readonly attempt: number;
      readonly reason: string;
    }
  | {
      readonly type: 'agent_observed';
      readonly agent: string;
      readonly attempt: number;
      readonly seen: boolean;
    }
  | {
      readonly type: 'docker_container_created' | 'docker_container_removed';
      readonly agent: string;
      readonly attempt: number;
      readonly containerId: string;
    }
  // waits
  | {
      readonly type: 'wait_started';
      readonly agent: string;
      readonly waitId: string;
      readonly filters: readonly WaitFilter[];
    }
  | {
      readonly type: 'wait_ended';
      readonly agent: string;
      readonly waitId: string;
      readonly outcome: 'message' | 'timeout' | 'client_gone' | 'session_ended' | 'server_lost';
      /** With outcome `message`: the ordinal of what was handed over. */
      readonly ordinal?: number;
    }
  /** The agent read its state: every message up to `upTo` (a message ordinal) that does not mention it is handed over. */
  | { readonly type: 'state_read'; readonly agent: string; readonly upTo: number }
  // threads
  | {
      readonly type: 'thread_created';
      readonly threadId: string;
      readonly name: string;
      readonly creator: string;
      readonly participants: readonly string[];
    }
  | {
      readonly type: 'thread_participant_added';
      readonly threadId: string;
      readonly name: string;
      readonly by: string;
    }
  | {
      readonly type: 'thread_participant_removed';
      readonly threadId: string;
      readonly name: string;
      readonly by: string;
    }
  | {
      readonly type: 'thread_closed';
      readonly threadId: string;
      readonly summary: string;
      readonly by: string;
    }
  | {
      readonly type: 'message_sent';
      readonly threadId: string;
      readonly messageId: string;
      readonly sender: string;
      readonly text: string;
      readonly mentions: readonly string[];
      /** The sender's own name for this message: sent twice, it is one message. */
      readonly key?: string;
    };

/** The facts of the stream of all namespaces. */
export type NamespaceEvent =
  | {
      readonly type: 'namespace_created';
      readonly name: string;
      readonly deleteOnLastSessionExit: boolean;
      readonly annotations: Readonly<Record<string, string>>;
    }
  | { readonly type: 'namespace_closed'; readonly name: string };

/** What is to be delivered to one webhook of one session. Each webhook has a stream of its own. */
export type OutboxEvent =
  | {
      readonly type: 'outbox_opened';
      readonly hook: 'session_end' | 'events';
      readonly sessionId: string;
      readonly namespace: Pick<
        Extract<NamespaceEvent, { type: 'namespace_created' }>,
        'name' | 'deleteOnLastSessionExit' | 'annotations'
      >;
      readonly url: string;
      /** With hook `session_end`: the report holds the extended state. */
      readonly extended?: boolean;
      /** With hook `events`: only these types; absent: all that every client may see. */
      readonly types?: readonly string[];
    }
  /** The receiver took what the fact with this seq gave rise to. */
  | { readonly type: 'delivery_done'; readonly seq: number }
  /** Given up: listed until somebody has it sent again. */
  | { readonly type: 'delivery_dead'; readonly seq: number; readonly tries: number; readonly reason: string }
  | { readonly type: 'delivery_replayed'; readonly seq: number }
  /** Nothing more is owed. */
  | { readonly type: 'outbox_finished' };

/** Whatever a journal holds. */
export type JournalEvent = SessionEvent | NamespaceEvent | OutboxEvent;

/** The stream of one session. */
export function sessionStream(sessionId: string): string {
  return `session/${sessionId}`;
}

export const NAMESPACES_STREAM = 'namespaces';

/** The stream of one webhook of one session. */
export function outboxStream(sessionId: string, hook: 'session_end' | 'events'): string {
  return `outbox/${sessionId}/${hook}`;
}

/** Brings an event of an older version up to date. Version 1 is the first: nothing to do yet. */
export function upgrade(event: JournalEvent, _version: number): JournalEvent {
  return event;
}
