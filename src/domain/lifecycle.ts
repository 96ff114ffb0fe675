/**
 * The rules of a session's and its agents' life: execute, launch, start, connect, stop, exit, end, hold, close.
 * Source: docs/wire.md, "Life of a session".
 */
import type { Command } from './command.ts';
import type { Decision } from './decision.ts';
import type { SessionEndCause, SessionEvent } from './event.ts';
import type { Ending, Exit, StopCause } from './exit.ts';
import { heldUntil } from './persistence.ts';
import { Refusal } from './refusal.ts';
import { decideRestart } from './restart.ts';
import type { AgentState, SessionState } from './state.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

const NOTHING: Decision = [];

/** A deferred session begins; `decide.ts` saw to it that it is one. */
export function execute(command: Of<'execute'>): Decision {
  return [{ type: 'session_executed', settings: command.settings }];
}

/** A deferred session is simply closed; a running one stops its agents first; one that stops or is held stays so. */
export function stopSession(state: SessionState, command: Of<'stop_session'>, now: number): Decision {
  switch (state.phase.type) {
    case 'pending':
      return [{ type: 'session_closed' }];
    case 'running':
      return stopping(state, command, now);
    default:
      return NOTHING;
  }
}

function stopping(
  state: SessionState,
  command: Omit<Of<'stop_session'>, 'type'>,
  now: number,
): SessionEvent[] {
  const cause = stopCauseOf(command.cause);
  const events: SessionEvent[] = [
    {
      type: 'session_stopping',
      cause: command.cause,
      ...(command.by !== undefined && { by: command.by }),
      ...(command.reason !== undefined && { reason: command.reason }),
      ...('result' in command && { result: command.result }),
    },
  ];
  for (const agent of state.agents.values()) events.push(...stopOf(agent, cause, now));
  return events;
}

function stopCauseOf(cause: SessionEndCause): StopCause {
  switch (cause) {
    case 'ttl':
      return 'ttl';
    case 'shutdown':
      return 'shutdown';
    default:
      return 'session_closed';
  }
}

/** The facts of asking one agent to stop; none when it already does or has. */
export function stopOf(agent: AgentState, cause: StopCause, now: number): SessionEvent[] {
  const name = agent.plan.name;
  switch (agent.phase.type) {
    case 'waiting':
      return [
        {
          type: 'agent_exited',
          agent: name,
          attempt: agent.attempts,
          exit: {
            reason: 'stopped',
            ...(cause !== 'connect_timeout' && { cause }),
            detail:
              agent.attempts === 0
                ? 'It was stopped before it was launched.'
                : 'It was stopped while it waited for its next start.',
            time: now,
          },
        },
      ];
    case 'launching':
    case 'running':
      return [{ type: 'agent_stopping', agent: name, attempt: agent.phase.attempt, cause }];
    case 'stopping':
    case 'stopped':
      return [];
  }
}

/** One agent is asked to stop; nothing for one that already does or has. */
export function stopAgent(state: SessionState, command: Of<'stop_agent'>, now: number): Decision {
  const agent = state.agents.get(command.agent);
  if (agent === undefined) return unknownAgent(state, command.agent);
  return stopOf(agent, command.cause, now);
}

/** A held session closes now; nothing for one that is not held. */
export function endHold(state: SessionState): Decision {
  return state.phase.type === 'ended' ? [{ type: 'session_closed' }] : NOTHING;
}

/** What the clock and the agents' ends have made due. */
export function look(state: SessionState, now: number): Decision {
  const phase = state.phase;
  switch (phase.type) {
    case 'pending':
    case 'closed':
      return NOTHING;
    case 'running': {
      if (allGone(state)) return ended(state, 'agents_exited', now);
      const { ttl } = phase.settings;
      if (ttl != null && phase.executedAt + ttl <= now) return stopping(state, { cause: 'ttl' }, now);
      return [...state.agents.values()]
        .filter((agent) => {
          const deadline = connectDeadline(agent);
          return deadline !== undefined && deadline <= now;
        })
        .flatMap((agent) => stopOf(agent, 'connect_timeout', now));
    }
    case 'stopping':
      return allGone(state) ? ended(state, phase.cause, now) : NOTHING;
    case 'ended':
      return phase.heldUntil === undefined || phase.heldUntil <= now ? [{ type: 'session_closed' }] : NOTHING;
  }
}

