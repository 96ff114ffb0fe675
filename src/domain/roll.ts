/**
 * The rules by which a running session changes: who joins, who leaves for good, when it must end.
 * Source: docs/wire.md, "Changing a running session".
 */
import type { Command } from './command.ts';
import type { Decision } from './decision.ts';
import type { SessionEvent } from './event.ts';
import { stopOf } from './lifecycle.ts';
import type { Limits } from './limits.ts';
import { Refusal } from './refusal.ts';
import type { SessionState } from './state.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** The deadline counts from execution, as the first one did. */
export function changeTtl(command: Of<'change_ttl'>): Decision {
  return [{ type: 'ttl_changed', ...(command.ttl !== undefined && { ttl: command.ttl }) }];
}

/** A name is never used twice in a session, not even after its agent left: messages name their sender. */
export function addAgent(state: SessionState, command: Of<'add_agent'>, limits: Limits): Decision {
  const { name } = command.plan;
  if (state.agents.has(name)) {
    return new Refusal(
      'conflict',
      `Session ${state.sessionId} has (or had) an agent "${name}" already; choose another name.`,
    );
  }
  if (state.agents.size >= limits.agentsPerSession) {
    return new Refusal(
      'limit_exceeded',
      `Session ${state.sessionId} has ${state.agents.size} agents, as many as a session may have (limits.agentsPerSession).`,
    );
  }
  return [{ type: 'agent_added', plan: command.plan, groups: command.groups }];
}

/** It leaves every thread, nobody is linked to it any more, and it is stopped and not started again. */
export function dismissAgent(state: SessionState, command: Of<'dismiss_agent'>, now: number): Decision {
  const agent = state.agents.get(command.agent);
  if (agent === undefined) {
    return new Refusal('agent_not_in_session', `Session ${state.sessionId} has no agent "${command.agent}".`);
  }
  if (agent.dismissed) return [];
  const left = [...state.threads.values()]
    .filter((thread) => thread.closed === undefined && thread.participants.has(command.agent))
    .map((thread): SessionEvent => ({
      type: 'thread_participant_removed',
      threadId: thread.id,
      name: command.agent,
      by: command.agent,
    }));
  return [{ type: 'agent_dismissed', agent: command.agent }, ...left, ...stopOf(agent, 'requested', now)];
}
