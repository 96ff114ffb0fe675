/**
 * What clients see of namespaces, sessions, agents, threads and messages. Times are ISO-8601 UTC; fields that are
 * null are left out; fields with defaults are always there. Source: docs/wire.md, "Sessions" and "Threads".
 */
import { z } from 'zod';
import { Annotations, RegistryIdentifier } from './request.ts';

const Time = z.iso.datetime();

export const SessionIdentifier = z.object({ sessionId: z.string(), namespace: z.string() });

export const SessionStatus = z.discriminatedUnion('type', [
  z.object({ type: z.literal('pending_execution') }),
  z.object({ type: z.literal('executed'), executionTime: Time }),
  z.object({ type: z.literal('closing'), executionTime: Time, closingTime: Time }),
  z
    .object({
      type: z.literal('closed'),
      executionTime: Time.optional(),
      closingTime: Time.optional(),
      closedTime: Time,
    })
    .describe('Archive only: a closed session is gone from the live API.'),
  z
    .object({ type: z.literal('quarantined'), message: z.string() })
    .describe('Archive only: records of it are damaged; it is named and can be closed, and that is all.'),
]);

export const SessionStateBase = z.object({
  id: z.string(),
  timestamp: Time,
  namespace: z.string(),
  status: SessionStatus,
  annotations: Annotations,
});

export const CommunicationStatus = z.discriminatedUnion('type', [
  z.object({ type: z.literal('thinking') }),
  z.object({ type: z.literal('waiting_message') }),
  z.object({ type: z.literal('sleeping') }),
]);

export const ConnectionStatus = z.discriminatedUnion('type', [
  z.object({ type: z.literal('not_connected') }),
  z.object({ type: z.literal('connected'), communicationStatus: CommunicationStatus }),
]);

export const AgentStatus = z.discriminatedUnion('type', [
  z.object({ type: z.literal('waiting') }),
  z.object({
    type: z.literal('running'),
    connectionStatus: ConnectionStatus,
    startTime: Time,
    observed: z.literal('unknown').optional().describe('Its runtime cannot be seen for now.'),
    unlimited: z
      .array(z.string())
      .optional()
      .describe('Limits that do not hold for it, because this machine cannot keep them: a sentence each.'),
  }),
  z.object({ type: z.literal('stopped'), startTime: Time.optional() }),
]);

export const ExitFacts = z.object({
  reason: z.enum([
    'completed',
    'failed',
    'stopped',
    'killed',
    'oom_killed',
    'launch_failed',
    'connect_timeout',
    'lost',
  ]),
  cause: z.enum(['session_closed', 'ttl', 'requested', 'watchdog', 'shutdown']).optional(),
  detail: z.string(),
  exitCode: z.number().int().optional(),
  signal: z.string().optional(),
  lastLines: z.array(z.string()).optional(),
  time: Time,
  restarts: z.number().int(),
});

export const TokenUsage = z.object({ inputTokens: z.number().int(), outputTokens: z.number().int() });

export const AgentState = z.object({
  name: z.string(),
  registryAgentIdentifier: RegistryIdentifier,
  status: AgentStatus,
  description: z.string().optional(),
  links: z.array(z.string()),
  annotations: Annotations,
  tokensByModel: z.record(z.string(), TokenUsage),
  exit: ExitFacts.optional(),
});

export const Message = z.object({
  id: z.string(),
  threadId: z.string(),
  text: z.string(),
  senderName: z.string(),
  mentionNames: z.array(z.string()),
  timestamp: Time,
});

export const ThreadState = z.discriminatedUnion('state', [
  z.object({ state: z.literal('open') }),
  z.object({ state: z.literal('closed'), summary: z.string(), timestamp: Time }),
]);

export const Thread = z.object({
  id: z.string(),
  name: z.string(),
  creatorName: z.string(),
  participants: z.array(z.string()),
  messages: z.array(Message),
  earlierMessages: z.number().int().optional().describe('How many older messages were left out on request.'),
  state: ThreadState,
  timestamp: Time,
});

export const SessionStateExtended = z.object({
  base: SessionStateBase,
  agents: z.array(AgentState),
  threads: z.array(Thread),
  result: z.unknown().optional().describe('The outcome an agent gave when it closed the session.'),
});

export const NamespaceStateBase = z.object({
  name: z.string(),
  deleteOnLastSessionExit: z.boolean(),
  annotations: Annotations,
});
export const NamespaceStateExtended = z.object({
  base: NamespaceStateBase,
  sessions: z.array(SessionStateBase),
});

export const ErrorBody = z.object({
  message: z.string(),
  code: z.string(),
  issues: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** Names a session. */
export type SessionIdentifier = z.output<typeof SessionIdentifier>;
/** Where a session is in its life. */
export type SessionStatus = z.output<typeof SessionStatus>;
/** A session in brief. */
export type SessionStateBase = z.output<typeof SessionStateBase>;
/** A session with its agents, threads and result. */
export type SessionStateExtended = z.output<typeof SessionStateExtended>;
/** One agent of a session. */
export type AgentState = z.output<typeof AgentState>;
/** How an agent ended. */
export type ExitFacts = z.output<typeof ExitFacts>;
/** One message of a thread. */
export type Message = z.output<typeof Message>;
/** One thread with its messages. */
export type Thread = z.output<typeof Thread>;
/** A namespace. */
export type NamespaceStateBase = z.output<typeof NamespaceStateBase>;
/** A namespace with its live sessions. */
export type NamespaceStateExtended = z.output<typeof NamespaceStateExtended>;
/** What every failed call is answered with. */
export type ErrorBody = z.output<typeof ErrorBody>;
