/** One launch of one agent: the intent is written down, the runtime acts, and what came of it is written down. */
import type { Duty } from '../domain/duties.ts';
import type { AgentPlan } from '../domain/graph.ts';
import { launchSpec, secretsOf, type LaunchInput, type LaunchSpec } from '../domain/launch.ts';
import { hasSealed } from '../domain/sealed.ts';
import { reasonOf } from '../domain/reason.ts';
import { Refusal } from '../domain/refusal.ts';
import type { AgentState } from '../domain/session.ts';
import { LaunchFailure, type Handle, type Observer, type Runtime } from '../ports/runtime.ts';
import { digestOf } from './credentials.ts';
import { ParticipantOf } from './participant-of.ts';
import type { SessionRunner } from './session-runner.ts';

type LaunchDuty = Extract<Duty, { type: 'launch' }>;

/** Launches `agent` with `runtime`; resolves once it runs, or its end is written down. Rejects when nothing was begun. */
export async function launchAgent(
  runner: SessionRunner,
  { agent, runtime }: { readonly agent: AgentState; readonly runtime: Runtime },
  duty: LaunchDuty,
  signal: AbortSignal,
  observer: Observer,
): Promise<void> {
  const { credentials, host } = runner.world;
  const ref = { agent: duty.agent, attempt: duty.attempt };
  const secret = host.secret();
  const secretDigest = digestOf(secret);
  credentials.add(secretDigest, new ParticipantOf(runner, duty.agent, secretDigest));
  try {
    // The intent is written down before the act, so that a crash in between is found by the label.
    const port = runtime.keepsAddress === true ? {} : { port: runner.world.agentPort() };
    await runner.submit({ type: 'begin_launch', ...ref, secretDigest, ...port });
  } catch (error) {
    credentials.remove(secretDigest);
    if (error instanceof Refusal) return;
    throw error;
  }
  let handle: Handle;
  try {
    handle = await runtime.launch(await specOf(runner, agent, runtime, ref, secret), signal, observer);
  } catch (error) {
    const ending = { kind: 'could_not_start', detail: causeOf(runner, error, duty.agent) } as const;
    await runner.report({ type: 'report_exit', ...ref, ending, jitter: host.random() });
    credentials.remove(secretDigest);
    return;
  }
  await runner.report({ type: 'report_started', ...ref, handle });
  const now = runner.state.agents.get(duty.agent)?.phase;
  const ours = (now?.type === 'running' || now?.type === 'stopping') && now.attempt === duty.attempt;
  // Its attempt was over before it ran: nobody else knows of it, so it ends here.
  if (ours) return;
  await runtime.stop(handle, 0);
  await runtime.release?.(handle);
}

/** What must not be shown of an agent that an earlier server launched; its own secret is known to nobody any more. */
export async function sealedSecrets(runner: SessionRunner, plan: AgentPlan): Promise<readonly string[]> {
  return secretsOf(plan, await openSealed(runner, plan));
}

async function openSealed(runner: SessionRunner, plan: AgentPlan): Promise<LaunchInput['sealed']> {
  return hasSealed(plan) ? runner.world.vault.open(runner.stream) : {};
}

/** What the runtime is to launch, with the values that are sealed beside the journal. */
async function specOf(
  runner: SessionRunner,
  { plan }: AgentState,
  runtime: Runtime,
  ref: { readonly agent: string; readonly attempt: number },
  secret: string,
): Promise<LaunchSpec> {
  const { state, world } = runner;
  const extraEnvironment = world.settings.extraEnvironment?.[plan.runtime.kind];
  return launchSpec({
    labels: { instance: world.instance, session: state.sessionId, ...ref },
    namespace: state.namespace,
    plan,
    sealed: await openSealed(runner, plan),
    secret,
    address: runtime.addressOf(world.agentPort()),
    version: plan.id.version,
    ...(extraEnvironment !== undefined && { extraEnvironment }),
  });
}

function causeOf(runner: SessionRunner, error: unknown, agent: string): string {
  if (error instanceof LaunchFailure) return error.message;
  runner.world.log.error('A launch failed unexpectedly.', runner.tags({ error, agent }));
  return `The launch failed unexpectedly: ${reasonOf(error)}`;
}
