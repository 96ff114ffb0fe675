/**
 * The rules of threads, messages and waits. Every refusal is a sentence that a language model can act on.
 * Source: docs/wire.md, "Threads" and "Waits".
 */
import type { Command } from './command.ts';
import type { Decision } from './decision.ts';
import type { MessageRecord } from './inbox.ts';
import type { Limits } from './limits.ts';
import { Refusal } from './refusal.ts';
import type { SessionState, ThreadState } from './state.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** Any agent of the session may be a participant; the creator always is, first. */
export function createThread(state: SessionState, command: Of<'create_thread'>): Decision {
  const participants = [...new Set([command.by, ...command.participants])];
  for (const name of participants) if (!state.agents.has(name)) return noSuchAgent(state, name);
  return [
    {
      type: 'thread_created',
      threadId: command.threadId,
      name: command.name,
      creator: command.by,
      participants,
    },
  ];
}

/** Only participants close a thread, and only once. */
export function closeThread(state: SessionState, command: Of<'close_thread'>): Decision {
  const thread = openThread(state, command.threadId, command.by, 'close');
  if (thread instanceof Refusal) return thread;
  return [{ type: 'thread_closed', threadId: thread.id, summary: command.summary, by: command.by }];
}

/** Participants bring in other agents of the session. */
export function addParticipant(state: SessionState, command: Of<'add_participant'>): Decision {
  const thread = openThread(state, command.threadId, command.by, 'add participants to');
  if (thread instanceof Refusal) return thread;
  if (!state.agents.has(command.name)) return noSuchAgent(state, command.name);
  if (thread.participants.has(command.name)) {
    return new Refusal(
      'already_participating',
      `Agent "${command.name}" already participates in thread ${thread.id}.`,
    );
  }
  return [{ type: 'thread_participant_added', threadId: thread.id, name: command.name, by: command.by }];
}

/** Participants take each other, or themselves, out. */
export function removeParticipant(state: SessionState, command: Of<'remove_participant'>): Decision {
  const thread = openThread(state, command.threadId, command.by, 'remove participants from');
  if (thread instanceof Refusal) return thread;
  if (!state.agents.has(command.name)) return noSuchAgent(state, command.name);
  if (!thread.participants.has(command.name)) {
    return new Refusal(
      'not_participating',
      `Agent "${command.name}" does not participate in thread ${thread.id}.`,
    );
  }
  return [{ type: 'thread_participant_removed', threadId: thread.id, name: command.name, by: command.by }];
}

/** A message mentions participants of its thread, never its sender; a name said twice counts once. */
export function sendMessage(state: SessionState, command: Of<'send_message'>, limits: Limits): Decision {
  const before = command.key === undefined ? undefined : sentBefore(state, command.by, command.key);
  if (before !== undefined) {
    // Sent before, but its sender did not hear the answer: it is the same message, whatever happened since.
    if (before.threadId === command.threadId && before.text === command.text) return [];
    return new Refusal(
      'idempotency_conflict',
      'This idempotency key was used for another message; use a new key for a new message.',
    );
  }
  const thread = openThread(state, command.threadId, command.by, 'send messages into');
  if (thread instanceof Refusal) return thread;
  if (tooLarge(command.text, limits.messageSize)) {
    return new Refusal(
      'too_large',
      `A message may have at most ${limits.messageSize} bytes (limits.messageSize); send less, or a place where the rest can be found.`,
    );
  }
  if (thread.messages.length >= limits.messagesPerThread) {
    return new Refusal(
      'limit_exceeded',
      `Thread ${thread.id} has ${thread.messages.length} messages, as many as a thread may have (limits.messagesPerThread); close it with a summary and create a new one.`,
    );
  }
  const mentions = command.mentions.length < 2 ? command.mentions : [...new Set(command.mentions)];
  for (const name of mentions) {
    if (name === command.by) {
      return new Refusal(
        'invalid_mention',
        'You cannot mention yourself; mention the agents you want to reach.',
      );
    }
    if (!thread.participants.has(name)) {
      return new Refusal(
        'unknown_mention',
        state.agents.has(name)
          ? `You cannot mention "${name}": it does not participate in thread ${thread.id}. Add it first, or mention one of: ${others(thread, command.by)}.`
          : `There is no agent "${name}" in this session. Participants of this thread you can mention: ${others(thread, command.by)}.`,
      );
    }
  }
  return [
    {
      type: 'message_sent',
      threadId: thread.id,
      messageId: command.messageId,
      sender: command.by,
      text: command.text,
      mentions,
      ...(command.key !== undefined && { key: command.key }),
    },
  ];
}

