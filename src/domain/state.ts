/**
 * The fold: what a session's facts add up to. `evolve` owns the state and mutates it; everybody else holds it as
 * `SessionState`, whose every field is read-only. The fold refuses nothing: rules stand in `decide.ts`.
 */
import type { SessionEvent, WaitFilter } from './event.ts';
import type { AgentPlan } from './graph.ts';
import { Inbox, type MessageRecord } from './inbox.ts';
import type { AgentRun, AgentState, Executed, SessionState, ThreadState } from './session.ts';

export type * from './session.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type OwnedAgent = Mutable<Omit<AgentState, 'waits' | 'runs'>> & {
  waits: Map<string, readonly WaitFilter[]>;
  runs: AgentRun[];
};
type OwnedThread = Mutable<Omit<ThreadState, 'participants' | 'messages'>> & {
  participants: Set<string>;
  messages: MessageRecord[];
};
type OwnedSession = Mutable<Omit<SessionState, 'agents' | 'threads' | 'messages' | 'keys'>> & {
  keys: Map<string, number>;
  agents: Map<string, OwnedAgent>;
  threads: Map<string, OwnedThread>;
  messages: MessageRecord[];
};

/** Exits kept of one agent. */
const EXITS_KEPT = 5;

// Shared by all agents that wait for nothing; replaced before the first write.
const NO_WAITS: Map<string, readonly WaitFilter[]> = new Map();
// Likewise for sessions without idempotency keys and agents that never ended.
const NO_KEYS: Map<string, number> = new Map();
const NO_EXITS: AgentState['exits'] = [];

interface Recorded {
  readonly seq: number;
  readonly time: number;
  readonly event: unknown;
}

/** Folds one record in and returns the state (a new one for the first record, else the same object, changed). */
export function evolve(state: SessionState | undefined, record: Recorded): SessionState {
  const event = record.event as SessionEvent;
  const next =
    event.type === 'session_opened' ? opened(event, record.time) : (state as OwnedSession | undefined);
  if (next === undefined) throw new Error(`a session's first fact is session_opened, not ${event.type}`);
  apply(next, event, record.time);
  next.seq = record.seq;
  next.time = record.time;
  return next;
}

/** Folds a whole story. */
export function foldSession(records: Iterable<Recorded>): SessionState | undefined {
  let state: SessionState | undefined;
  for (const record of records) state = evolve(state, record);
  return state;
}

function opened(event: Extract<SessionEvent, { type: 'session_opened' }>, time: number): OwnedSession {
  const agents = new Map<string, OwnedAgent>();
  for (const plan of event.agents) agents.set(plan.name, newcomer(plan));
  return {
    namespace: event.namespace,
    sessionId: event.sessionId,
    createdAt: time,
    annotations: event.annotations,
    phase: { type: 'pending' },
    agents,
    groups: event.groups,
    customTools: event.customTools,
    threads: new Map(),
    messages: [],
    keys: NO_KEYS,
    ...(event.requestDigest !== undefined && { requestDigest: event.requestDigest }),
    hasResult: false,
    seq: 0,
    time,
  };
}

function newcomer(plan: AgentPlan): OwnedAgent {
  return {
    plan,
    phase: { type: 'waiting' },
    attempts: 0,
    restarts: 0,
    connected: false,
    everConnected: false,
    waits: NO_WAITS,
    inbox: new Inbox(plan.name),
    runs: [],
    exits: NO_EXITS,
    dismissed: false,
  };
}

/** Gives (or takes) an agent the link to another, in the order in which they joined. */
function relink(state: OwnedSession, agent: OwnedAgent, other: string, linked: boolean): void {
  const links = new Set(agent.plan.links);
  if (linked) links.add(other);
  else links.delete(other);
  agent.plan = { ...agent.plan, links: [...state.agents.keys()].filter((name) => links.has(name)) };
}

function apply(state: OwnedSession, event: SessionEvent, time: number): void {
  switch (event.type) {
    case 'session_opened':
      return;
    case 'session_executed':
      state.phase = { type: 'running', executedAt: time, settings: event.settings };
      return;
    case 'session_stopping':
      state.phase = { ...executed(state), type: 'stopping', since: time, cause: event.cause };
      if ('result' in event) {
        state.result = event.result;
        state.hasResult = true;
      }
      return;
    case 'session_ended':
      state.phase = {
        ...executed(state),
        type: 'ended',
        endedAt: time,
        cause: event.cause,
        ...(event.heldUntil !== undefined && { heldUntil: event.heldUntil }),
      };
      return;
    case 'session_closed': {
      const before = state.phase;
      state.phase = {
        type: 'closed',
        closedAt: time,
        ...(before.type !== 'pending' && before.type !== 'closed' && executed(state)),
        ...(before.type === 'ended' && { endedAt: before.endedAt, cause: before.cause }),
      };
      return;
    }
    case 'ttl_changed':
      if (state.phase.type === 'running') {
        state.phase = { ...state.phase, settings: { ...state.phase.settings, ttl: event.ttl } };
      }
      return;
    case 'agent_added':
      state.agents.set(event.plan.name, newcomer(event.plan));
      state.groups = [...state.groups, ...event.groups];
      for (const name of event.plan.links) {
        const other = state.agents.get(name);
        if (other !== undefined) relink(state, other, event.plan.name, true);
      }
      return;
    case 'agent_launching':
    case 'agent_started':
    case 'agent_connected':
    case 'agent_disconnected':
    case 'agent_stopping':
    case 'agent_exited':
    case 'agent_retry_due':
    case 'agent_observed':
    case 'agent_dismissed':
    case 'wait_started':
    case 'wait_ended':
    case 'state_read': {
      const agent = state.agents.get(event.agent);
      if (agent !== undefined) applyToAgent(state, agent, event, time);
      return;
    }
    case 'agent_given_up': // its exit said all there is to know
    case 'docker_container_created':
    case 'docker_container_removed':
      return;
    case 'thread_created':
      state.threads.set(event.threadId, {
        id: event.threadId,
        name: event.name,
        creator: event.creator,
        createdAt: time,
        participants: new Set(event.participants),
        messages: [],
      });
      return;
    case 'thread_participant_added':
    case 'thread_participant_removed':
    case 'thread_closed':
    case 'message_sent': {
      const thread = state.threads.get(event.threadId);
      if (thread !== undefined) applyToThread(state, thread, event, time);
      return;
    }
  }
}

