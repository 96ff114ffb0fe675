/**
 * Facts of the journal as followers see them: one event for one fact, never two, so that a `seq` is a place to resume
 * from. What a fact holds that outsiders need not know (digests of secrets, handles, plans, where reports are sent) is
 * left out. Source: docs/wire.md, "Events" and "Logs".
 */
import type { JournalEvent, SessionEvent } from './event.ts';
import type { NamespaceState } from './namespace.ts';
import type { SessionKey, SessionState } from './state.ts';
import { exitFacts, isoTime, messageView, namespaceBase, threadView } from './view.ts';
import type { LogEvent, LogTag, ManagerEvent, WireEvent } from './wire/event.ts';
import type { SessionStateBase } from './wire/session.ts';

/** One record of a session's journal, as much of it as is needed here. */
export interface RecordedFact {
  readonly seq: number;
  /** Wall-clock ms. */
  readonly time: number;
  readonly event: JournalEvent;
}

/**
 * The event a follower sees, or undefined where it sees none. `state` is the session at this fact or later (a message
 * that was handed over is looked up in it). With `all`, every fact is seen, and those that are always seen say more.
 */
export function wireEvent(record: RecordedFact, state: SessionState, all = false): WireEvent | undefined {
  const event = record.event;
  const stamp = { seq: record.seq, timestamp: isoTime(record.time) };
  switch (event.type) {
    case 'agent_started':
      return {
        type: 'runtime_started',
        name: event.agent,
        ...(all && { attempt: event.attempt }),
        ...stamp,
      };
    case 'agent_exited':
      return {
        type: 'runtime_stopped',
        name: event.agent,
        ...(all && { attempt: event.attempt, exit: exitFacts(event.exit, Math.max(0, event.attempt - 1)) }),
        ...stamp,
      };
    case 'agent_connected':
      return { type: 'agent_connected', name: event.agent, ...stamp };
    case 'wait_started':
      return {
        type: 'agent_wait_start',
        name: event.agent,
        filters: event.filters.map((f) => ({ ...f })),
        ...stamp,
      };
    case 'wait_ended': {
      const message = event.ordinal === undefined ? undefined : state.messages[event.ordinal - 1];
      if (message !== undefined) {
        return { type: 'agent_wait_stop', name: event.agent, message: messageView(message), ...stamp };
      }
      return all ? { type: 'wait_ended', name: event.agent, outcome: event.outcome, ...stamp } : undefined;
    }
    case 'thread_created':
      return {
        type: 'thread_created',
        thread: threadView({
          id: event.threadId,
          name: event.name,
          creator: event.creator,
          createdAt: record.time,
          participants: new Set(event.participants),
          messages: [],
        }),
        ...stamp,
      };
    case 'thread_participant_added':
    case 'thread_participant_removed':
      return {
        type: event.type,
        threadId: event.threadId,
        name: event.name,
        ...(all && { by: event.by }),
        ...stamp,
      };
    case 'thread_closed':
      return {
        type: 'thread_closed',
        threadId: event.threadId,
        summary: event.summary,
        ...(all && { by: event.by }),
        ...stamp,
      };
    case 'message_sent':
      return {
        type: 'thread_message_sent',
        message: messageView({ ...event, id: event.messageId, time: record.time }),
        ...stamp,
      };
    case 'docker_container_created':
    case 'docker_container_removed':
      return {
        type: event.type,
        containerId: event.containerId,
        ...(all && { name: event.agent, attempt: event.attempt }),
        ...stamp,
      };
    case 'session_opened':
    case 'session_executed':
    case 'session_stopping':
    case 'session_ended':
    case 'session_closed':
    case 'ttl_changed':
    case 'agent_added':
    case 'agent_dismissed':
    case 'agent_launching':
    case 'agent_disconnected':
    case 'agent_stopping':
    case 'agent_retry_due':
    case 'agent_given_up':
    case 'agent_observed':
    case 'state_read':
      return all ? additionalEvent(event, stamp) : undefined;
    case 'namespace_created':
    case 'namespace_closed':
    case 'outbox_opened':
    case 'delivery_done':
    case 'delivery_dead':
    case 'delivery_replayed':
    case 'outbox_finished':
      return undefined;
  }
}

type AdditionalFact = Extract<
  SessionEvent,
  {
    type:
      | 'session_opened'
      | 'session_executed'
      | 'session_stopping'
      | 'session_ended'
      | 'session_closed'
      | 'ttl_changed'
      | 'agent_added'
      | 'agent_dismissed'
      | 'agent_launching'
      | 'agent_disconnected'
      | 'agent_stopping'
      | 'agent_retry_due'
      | 'agent_given_up'
      | 'agent_observed'
      | 'state_read';
  }
>;