/** Every agent ended and none is to be started again. */
export function allGone(state: SessionState): boolean {
  for (const agent of state.agents.values()) if (agent.phase.type !== 'stopped') return false;
  return true;
}

/** When an agent that runs but never connected is stopped; undefined: never. */
export function connectDeadline(agent: AgentState): number | undefined {
  const { connect } = agent.plan.timeouts;
  if (connect === 0 || agent.phase.type !== 'running' || agent.everConnected) return undefined;
  return agent.phase.startedAt + connect;
}

/** The end of a session; one that is not held is closed with it. */
function ended(state: SessionState, cause: SessionEndCause, now: number): SessionEvent[] {
  if (state.phase.type !== 'running' && state.phase.type !== 'stopping')
    throw new Error('only a live session ends');
  const until = heldUntil(state.phase.settings.persistenceMode, state.createdAt, now);
  if (until === undefined) return [{ type: 'session_ended', cause }, { type: 'session_closed' }];
  return [{ type: 'session_ended', cause, heldUntil: until }];
}

/**
 * Another server goes on with the session: connections and waits ended with the one before, whatever runs still runs.
 * Held and deferred sessions are as they were.
 */
export function recover(state: SessionState, command: Of<'recover'>, now: number): Decision {
  if (state.phase.type !== 'running' && state.phase.type !== 'stopping') return NOTHING;
  const events: SessionEvent[] = [];
  for (const agent of state.agents.values()) {
    const name = agent.plan.name;
    const { phase } = agent;
    const isOutOfReach =
      phase.type === 'running' &&
      command.port !== undefined &&
      agent.port !== undefined &&
      agent.port !== command.port;
    if (isOutOfReach) {
      const detail = `It was told to reach the server on port ${agent.port}, which now listens on ${command.port}; set network.bindPort to keep the port over a restart.`;
      const ending: Ending = { kind: 'lost', detail };
      events.push(...exitOf(state, agent, phase.attempt, ending, 'server_lost', command.jitter, now));
      continue;
    }
    for (const waitId of agent.waits.keys()) {
      events.push({ type: 'wait_ended', agent: name, waitId, outcome: 'server_lost' });
    }
    if (agent.connected) events.push({ type: 'agent_disconnected', agent: name });
  }
  return events;
}

/** The intent, before the act: a crash in between is found by the label. */
export function beginLaunch(state: SessionState, command: Of<'begin_launch'>): Decision {
  const agent = state.agents.get(command.agent);
  if (agent === undefined) return unknownAgent(state, command.agent);
  if (agent.phase.type !== 'waiting' || command.attempt !== agent.attempts + 1)
    return stale(command.agent, command.attempt);
  return [
    {
      type: 'agent_launching',
      agent: command.agent,
      attempt: command.attempt,
      secretDigest: command.secretDigest,
      ...(command.port !== undefined && { port: command.port }),
    },
  ];
}

/** The runtime has it, under a handle. It may be asked to stop by now. */
export function reportStarted(state: SessionState, command: Of<'report_started'>): Decision {
  const phase = state.agents.get(command.agent)?.phase;
  const expected = phase?.type === 'launching' || (phase?.type === 'stopping' && phase.handle === undefined);
  if (!expected || phase.attempt !== command.attempt) return stale(command.agent, command.attempt);
  return [{ type: 'agent_started', agent: command.agent, attempt: command.attempt, handle: command.handle }];
}

/** One exit, seen once: what it means, and whether the agent is started again. */
export function reportExit(state: SessionState, command: Of<'report_exit'>, now: number): Decision {
  const agent = state.agents.get(command.agent);
  const phase = agent?.phase;
  if (
    agent === undefined ||
    phase === undefined ||
    phase.type === 'waiting' ||
    phase.type === 'stopped' ||
    phase.attempt !== command.attempt
  ) {
    return stale(command.agent, command.attempt);
  }
  return exitOf(state, agent, command.attempt, command.ending, 'client_gone', command.jitter, now);
}

