/**
 * What the world is owed, computed from state alone. First run, retry and recovery are one path: whoever performs
 * duties compares this list with what it is doing. A duty's key stays the same for as long as it is the same work.
 */
import { allGone, connectDeadline } from './lifecycle.ts';
import type { AgentPhase, AgentState, SessionState } from './state.ts';

/** One thing that is owed. `attempt` is the one it is owed to. */
export type Duty =
  /** Bring this attempt to life; owed until it runs, or its end is reported. */
  | { readonly type: 'launch'; readonly key: string; readonly agent: string; readonly attempt: number }
  /** See its output and its end. */
  | { readonly type: 'watch'; readonly key: string; readonly agent: string; readonly attempt: number }
  /** End it: ask, wait the grace, then by force. */
  | { readonly type: 'stop'; readonly key: string; readonly agent: string; readonly attempt: number }
  /** Something is due now: look at the clock. */
  | { readonly type: 'look'; readonly key: 'look' }
  /** The session is closed: erase its secrets, let go of it. */
  | { readonly type: 'forget'; readonly key: 'forget' };

/** Everything that is owed now, and when to look again. */
export interface Owed {
  readonly duties: readonly Duty[];
  /** The next moment (wall-clock ms, in the future) at which to look again. */
  readonly alarm?: number;
}

/** What is owed at `now` (wall-clock ms). */
export function owed(state: SessionState, now: number): Owed {
  const phase = state.phase;
  if (phase.type === 'closed') return { duties: [{ type: 'forget', key: 'forget' }] };
  if (phase.type === 'pending') return { duties: [] };
  if (phase.type === 'ended') {
    return phase.heldUntil !== undefined && phase.heldUntil > now
      ? { duties: [], alarm: phase.heldUntil }
      : { duties: [LOOK] };
  }
  if (allGone(state)) return { duties: [LOOK] };

  const duties: Duty[] = [];
  const moments: number[] = [];
  if (phase.type === 'running' && phase.settings.ttl != null)
    moments.push(phase.executedAt + phase.settings.ttl);
  for (const agent of state.agents.values()) {
    const duty = dutyOf(agent, phase.type === 'running', now);
    duties.push(...duty);
    if (agent.phase.type === 'waiting' && agent.phase.retryAt !== undefined && agent.phase.retryAt > now) {
      moments.push(agent.phase.retryAt);
    }
    const deadline = connectDeadline(agent);
    if (deadline !== undefined) moments.push(deadline);
  }
  let alarm: number | undefined;
  for (const moment of moments) {
    if (alarm === undefined || moment < alarm) alarm = moment;
  }
  if (alarm === undefined) return { duties };
  // An alarm may only name the future; what is due already is looked at instead.
  return alarm <= now ? { duties: [...duties, LOOK] } : { duties, alarm };
}

const LOOK: Duty = { type: 'look', key: 'look' };

function dutyOf(agent: AgentState, running: boolean, now: number): Duty[] {
  const name = agent.plan.name;
  const phase: AgentPhase = agent.phase;
  switch (phase.type) {
    case 'waiting':
      if (!running || (phase.retryAt !== undefined && phase.retryAt > now)) return [];
      return [duty('launch', name, agent.attempts + 1)];
    case 'launching':
      return [duty('launch', name, phase.attempt)];
    case 'running':
      return [duty('watch', name, phase.attempt)];
    case 'stopping':
      // Without a handle there is nothing to stop yet: the launch is given up, and reports its end.
      return phase.handle === undefined
        ? []
        : [duty('watch', name, phase.attempt), duty('stop', name, phase.attempt)];
    case 'stopped':
      return [];
  }
}

function duty(type: 'launch' | 'watch' | 'stop', agent: string, attempt: number): Duty {
  return { type, key: `${type}/${attempt}/${agent}`, agent, attempt };
}
