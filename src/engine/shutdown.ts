/**
 * The end of a server: sessions end in good order where that can be written down. Where it cannot (a full disk, a runtime
 * out of reach) their agents are ended all the same, and the next start finds how: nobody waits for ever.
 */
import type { Host } from '../ports/host.ts';
import { stopAgents } from './quarantine.ts';
import type { SessionRunner } from './session-runner.ts';
import type { World } from './world.ts';

/** What ending may take beyond the longest grace of an agent, ms. */
const PATIENCE = 5_000;

/** Stops these sessions; returns what did not go in good order, in sentences. */
export async function endSessions(
  world: World,
  runners: readonly SessionRunner[],
): Promise<readonly string[]> {
  const graces = runners.flatMap(({ state }) =>
    Array.from(state.agents.values(), ({ plan }) => plan.timeouts.stop),
  );
  const ended = runners.map(async (runner) => {
    await runner.report({ type: 'stop_session', cause: 'shutdown' });
    await runner.until(() => isOver(runner));
  });
  await within(world.host, Math.max(0, ...graces) + PATIENCE, Promise.all(ended));
  const late = runners.filter((runner) => !isOver(runner)).map(({ state }) => state.sessionId);
  if (late.length === 0) return [];
  const left = await stopAgents(world, new Set(late));
  return [
    `That these sessions ended could not be written down, the next start does it: ${late.join(', ')}.`,
    ...(left.length === 0 ? [] : [`Something of their agents is left: ${left.join('; ')}.`]),
  ];
}

/** Resolves as `work` does, or when the time is up, ms; never rejects. */
export async function within(host: Host, ms: number, work: Promise<unknown>): Promise<void> {
  let cancel = (): void => undefined;
  const late = new Promise<void>((resolve) => (cancel = host.at(host.now() + ms, resolve)));
  await Promise.race([work.catch(() => undefined), late]);
  cancel();
}

function isOver({ state: { phase } }: SessionRunner): boolean {
  return phase.type === 'ended' || phase.type === 'closed';
}
