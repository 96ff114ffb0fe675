/**
 * The text of `coral://state`: what one agent sees of its session, as markdown for an LLM with compact JSON inside
 * (scripts in the wild count the literal `"messageText"`). Source: docs/wire.md, "Resources".
 */
import type { MessageRecord } from './inbox.ts';
import type { AgentState, SessionState, ThreadState } from './state.ts';

/** One linked agent, as the text lists it. Times are ISO-8601 UTC. */
interface AgentEntry {
  readonly agentName: string;
  readonly agentDescription: string;
  readonly agentConnected: boolean;
  readonly agentWaiting: boolean;
  readonly agentSleeping: boolean;
  readonly agentRunning: boolean;
  readonly agentStartTime?: string;
}

interface MessageEntry {
  readonly messageText: string;
  readonly sendingAgentName: string;
  readonly messageTimestamp: string;
  readonly mentionAgentNames?: readonly string[];
}

/** One thread the agent takes part in, as the text lists it. */
interface ThreadEntry {
  readonly threadId: string;
  readonly threadName: string;
  readonly owningAgentName: string;
  readonly participatingAgents: readonly string[];
  readonly state: 'open' | 'closed';
  readonly summary?: string;
  /** How many older messages were left out. */
  readonly earlierMessages?: number;
  readonly messages?: readonly MessageEntry[];
}

/**
 * The session as `agent` sees it at `now` (wall-clock ms): a `# General` part (with the deadline, if there is one), an `# Agents` part when it has links
 * and a `# Threads and messages` part when it takes part in threads. A thread lists its latest `messageLimit`
 * messages at most. An agent that is not in the session sees only the general part.
 */
export function stateMarkdown(state: SessionState, agent: string, now: number, messageLimit: number): string {
  let text = `# General\n\nYou are the agent \`${agent}\`. The time is ${iso(now)} (UTC), in milliseconds since 1970: ${now}.\n`;
  const end = deadline(state);
  if (end !== undefined) text += `\nThe session ends at ${end} at the latest.\n`;

  const links = state.agents.get(agent)?.plan.links ?? [];
  const agents: AgentEntry[] = [];
  for (const name of links) {
    const linked = state.agents.get(name);
    if (linked !== undefined) agents.push(agentEntry(linked));
  }
  if (agents.length > 0) {
    text += `\n# Agents\n\nThe agents you know, and what each of them is doing:\n${fenced(agents)}`;
  }

  const threads: ThreadEntry[] = [];
  for (const thread of state.threads.values()) {
    if (thread.participants.has(agent)) threads.push(threadEntry(thread, messageLimit));
  }
  if (threads.length > 0) {
    text += `\n# Threads and messages\n\nThe threads you take part in, oldest first, with their messages:\n${fenced(threads)}`;
  }
  return text;
}

/** When the session is ended whatever its agents do; nothing where there is no such time, or none that a date can say. */
function deadline({ phase }: SessionState): string | undefined {
  if (phase.type !== 'running' || phase.settings.ttl == null) return undefined;
  const time = phase.executedAt + phase.settings.ttl;
  return time <= LAST_DATE ? iso(time) : undefined;
}

/** The last moment of a Date, ms. */
const LAST_DATE = 8.64e15;

function agentEntry(agent: AgentState): AgentEntry {
  const { plan, phase } = agent;
  const running = phase.type === 'running' || phase.type === 'stopping';
  // Kept once it has stopped: so the others can tell who has left from who has not come yet.
  const startedAt = running || phase.type === 'stopped' ? phase.startedAt : undefined;
  return {
    agentName: plan.name,
    agentDescription: plan.description ?? '',
    agentConnected: agent.connected,
    agentWaiting: agent.waits.size > 0,
    agentSleeping: false,
    agentRunning: running,
    ...(startedAt !== undefined && { agentStartTime: iso(startedAt) }),
  };
}

function threadEntry(thread: ThreadState, messageLimit: number): ThreadEntry {
  const common = {
    threadId: thread.id,
    threadName: thread.name,
    owningAgentName: thread.creator,
    participatingAgents: [...thread.participants],
  };
  if (thread.closed !== undefined) return { ...common, state: 'closed', summary: thread.closed.summary };
  const earlier = Math.max(0, thread.messages.length - messageLimit);
  return {
    ...common,
    state: 'open',
    ...(earlier > 0 && { earlierMessages: earlier }),
    messages: thread.messages.slice(earlier).map(messageEntry),
  };
}

function messageEntry(message: MessageRecord): MessageEntry {
  return {
    messageText: message.text,
    sendingAgentName: message.sender,
    messageTimestamp: iso(message.time),
    ...(message.mentions.length > 0 && { mentionAgentNames: message.mentions }),
  };
}

/** Compact JSON holds no line break, so nothing an agent wrote can end the fence. */
function fenced(value: unknown): string {
  return '```json\n' + JSON.stringify(value) + '\n```\n';
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
