/**
 * What outsiders see of a session: pure translations from the fold's state to the wire types. Fields that are null
 * are left out, fields with defaults are always there, times are ISO-8601 UTC. Source: docs/wire.md, "Sessions".
 */
import type { JournalledHandle } from './event.ts';
import type { MessageRecord } from './inbox.ts';
import type { NamespaceState } from './namespace.ts';
import type { AgentState, SessionState, ThreadState } from './state.ts';
import type {
  AgentState as AgentView,
  ExitFacts,
  Message,
  NamespaceStateBase,
  SessionStateBase,
  SessionStateExtended,
  SessionStatus,
  Thread,
} from './wire/session.ts';

/** Wall-clock ms as the wire writes times. */
export function isoTime(time: number): string {
  // What happens in one millisecond is written many times: facts, events, answers.
  if (time !== lastTime) {
    lastText = new Date(time).toISOString();
    lastTime = time;
  }
  return lastText;
}

let lastTime = NaN;
let lastText = '';

/** How much of a session is shown. */
export interface ExtendedOptions {
  /** At most this many of the latest messages of each thread; the rest is counted in `earlierMessages`. Default: all. */
  readonly messages?: number;
  /** With the messages of closed threads, which the live view leaves out. For the archive. */
  readonly whole?: boolean;
}

/** `SessionStateBase`. */
export function sessionBase(state: SessionState): SessionStateBase {
  return {
    id: state.sessionId,
    timestamp: isoTime(state.createdAt),
    namespace: state.namespace,
    status: sessionStatus(state),
    annotations: { ...state.annotations },
  };
}

/**
 * The session's status: a session whose agents are being stopped is still `executed`; `closing` begins when the last
 * one is gone; `closed` is only ever seen in the archive.
 */
export function sessionStatus({ phase }: SessionState): SessionStatus {
  switch (phase.type) {
    case 'pending':
      return { type: 'pending_execution' };
    case 'running':
    case 'stopping':
      return { type: 'executed', executionTime: isoTime(phase.executedAt) };
    case 'ended':
      return {
        type: 'closing',
        executionTime: isoTime(phase.executedAt),
        closingTime: isoTime(phase.endedAt),
      };
    case 'closed':
      return {
        type: 'closed',
        ...(phase.executedAt !== undefined && { executionTime: isoTime(phase.executedAt) }),
        ...(phase.endedAt !== undefined && { closingTime: isoTime(phase.endedAt) }),
        closedTime: isoTime(phase.closedAt),
      };
  }
}

/** `SessionStateExtended`. */
export function sessionExtended(state: SessionState, options: ExtendedOptions = {}): SessionStateExtended {
  return {
    base: sessionBase(state),
    agents: [...state.agents.values()].map(agentView),
    threads: threadViews(state, options),
    ...(state.hasResult && state.result != null && { result: state.result }),
  };
}

function threadViews(state: SessionState, options: ExtendedOptions): Thread[] {
  const kept = options.whole === true ? messagesByThread(state) : undefined;
  return [...state.threads.values()].map((thread) =>
    threadView(thread, {
      ...(options.messages !== undefined && { limit: options.messages }),
      ...(kept !== undefined && { messages: kept.get(thread.id) ?? [] }),
    }),
  );
}

function messagesByThread(state: SessionState): Map<string, MessageRecord[]> {
  const threads = new Map<string, MessageRecord[]>();
  for (const message of state.messages) {
    const messages = threads.get(message.threadId);
    if (messages === undefined) threads.set(message.threadId, [message]);
    else messages.push(message);
  }
  return threads;
}

/** One agent of a session. */
export function agentView(agent: AgentState): AgentView {
  const exit = agent.phase.type === 'stopped' ? agent.phase.exit : undefined;
  return {
    name: agent.plan.name,
    registryAgentIdentifier: agent.plan.id,
    status: agentStatus(agent),
    ...(agent.plan.description !== undefined && { description: agent.plan.description }),
    links: [...agent.plan.links],
    annotations: { ...agent.plan.annotations },
    tokensByModel: {},
    ...(exit !== undefined && { exit: exitFacts(exit, Math.max(0, agent.attempts - 1)) }),
  };
}