function executed(state: OwnedSession): Executed {
  const phase = state.phase;
  if (phase.type === 'pending' || phase.executedAt === undefined || phase.settings === undefined) {
    throw new Error(`session ${state.sessionId} was never executed`);
  }
  return { executedAt: phase.executedAt, settings: phase.settings };
}

type AgentEvent = Exclude<
  Extract<SessionEvent, { readonly agent: string }>,
  { readonly containerId: string } | { readonly type: 'agent_given_up' }
>;

function applyToAgent(state: OwnedSession, agent: OwnedAgent, event: AgentEvent, time: number): void {
  switch (event.type) {
    case 'agent_launching':
      agent.phase = { type: 'launching', attempt: event.attempt, since: time };
      agent.attempts = event.attempt;
      agent.secretDigest = event.secretDigest;
      if (event.port !== undefined) agent.port = event.port;
      agent.connected = false;
      agent.everConnected = false;
      return;
    case 'agent_started':
      agent.phase =
        agent.phase.type === 'stopping'
          ? { ...agent.phase, handle: event.handle, startedAt: time }
          : { type: 'running', attempt: event.attempt, startedAt: time, handle: event.handle, seen: true };
      agent.runs.push({ startedAt: time });
      return;
    case 'agent_connected':
      agent.connected = true;
      agent.everConnected = true;
      return;
    case 'agent_disconnected':
      agent.connected = false;
      return;
    case 'agent_stopping': {
      const before = agent.phase;
      agent.phase = {
        type: 'stopping',
        attempt: event.attempt,
        since: time,
        cause: event.cause,
        seen: before.type === 'running' ? before.seen : true,
        ...(before.type === 'running' && { startedAt: before.startedAt, handle: before.handle }),
      };
      return;
    }
    case 'agent_exited': {
      const before = agent.phase;
      const startedAt =
        before.type === 'running' || before.type === 'stopping' ? before.startedAt : undefined;
      agent.phase = { type: 'stopped', exit: event.exit, ...(startedAt !== undefined && { startedAt }) };
      const run = agent.runs[agent.runs.length - 1];
      if (startedAt !== undefined && run !== undefined && run.endedAt === undefined) {
        agent.runs[agent.runs.length - 1] = { ...run, endedAt: event.exit.time };
      }
      agent.exits = [...agent.exits, { ...event.exit, attempt: event.attempt }].slice(-EXITS_KEPT);
      agent.connected = false;
      agent.waits = NO_WAITS;
      delete agent.secretDigest;
      return;
    }
    case 'agent_retry_due':
      agent.phase = { type: 'waiting', retryAt: event.at, reason: event.reason };
      agent.restarts = event.restarts;
      return;
    case 'agent_observed':
      if (agent.phase.type === 'running' || agent.phase.type === 'stopping') {
        agent.phase = { ...agent.phase, seen: event.seen };
      }
      return;
    case 'agent_dismissed':
      agent.dismissed = true;
      for (const name of agent.plan.links) {
        const other = state.agents.get(name);
        if (other !== undefined) relink(state, other, event.agent, false);
      }
      agent.plan = { ...agent.plan, links: [] };
      return;
    case 'wait_started':
      if (agent.waits === NO_WAITS) agent.waits = new Map();
      agent.waits.set(event.waitId, event.filters);
      return;
    case 'wait_ended': {
      agent.waits.delete(event.waitId);
      if (agent.waits.size === 0) agent.waits = NO_WAITS;
      const message = event.ordinal === undefined ? undefined : state.messages[event.ordinal - 1];
      if (message !== undefined) agent.inbox.handedOver(message);
      return;
    }
    case 'state_read':
      agent.inbox.handedOverUpTo(event.upTo);
      return;
  }
}

type ThreadEvent = Extract<
  SessionEvent,
  { type: 'thread_participant_added' | 'thread_participant_removed' | 'thread_closed' | 'message_sent' }
>;

function applyToThread(state: OwnedSession, thread: OwnedThread, event: ThreadEvent, time: number): void {
  switch (event.type) {
    case 'thread_participant_added':
      thread.participants.add(event.name);
      state.agents.get(event.name)?.inbox.join(thread.id, thread.messages);
      return;
    case 'thread_participant_removed':
      thread.participants.delete(event.name);
      state.agents.get(event.name)?.inbox.park(thread.id, state.messages.length);
      return;
    case 'thread_closed':
      thread.closed = { summary: event.summary, at: time };
      thread.messages = [];
      return;
    case 'message_sent': {
      const message: MessageRecord = {
        id: event.messageId,
        ordinal: state.messages.length + 1,
        threadId: thread.id,
        sender: event.sender,
        text: event.text,
        mentions: event.mentions,
        time,
      };
      state.messages.push(message);
      thread.messages.push(message);
      if (event.key !== undefined) {
        if (state.keys === NO_KEYS) state.keys = new Map();
        state.keys.set(`${event.sender}/${event.key}`, message.ordinal);
      }
      for (const name of thread.participants) state.agents.get(name)?.inbox.add(message);
      return;
    }
  }
}
