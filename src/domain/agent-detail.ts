/** "Why is my agent not running?", answered in one piece. Source: docs/wire.md, "One agent". */
import { z } from 'zod';
import { barrierPeers } from './barrier.ts';
import type { AgentState, SessionState } from './state.ts';
import { agentView, exitFacts, isoTime } from './view.ts';
import { AgentState as AgentView, ExitFacts } from './wire/session.ts';

const Time = z.iso.datetime();

/** Everything about one agent. */
export const AgentDetail = AgentView.extend({
  phase: z.enum(['waiting', 'launching', 'running', 'stopping', 'stopped']),
  because: z.string().describe('A sentence: why it is where it is, and what it waits for.'),
  attempt: z.number().int().describe('Launches begun so far.'),
  restarts: z.number().int().describe('Restarts since it was last stable.'),
  dismissed: z.boolean(),
  runtime: z.string(),
  handle: z
    .looseObject({ runtime: z.string(), id: z.string() })
    .optional()
    .describe('What runs, without secrets.'),
  progress: z.string().optional().describe('How far its launch is.'),
  nextStart: Time.optional(),
  waitsFor: z.array(z.string()).describe('Blocking agents whose connection its own waits for.'),
  exits: z.array(ExitFacts.extend({ attempt: z.number().int() })).describe('Its latest ends, newest last.'),
});
/** Everything about one agent, as answered. */
export type AgentDetail = z.output<typeof AgentDetail>;

/** `progress`: what its runtime last said about a launch that is under way. */
export function agentDetail(state: SessionState, agent: AgentState, progress?: string): AgentDetail {
  const { phase, plan } = agent;
  const handle = phase.type === 'running' || phase.type === 'stopping' ? phase.handle : undefined;
  const waitsFor = agent.everConnected || phase.type === 'stopped' ? [] : missingPeers(state, plan.name);
  return {
    ...agentView(agent),
    phase: phase.type,
    because: because(state, agent, progress, waitsFor),
    attempt: agent.attempts,
    restarts: agent.restarts,
    dismissed: agent.dismissed,
    runtime: plan.runtime.kind,
    ...(handle !== undefined && { handle: { ...handle } }),
    ...(phase.type === 'launching' && progress !== undefined && { progress }),
    ...(phase.type === 'waiting' && phase.retryAt !== undefined && { nextStart: isoTime(phase.retryAt) }),
    waitsFor,
    exits: agent.exits.map((exit) => ({
      ...exitFacts(exit, Math.max(0, exit.attempt - 1)),
      attempt: exit.attempt,
    })),
  };
}

function missingPeers(state: SessionState, name: string): string[] {
  return [...barrierPeers(state, name)].filter((peer) => state.agents.get(peer)?.everConnected === false);
}

function because(
  state: SessionState,
  agent: AgentState,
  progress: string | undefined,
  waitsFor: readonly string[],
): string {
  const { phase } = agent;
  switch (phase.type) {
    case 'waiting':
      if (state.phase.type === 'pending')
        return 'The session is deferred: nothing is launched until it is executed.';
      if (phase.retryAt !== undefined)
        return `It is started again at ${isoTime(phase.retryAt)} (${phase.reason ?? 'restart'}).`;
      return progress ?? 'Its launch is next.';
    case 'launching':
      return progress === undefined ? 'It is being launched.' : `It is being launched: ${progress}`;
    case 'running':
      if (!phase.seen) return 'Its runtime cannot be seen for now; it may well be running.';
      if (agent.connected)
        return agent.waits.size > 0
          ? 'It runs, is connected and waits for a message.'
          : 'It runs and is connected.';
      if (waitsFor.length > 0)
        return `It runs; its connection waits for the blocking agents ${waitsFor.join(', ')}.`;
      return agent.everConnected
        ? 'It runs, and has closed its MCP connection.'
        : 'It runs, and has not connected to its MCP endpoint (CORAL_CONNECTION_URL) yet.';
    case 'stopping':
      return `It was asked to stop (${phase.cause}) and is not gone yet.`;
    case 'stopped':
      return phase.exit === undefined ? 'It ended.' : `It ended (${phase.exit.reason}): ${phase.exit.detail}`;
  }
}