/**
 * `waiting` before the first launch, while one is under way and between two attempts; `running` from the start of its
 * process until that is gone, also while it is being stopped.
 */
function agentStatus(agent: AgentState): AgentView['status'] {
  const phase = agent.phase;
  switch (phase.type) {
    case 'waiting':
    case 'launching':
      return { type: 'waiting' };
    case 'running':
    case 'stopping':
      // A stop may come before the launch has shown anything that runs.
      if (phase.startedAt === undefined) return { type: 'waiting' };
      return {
        type: 'running',
        connectionStatus: connectionStatus(agent),
        startTime: isoTime(phase.startedAt),
        ...(!phase.seen && { observed: 'unknown' as const }),
        ...unlimitedOf(phase.handle),
      };
    case 'stopped':
      return {
        type: 'stopped',
        ...(phase.startedAt !== undefined && { startTime: isoTime(phase.startedAt) }),
      };
  }
}

/** What a runtime noted in its handle. */
function unlimitedOf(handle: JournalledHandle | undefined): { unlimited?: string[] } {
  const noted = handle?.['unlimited'];
  return Array.isArray(noted) && noted.length > 0 ? { unlimited: noted.map(String) } : {};
}

function connectionStatus(
  agent: AgentState,
): Extract<AgentView['status'], { type: 'running' }>['connectionStatus'] {
  if (!agent.connected) return { type: 'not_connected' };
  return {
    type: 'connected',
    communicationStatus: { type: agent.waits.size > 0 ? 'waiting_message' : 'thinking' },
  };
}

/** How an agent ended; `restarts`: how often it had been launched again before. */
export function exitFacts(
  exit: NonNullable<Extract<AgentState['phase'], { type: 'stopped' }>['exit']>,
  restarts: number,
): ExitFacts {
  return {
    reason: exit.reason,
    ...(exit.cause !== undefined && { cause: exit.cause }),
    detail: exit.detail,
    ...(exit.exitCode !== undefined && { exitCode: exit.exitCode }),
    ...(exit.signal !== undefined && { signal: exit.signal }),
    ...(exit.lastLines !== undefined && { lastLines: [...exit.lastLines] }),
    time: isoTime(exit.time),
    restarts,
  };
}

/** How much of a thread is shown. */
export interface ThreadViewOptions {
  /** At most this many of the latest messages. Default: all. */
  readonly limit?: number;
  /** In place of the thread's live messages (the archive keeps those of closed threads). */
  readonly messages?: readonly MessageRecord[];
}

/** One thread. A closed one has no messages unless they are given. */
export function threadView(thread: ThreadState, options: ThreadViewOptions = {}): Thread {
  const all = options.messages ?? thread.messages;
  const earlier = options.limit === undefined ? 0 : Math.max(0, all.length - options.limit);
  return {
    id: thread.id,
    name: thread.name,
    creatorName: thread.creator,
    participants: [...thread.participants],
    messages: (earlier === 0 ? all : all.slice(earlier)).map(messageView),
    ...(earlier > 0 && { earlierMessages: earlier }),
    state:
      thread.closed === undefined
        ? { state: 'open' }
        : { state: 'closed', summary: thread.closed.summary, timestamp: isoTime(thread.closed.at) },
    timestamp: isoTime(thread.createdAt),
  };
}

/** One message. */
export function messageView(message: Omit<MessageRecord, 'ordinal'>): Message {
  return {
    id: message.id,
    threadId: message.threadId,
    text: message.text,
    senderName: message.sender,
    mentionNames: [...message.mentions],
    timestamp: isoTime(message.time),
  };
}

/** `NamespaceStateBase`. */
export function namespaceBase(namespace: Omit<NamespaceState, 'createdAt'>): NamespaceStateBase {
  return {
    name: namespace.name,
    deleteOnLastSessionExit: namespace.deleteOnLastSessionExit,
    annotations: { ...namespace.annotations },
  };
}