/** The facts of an attempt's end. */
function exitOf(
  state: SessionState,
  agent: AgentState,
  attempt: number,
  ending: Ending,
  waits: 'client_gone' | 'server_lost',
  jitter: number,
  now: number,
): SessionEvent[] {
  const { phase } = agent;
  const name = agent.plan.name;
  const exit = meaning(ending, phase.type === 'stopping' ? phase.cause : undefined, now);
  const events: SessionEvent[] = [];
  for (const waitId of agent.waits.keys()) {
    events.push({ type: 'wait_ended', agent: name, waitId, outcome: waits });
  }
  events.push({ type: 'agent_exited', agent: name, attempt, exit });
  if (state.phase.type !== 'running' || agent.dismissed) return events;
  // It may have ended long ago, while there was no server.
  const ranFor = phase.type === 'running' ? exit.time - phase.startedAt : 0;
  const restarts = ranFor >= agent.plan.restart.stableAfter ? 0 : agent.restarts;
  const decision = decideRestart(agent.plan.restart, exit, restarts, now, jitter);
  if (decision.type === 'restart') {
    const { at, reason } = decision;
    events.push({
      type: 'agent_retry_due',
      agent: name,
      attempt: attempt + 1,
      at,
      restarts: restarts + 1,
      reason,
    });
  } else if (decision.type === 'gives_up') {
    events.push({ type: 'agent_given_up', agent: name, attempt, reason: decision.reason });
  }
  return events;
}

/** What an ending means, given whether (and why) we had asked for it. */
export function meaning(ending: Ending, asked: StopCause | undefined, now: number): Exit {
  const facts = {
    detail: ending.detail,
    ...(ending.exitCode !== undefined && { exitCode: ending.exitCode }),
    ...(ending.signal !== undefined && { signal: ending.signal }),
    ...(ending.lastLines !== undefined && ending.lastLines.length > 0 && { lastLines: ending.lastLines }),
    time: ending.time ?? now,
  };
  if (ending.kind === 'lost') return { reason: 'lost', ...facts };
  if (asked === 'connect_timeout') return { reason: 'connect_timeout', ...facts };
  if (asked !== undefined) return { reason: 'stopped', cause: asked, ...facts };
  switch (ending.kind) {
    case 'could_not_start':
      return { reason: 'launch_failed', ...facts };
    case 'exited':
      return { reason: ending.exitCode === 0 ? 'completed' : 'failed', ...facts };
    case 'signalled':
      // Nobody aborts another program: it gave itself up, as V8 does when its heap is full.
      return { reason: ending.signal === 'SIGABRT' ? 'failed' : 'killed', ...facts };
    case 'out_of_memory':
      return { reason: 'oom_killed', ...facts };
  }
}

/** Its runtime cannot see it for now, or sees it again; either is no end. */
export function reportObserved(state: SessionState, command: Of<'report_observed'>): Decision {
  const phase = state.agents.get(command.agent)?.phase;
  if ((phase?.type !== 'running' && phase?.type !== 'stopping') || phase.attempt !== command.attempt) {
    return stale(command.agent, command.attempt);
  }
  if (phase.seen === command.seen) return NOTHING;
  return [{ type: 'agent_observed', agent: command.agent, attempt: command.attempt, seen: command.seen }];
}

/** A container that clients know by its id. */
export function reportContainer(state: SessionState, command: Of<'report_container'>): Decision {
  if (!state.agents.has(command.agent)) return unknownAgent(state, command.agent);
  return [
    { type: command.fact, agent: command.agent, attempt: command.attempt, containerId: command.containerId },
  ];
}

/** An agent may be connected by a process the server did not launch, as long as its attempt lives. */
export function connect(state: SessionState, command: Of<'connect'>): Decision {
  const agent = state.agents.get(command.agent);
  if (agent === undefined) return unknownAgent(state, command.agent);
  return agent.connected ? NOTHING : [{ type: 'agent_connected', agent: command.agent }];
}

/** No MCP session of the agent is left. */
export function disconnect(state: SessionState, command: Of<'disconnect'>): Decision {
  const agent = state.agents.get(command.agent);
  if (agent === undefined) return unknownAgent(state, command.agent);
  return agent.connected ? [{ type: 'agent_disconnected', agent: command.agent }] : NOTHING;
}

function unknownAgent(state: SessionState, name: string): Refusal {
  return new Refusal('agent_not_in_session', `Session ${state.sessionId} has no agent "${name}".`);
}

function stale(agent: string, attempt: number): Refusal {
  return new Refusal('stale', `Attempt ${attempt} of agent "${agent}" is over.`);
}
