/** The report a session's end is told with. Source: docs/wire.md, "Webhooks". */
import { z } from 'zod';
import type { NamespaceState } from './namespace.ts';
import type { SessionState } from './state.ts';
import { isoTime, namespaceBase, sessionBase, sessionExtended } from './view.ts';
import { Annotations, RegistryIdentifier } from './wire/request.ts';
import { NamespaceStateBase, SessionStateBase, SessionStateExtended } from './wire/session.ts';

const Time = z.iso.datetime();

/** One for every run of an agent: a restarted one has several. */
export const AgentStats = z.object({
  name: z.string(),
  registryIdentifier: RegistryIdentifier,
  startTime: Time,
  endTime: Time,
  annotations: Annotations,
});

export const SessionEndReport = z.object({
  timestamp: Time,
  namespaceState: NamespaceStateBase,
  sessionState: z.discriminatedUnion('type', [
    z.object({ type: z.literal('base'), state: SessionStateBase }),
    z.object({ type: z.literal('extended'), state: SessionStateExtended }),
  ]),
  agentStats: z.array(AgentStats),
  result: z.unknown().optional().describe('The outcome an agent gave when it closed the session.'),
});
/** What the end webhook posts. */
export type SessionEndReport = z.output<typeof SessionEndReport>;

/**
 * The report of a session that has ended, the same at every try: `state` is the session at its `session_ended`, and
 * the times are those of its facts.
 */
export function endReport(
  state: SessionState,
  namespace: Pick<NamespaceState, 'name' | 'deleteOnLastSessionExit' | 'annotations'>,
  extended: boolean,
): SessionEndReport {
  const endedAt = state.phase.type === 'ended' ? state.phase.endedAt : state.time;
  return {
    timestamp: isoTime(endedAt),
    namespaceState: namespaceBase(namespace),
    sessionState: extended
      ? { type: 'extended', state: sessionExtended(state) }
      : { type: 'base', state: sessionBase(state) },
    agentStats: [...state.agents.values()].flatMap((agent) =>
      agent.runs.map((run) => ({
        name: agent.plan.name,
        registryIdentifier: agent.plan.id,
        startTime: isoTime(run.startedAt),
        endTime: isoTime(run.endedAt ?? endedAt),
        annotations: { ...agent.plan.annotations },
      })),
    ),
    ...(state.hasResult && state.result != null && { result: state.result }),
  };
}
