/** Facts of one session written as a story: each a second after the one before. */
import type { SessionEvent } from '../../src/domain/event.ts';
import type { AgentPlan } from '../../src/domain/graph.ts';
import { foldSession, type SessionState } from '../../src/domain/state.ts';
import type { SessionRuntimeSettings } from '../../src/domain/wire/request.ts';
import { agentPlan } from './plans.ts';

/** 2026-01-01T00:00:00.000Z, the time of a story's first fact. */
export const EPOCH = Date.UTC(2026, 0, 1);

/** The time of the fact with this seq. */
export function at(seq: number): number {
  return EPOCH + (seq - 1) * 1_000;
}

export interface StoryRecord {
  readonly stream: string;
  readonly seq: number;
  readonly position: number;
  readonly time: number;
  readonly event: SessionEvent;
}

export function story(...events: readonly SessionEvent[]): StoryRecord[] {
  return events.map((event, index) => ({
    stream: 'session/s1',
    seq: index + 1,
    position: index + 1,
    time: at(index + 1),
    event,
  }));
}

/** The session these facts add up to. */
export function sessionOf(...events: readonly SessionEvent[]): SessionState {
  const state = foldSession(story(...events));
  if (state === undefined) throw new Error('a story needs a first fact');
  return state;
}

export const plan = agentPlan;

export function opened(...agents: readonly AgentPlan[]): SessionEvent {
  return {
    type: 'session_opened',
    namespace: 'ns',
    sessionId: 's1',
    annotations: { owner: 'me' },
    agents,
    groups: [],
    customTools: {},
  };
}

export const SETTINGS: SessionRuntimeSettings = {
  extendedEndReport: false,
  persistenceMode: { mode: 'none' },
  webhooks: {},
};

export const executed: SessionEvent = { type: 'session_executed', settings: SETTINGS };

export function launching(agent: string, attempt = 1): SessionEvent {
  return { type: 'agent_launching', agent, attempt, secretDigest: 'f00d' };
}

export function started(agent: string, attempt = 1): SessionEvent {
  return { type: 'agent_started', agent, attempt, handle: { runtime: 'scripted', id: 'handle-1' } };
}

export function exited(agent: string, attempt: number, time: number, exitCode = 0): SessionEvent {
  return {
    type: 'agent_exited',
    agent,
    attempt,
    exit: {
      reason: exitCode === 0 ? 'completed' : 'failed',
      detail: `ended with exit code ${exitCode}`,
      exitCode,
      time,
    },
  };
}

export function thread(threadId: string, creator: string, ...participants: readonly string[]): SessionEvent {
  return { type: 'thread_created', threadId, name: `about ${threadId}`, creator, participants };
}

export function said(
  threadId: string,
  messageId: string,
  sender: string,
  text: string,
  ...mentions: string[]
): SessionEvent {
  return { type: 'message_sent', threadId, messageId, sender, text, mentions };
}