/** The message an agent sent under a key of its own. */
export function sentBefore(state: SessionState, sender: string, key: string): MessageRecord | undefined {
  const ordinal = state.keys.get(`${sender}/${key}`);
  return ordinal === undefined ? undefined : state.messages[ordinal - 1];
}

/** An agent begins to wait; what it waits for is for followers to see. */
export function startWait(state: SessionState, command: Of<'start_wait'>, limits: Limits): Decision {
  const agent = state.agents.get(command.agent);
  if (agent === undefined) return noSuchAgent(state, command.agent);
  if (agent.waits.size >= limits.waitsPerAgent) {
    return new Refusal(
      'limit_exceeded',
      `You have ${agent.waits.size} waits open, as many as an agent may have (limits.waitsPerAgent); end one first.`,
    );
  }
  return [{ type: 'wait_started', agent: command.agent, waitId: command.waitId, filters: command.filters }];
}

/** Also ends a wait that never needed to be parked: then its start is recorded with it. */
export function endWait(state: SessionState, command: Of<'end_wait'>): Decision {
  const agent = state.agents.get(command.agent);
  if (agent === undefined) return noSuchAgent(state, command.agent);
  const { agent: name, waitId } = command;
  const end = {
    type: 'wait_ended' as const,
    agent: name,
    waitId,
    outcome: command.outcome,
    ...(command.ordinal !== undefined && { ordinal: command.ordinal }),
  };
  if (agent.waits.has(waitId)) return [end];
  // Its agent's exit ended it already, or it was answered at once; only what was handed over matters then.
  if (command.outcome !== 'message') return [];
  return [{ type: 'wait_started', agent: name, waitId, filters: command.filters }, end];
}

/** Everything up to `upTo` was shown to the agent; nothing when that hands nothing over. */
export function readState(state: SessionState, command: Of<'read_state'>): Decision {
  const agent = state.agents.get(command.agent);
  if (agent === undefined) return noSuchAgent(state, command.agent);
  return agent.inbox.hasPlain ? [{ type: 'state_read', agent: command.agent, upTo: command.upTo }] : [];
}

/** Measured only where the length leaves a doubt: a UTF-16 unit takes one to three bytes. */
function tooLarge(text: string, bytes: number): boolean {
  if (text.length * 3 <= bytes) return false;
  return text.length > bytes || new TextEncoder().encode(text).length > bytes;
}

/** The thread, if it is there for this agent, open, and the agent takes part. */
function openThread(
  state: SessionState,
  threadId: string,
  agent: string,
  act: string,
): ThreadState | Refusal {
  if (!state.agents.has(agent)) return noSuchAgent(state, agent);
  const thread = state.threads.get(threadId);
  if (thread === undefined) {
    return new Refusal(
      'unknown_thread',
      `There is no thread ${threadId}; read coral://state for the threads you are in.`,
    );
  }
  if (!thread.participants.has(agent)) {
    return new Refusal(
      'not_participating',
      `You do not participate in thread ${threadId}, so you cannot ${act} it.`,
    );
  }
  if (thread.closed !== undefined) {
    return new Refusal('thread_closed', `Thread ${threadId} is closed; create a new thread to go on.`);
  }
  return thread;
}

function noSuchAgent(state: SessionState, name: string): Refusal {
  const names = [...state.agents.keys()].slice(0, 20).join(', ');
  return new Refusal(
    'agent_not_in_session',
    `There is no agent "${name}" in this session. Agents: ${names}.`,
  );
}

function others(thread: ThreadState, except: string): string {
  const names = [...thread.participants].filter((name) => name !== except);
  return names.length === 0 ? '(nobody else is in it)' : names.join(', ');
}