function additionalEvent(event: AdditionalFact, stamp: { seq: number; timestamp: string }): WireEvent {
  switch (event.type) {
    case 'session_opened':
      return {
        type: 'session_opened',
        namespace: event.namespace,
        sessionId: event.sessionId,
        annotations: { ...event.annotations },
        agents: event.agents.map((agent) => agent.name),
        ...stamp,
      };
    case 'session_executed':
      return {
        type: 'session_executed',
        ...(event.settings.ttl != null && { ttl: event.settings.ttl }),
        persistenceMode: event.settings.persistenceMode,
        ...stamp,
      };
    case 'session_stopping':
      return {
        type: 'session_stopping',
        cause: event.cause,
        ...(event.by !== undefined && { by: event.by }),
        ...(event.reason !== undefined && { reason: event.reason }),
        ...(event.result != null && { result: event.result }),
        ...stamp,
      };
    case 'session_ended':
      return {
        type: 'session_ended',
        cause: event.cause,
        ...(event.heldUntil !== undefined && { heldUntil: isoTime(event.heldUntil) }),
        ...stamp,
      };
    case 'session_closed':
      return { type: 'session_closed', ...stamp };
    case 'ttl_changed':
      return { type: 'ttl_changed', ...(event.ttl !== undefined && { ttl: event.ttl }), ...stamp };
    case 'agent_added':
      return { type: 'agent_added', name: event.plan.name, links: [...event.plan.links], ...stamp };
    case 'agent_dismissed':
      return { type: 'agent_dismissed', name: event.agent, ...stamp };
    case 'agent_launching':
      return { type: 'agent_launching', name: event.agent, attempt: event.attempt, ...stamp };
    case 'agent_disconnected':
      return { type: 'agent_disconnected', name: event.agent, ...stamp };
    case 'agent_stopping':
      return {
        type: 'agent_stopping',
        name: event.agent,
        attempt: event.attempt,
        cause: event.cause,
        ...stamp,
      };
    case 'agent_retry_due':
      return {
        type: 'agent_retry_due',
        name: event.agent,
        attempt: event.attempt,
        at: isoTime(event.at),
        reason: event.reason,
        ...stamp,
      };
    case 'agent_given_up':
      return {
        type: 'agent_given_up',
        name: event.agent,
        attempt: event.attempt,
        reason: event.reason,
        ...stamp,
      };
    case 'agent_observed':
      return {
        type: 'agent_observed',
        name: event.agent,
        attempt: event.attempt,
        seen: event.seen,
        ...stamp,
      };
    case 'state_read':
      return { type: 'state_read', name: event.agent, ...stamp };
  }
}

/** A record with its place in the whole journal, which is the `seq` of manager events. */
export interface PlacedFact extends RecordedFact {
  readonly position: number;
}

/** What a session was when one of its manager facts happened, beyond the fact itself. */
export interface ManagedSession extends SessionKey {
  readonly createdAt: number;
  readonly annotations: Readonly<Record<string, string>>;
  /** Wall-clock ms; absent for a session that was never executed. */
  readonly executedAt?: number;
  /** When its last agent was gone. */
  readonly endedAt?: number;
}

type ManagedNamespace = Omit<NamespaceState, 'createdAt'>;

/** The manager event of a session's fact, or undefined where there is none. */
export function sessionManagerEvent(
  record: PlacedFact,
  session: ManagedSession,
  namespace: ManagedNamespace,
): ManagerEvent | undefined {
  const stamp = { seq: record.position, timestamp: isoTime(record.time) };
  const namespaceState = namespaceBase(namespace);
  switch (record.event.type) {
    case 'session_opened':
      return {
        type: 'session_created',
        initialSessionState: baseAs(session, { type: 'pending_execution' }),
        namespaceState,
        ...stamp,
      };
    case 'session_executed':
      return {
        type: 'session_running',
        sessionState: baseAs(session, { type: 'executed', executionTime: stamp.timestamp }),
        namespaceState,
        ...stamp,
      };
    case 'session_ended':
      return {
        type: 'session_closing',
        sessionState: baseAs(session, closing(session, record.time)),
        namespaceState,
        ...stamp,
      };
    case 'session_closed':
      // `closed` is a status of the archive alone; clients of this stream know the three live ones.
      return {
        type: 'session_closed',
        finalSessionState: baseAs(
          session,
          session.executedAt === undefined
            ? { type: 'pending_execution' }
            : closing(session, session.endedAt ?? record.time),
        ),
        namespaceState,
        ...stamp,
      };
    default:
      return undefined;
  }
}

/** The manager event of a namespace's fact; `before` is the namespace that a `namespace_closed` ended. */
export function namespaceManagerEvent(
  record: PlacedFact,
  before: ManagedNamespace | undefined,
): ManagerEvent | undefined {
  const stamp = { seq: record.position, timestamp: isoTime(record.time) };
  const event = record.event;
  if (event.type === 'namespace_created') {
    return { type: 'namespace_created', initialState: namespaceBase(event), ...stamp };
  }
  if (event.type === 'namespace_closed' && before !== undefined) {
    return { type: 'namespace_closed', finalState: namespaceBase(before), ...stamp };
  }
  return undefined;
}

function closing(session: ManagedSession, at: number): SessionStateBase['status'] {
  return {
    type: 'closing',
    executionTime: isoTime(session.executedAt ?? at),
    closingTime: isoTime(at),
  };
}

function baseAs(session: ManagedSession, status: SessionStateBase['status']): SessionStateBase {
  return {
    id: session.sessionId,
    timestamp: isoTime(session.createdAt),
    namespace: session.namespace,
    status,
    annotations: { ...session.annotations },
  };
}

/** A line an agent printed, as much of it as is needed here. */
export interface PrintedLine {
  /** Wall-clock ms. */
  readonly time: number;
  readonly agent: string;
  readonly io: 'out' | 'error';
  readonly text: string;
  readonly sensitive?: true;
}

/** A line an agent printed as a log event: stdout is `info`, stderr `warning`. */
export function lineEvent(key: SessionKey, line: PrintedLine): LogEvent {
  const tags: LogTag[] = [
    { type: 'namespace', namespace: key.namespace, mdcMap: { ns: key.namespace } },
    { type: 'session', sessionId: key.sessionId, mdcMap: { sid: key.sessionId } },
    { type: 'agent', name: line.agent, mdcMap: { agent: line.agent } },
    { type: 'stdout', io: line.io, mdcMap: { io: line.io } },
  ];
  if (line.sensitive === true) tags.push({ type: 'sensitive', mdcMap: {} });
  return {
    type: line.io === 'out' ? 'info' : 'warning',
    text: line.text,
    tags,
    timestamp: isoTime(line.time),
  };
}
