/**
 * What followers of a session and of the server receive: session events, manager events and log events, each tagged
 * by `type`. Source: docs/wire.md, "Events" and "Logs".
 */
import { z } from 'zod';
import { ExitFacts, Message, NamespaceStateBase, SessionStateBase, Thread } from './session.ts';

const Time = z.iso.datetime();

export const WaitFilter = z.discriminatedUnion('type', [
  z.object({ type: z.literal('mentions'), name: z.string() }),
  z.object({ type: z.literal('thread'), threadId: z.string() }),
  z.object({ type: z.literal('from'), name: z.string() }),
]);

/** `seq` counts the facts of one session; numbers of facts that are not sent are skipped. */
const stamp = { seq: z.number().int(), timestamp: Time };
const cause = z.enum(['agents_exited', 'agent_request', 'requested', 'ttl', 'shutdown', 'server_lost']);
const stopCause = z.enum(['session_closed', 'ttl', 'requested', 'watchdog', 'shutdown', 'connect_timeout']);
const attempt = z.number().int();
// Details that are only there where all events were asked for.
const more = { attempt: attempt.optional() };

/** The event types every client knows. */
const listed = [
  z.object({ type: z.literal('runtime_started'), name: z.string(), ...more, ...stamp }),
  z.object({
    type: z.literal('runtime_stopped'),
    name: z.string(),
    ...more,
    exit: ExitFacts.optional().describe('With `all`: how it ended.'),
    ...stamp,
  }),
  z.object({ type: z.literal('agent_connected'), name: z.string(), ...stamp }),
  z.object({
    type: z.literal('agent_wait_start'),
    name: z.string(),
    filters: z.array(WaitFilter),
    ...stamp,
  }),
  z.object({ type: z.literal('agent_wait_stop'), name: z.string(), message: Message, ...stamp }),
  z.object({ type: z.literal('agent_sleep_start'), name: z.string(), ...stamp }),
  z.object({ type: z.literal('agent_sleep_stop'), name: z.string(), ...stamp }),
  z.object({ type: z.literal('thread_created'), thread: Thread, ...stamp }),
  z.object({
    type: z.literal('thread_participant_added'),
    threadId: z.string(),
    name: z.string(),
    by: z.string().optional().describe('With `all`.'),
    ...stamp,
  }),
  z.object({
    type: z.literal('thread_participant_removed'),
    threadId: z.string(),
    name: z.string(),
    by: z.string().optional().describe('With `all`.'),
    ...stamp,
  }),
  z.object({
    type: z.literal('thread_closed'),
    threadId: z.string(),
    summary: z.string(),
    by: z.string().optional().describe('With `all`.'),
    ...stamp,
  }),
  z.object({ type: z.literal('thread_message_sent'), message: Message, ...stamp }),
  z.object({
    type: z.literal('docker_container_created'),
    containerId: z.string(),
    name: z.string().optional().describe('With `all`.'),
    ...more,
    ...stamp,
  }),
  z.object({
    type: z.literal('docker_container_removed'),
    containerId: z.string(),
    name: z.string().optional().describe('With `all`.'),
    ...more,
    ...stamp,
  }),
] as const;

