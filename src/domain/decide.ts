/**
 * Command + state → facts, or a Refusal. The guard by phase stands here; the rules stand in files by subject
 * (`lifecycle.ts`, `roll.ts`, `restart.ts`, `persistence.ts`, `messaging.ts`) and may rely on it.
 */
import type { Command } from './command.ts';
import type { Decision } from './decision.ts';
import * as lifecycle from './lifecycle.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import * as messaging from './messaging.ts';
import { Refusal } from './refusal.ts';
import * as roll from './roll.ts';
import type { SessionPhase, SessionState } from './state.ts';

const ALWAYS = ['pending', 'running', 'stopping', 'ended'] as const;
const WHILE_AGENTS_LIVE = ['running', 'stopping'] as const;

/** In which phases a command makes sense at all. While a session stops, agents may still say goodbye. */
const PHASES: { readonly [K in Command['type']]: readonly SessionPhase['type'][] } = {
  execute: ['pending'],
  stop_session: ALWAYS,
  end_hold: ALWAYS,
  look: ALWAYS,
  recover: ALWAYS,
  change_ttl: ['running'],
  add_agent: ['running'],
  dismiss_agent: ['running'],
  begin_launch: ['running'],
  report_started: WHILE_AGENTS_LIVE,
  report_exit: WHILE_AGENTS_LIVE,
  report_observed: WHILE_AGENTS_LIVE,
  report_container: ['running', 'stopping', 'ended'],
  stop_agent: ['running', 'stopping'],
  connect: WHILE_AGENTS_LIVE,
  disconnect: WHILE_AGENTS_LIVE,
  start_wait: ['running'],
  end_wait: ['running', 'stopping', 'ended'],
  read_state: WHILE_AGENTS_LIVE,
  create_thread: WHILE_AGENTS_LIVE,
  close_thread: WHILE_AGENTS_LIVE,
  add_participant: WHILE_AGENTS_LIVE,
  remove_participant: WHILE_AGENTS_LIVE,
  send_message: WHILE_AGENTS_LIVE,
};

/** Decides one command at `now` (wall-clock ms). Pure. */
export function decide(
  state: SessionState,
  command: Command,
  now: number,
  limits: Limits = DEFAULT_LIMITS,
): Decision {
  if (!PHASES[command.type].includes(state.phase.type)) return refusedByPhase(state, command);
  switch (command.type) {
    case 'execute':
      return lifecycle.execute(command);
    case 'stop_session':
      return lifecycle.stopSession(state, command, now);
    case 'end_hold':
      return lifecycle.endHold(state);
    case 'look':
      return lifecycle.look(state, now);
    case 'recover':
      return lifecycle.recover(state, command, now);
    case 'change_ttl':
      return roll.changeTtl(command);
    case 'add_agent':
      return roll.addAgent(state, command, limits);
    case 'dismiss_agent':
      return roll.dismissAgent(state, command, now);
    case 'begin_launch':
      return lifecycle.beginLaunch(state, command);
    case 'report_started':
      return lifecycle.reportStarted(state, command);
    case 'report_exit':
      return lifecycle.reportExit(state, command, now);
    case 'report_observed':
      return lifecycle.reportObserved(state, command);
    case 'report_container':
      return lifecycle.reportContainer(state, command);
    case 'stop_agent':
      return lifecycle.stopAgent(state, command, now);
    case 'connect':
      return lifecycle.connect(state, command);
    case 'disconnect':
      return lifecycle.disconnect(state, command);
    case 'start_wait':
      return messaging.startWait(state, command, limits);
    case 'end_wait':
      return messaging.endWait(state, command);
    case 'read_state':
      return messaging.readState(state, command);
    case 'create_thread':
      return messaging.createThread(state, command);
    case 'close_thread':
      return messaging.closeThread(state, command);
    case 'add_participant':
      return messaging.addParticipant(state, command);
    case 'remove_participant':
      return messaging.removeParticipant(state, command);
    case 'send_message':
      return messaging.sendMessage(state, command, limits);
  }
}

function refusedByPhase(state: SessionState, command: Command): Refusal {
  const session = `Session ${state.sessionId}`;
  if (command.type === 'execute') {
    return new Refusal(
      'session_not_pending',
      `${session} was executed already; only a deferred session can be executed.`,
    );
  }
  switch (state.phase.type) {
    case 'pending':
      return new Refusal(
        'agent_not_running',
        `${session} waits to be executed: its agents are not launched yet.`,
      );
    case 'running':
    case 'stopping':
    case 'ended':
      return new Refusal('session_ended', `${session} is ending: it takes nothing new.`);
    case 'closed':
      return new Refusal('unknown_session', `${session} is closed; its story is in the archive.`);
  }
}