/** Sent only where all events were asked for. */
const additional = [
  z.object({
    type: z.literal('session_opened'),
    namespace: z.string(),
    sessionId: z.string(),
    annotations: z.record(z.string(), z.string()),
    agents: z.array(z.string()),
    ...stamp,
  }),
  z.object({
    type: z.literal('session_executed'),
    ttl: z.number().optional(),
    persistenceMode: z.looseObject({ mode: z.string() }),
    ...stamp,
  }),
  z.object({
    type: z.literal('session_stopping'),
    cause,
    by: z.string().optional(),
    reason: z.string().optional(),
    result: z.unknown().optional(),
    ...stamp,
  }),
  z.object({ type: z.literal('session_ended'), cause, heldUntil: Time.optional(), ...stamp }),
  z.object({ type: z.literal('session_closed'), ...stamp }),
  z.object({
    type: z.literal('ttl_changed'),
    ttl: z.number().optional().describe('ms from execution; absent: none.'),
    ...stamp,
  }),
  z.object({ type: z.literal('agent_added'), name: z.string(), links: z.array(z.string()), ...stamp }),
  z.object({ type: z.literal('agent_dismissed'), name: z.string(), ...stamp }),
  z.object({ type: z.literal('agent_launching'), name: z.string(), attempt, ...stamp }),
  z.object({ type: z.literal('agent_disconnected'), name: z.string(), ...stamp }),
  z.object({
    type: z.literal('agent_stopping'),
    name: z.string(),
    attempt,
    cause: stopCause,
    ...stamp,
  }),
  z.object({
    type: z.literal('agent_retry_due'),
    name: z.string(),
    attempt,
    at: Time,
    reason: z.string(),
    ...stamp,
  }),
  z.object({ type: z.literal('agent_given_up'), name: z.string(), attempt, reason: z.string(), ...stamp }),
  z.object({ type: z.literal('agent_observed'), name: z.string(), attempt, seen: z.boolean(), ...stamp }),
  z.object({
    type: z.literal('wait_ended'),
    name: z.string(),
    outcome: z.enum(['message', 'timeout', 'client_gone', 'session_ended', 'server_lost']),
    ...stamp,
  }),
  z.object({ type: z.literal('state_read'), name: z.string(), ...stamp }),
] as const;

/** One event of a session as every client may see it. */
export const ListedEvent = z.discriminatedUnion('type', listed);
/** One event of a session, those included that are sent only where all were asked for. */
export const WireEvent = z.discriminatedUnion('type', [...listed, ...additional]);

/** `seq` of manager events counts over the whole server. */
export const ManagerEvent = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('session_created'),
    initialSessionState: SessionStateBase,
    namespaceState: NamespaceStateBase,
    ...stamp,
  }),
  z.object({
    type: z.literal('session_running'),
    sessionState: SessionStateBase,
    namespaceState: NamespaceStateBase,
    ...stamp,
  }),
  z.object({
    type: z.literal('session_closing'),
    sessionState: SessionStateBase,
    namespaceState: NamespaceStateBase,
    ...stamp,
  }),
  z.object({
    type: z.literal('session_closed'),
    finalSessionState: SessionStateBase,
    namespaceState: NamespaceStateBase,
    ...stamp,
  }),
  z.object({ type: z.literal('namespace_created'), initialState: NamespaceStateBase, ...stamp }),
  z.object({ type: z.literal('namespace_closed'), finalState: NamespaceStateBase, ...stamp }),
]);

const mdcMap = z.record(z.string(), z.string());

export const LogTag = z.discriminatedUnion('type', [
  z.object({ type: z.literal('namespace'), namespace: z.string(), mdcMap }),
  z.object({ type: z.literal('session'), sessionId: z.string(), mdcMap }),
  z.object({ type: z.literal('agent'), name: z.string(), mdcMap }),
  z.object({ type: z.literal('stdout'), io: z.enum(['out', 'error']), mdcMap }),
  z.object({ type: z.literal('proxy_request'), proxyNumber: z.number().int(), mdcMap }),
  z.object({ type: z.literal('sensitive'), mdcMap }),
]);

const log = {
  text: z.string(),
  tags: z.array(LogTag),
  timestamp: Time,
  /** Only on sockets that were opened with `after`. */
  seq: z.number().int().optional(),
};
export const LogEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('info'), ...log }),
  z.object({ type: z.literal('warning'), ...log }),
  z.object({ type: z.literal('debug'), ...log }),
  z.object({ type: z.literal('trace'), ...log }),
  z.object({ type: z.literal('error'), ...log, exceptionStackTrace: z.array(z.string()) }),
]);

export type WireEvent = z.output<typeof WireEvent>;
export type ManagerEvent = z.output<typeof ManagerEvent>;
export type LogEvent = z.output<typeof LogEvent>;
export type LogTag = z.output<typeof LogTag>;
