/**
 * Sessions whose records are damaged. What they were cannot be known, so nothing is done for them: they are named
 * wherever sessions are, and every other session is served. Their agents, if any still run, are let be: with a
 * restored journal the next start goes on with them. Closing such a session ends them by their labels.
 */
import { sessionStream } from '../domain/event.ts';
import { reasonOf } from '../domain/reason.ts';
import { Refusal } from '../domain/refusal.ts';
import type { SessionKey } from '../domain/session.ts';
import { JournalError, type StreamInfo } from '../ports/journal.ts';
import type { Found, Runtime } from '../ports/runtime.ts';
import type { World } from './world.ts';

/** ms an agent of such a session gets between SIGTERM and SIGKILL. */
const GRACE = 5_000;

/** A session that is not served. */
export interface Quarantined extends SessionKey {
  readonly openedAt: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly lastSeq: number;
  /** A sentence: what is damaged, and what to do. */
  readonly reason: string;
}

/** The session of a stream that could not be read or made sense of. Throws what is no damage of this one session. */
export function quarantineOf(info: StreamInfo, error: unknown): Quarantined {
  if (!isDamage(error) && error instanceof JournalError) throw error;
  const reason =
    error instanceof JournalError
      ? error.message
      : `The records of ${info.stream} do not add up to a session (${reasonOf(error)}): restore a backup to have it back, or do without it; all else is served.`;
  const { id: sessionId, namespace, openedAt, annotations, lastSeq } = info;
  return { sessionId, namespace, openedAt, annotations, lastSeq, reason };
}

/** Some records cannot be had, and others can. */
export function isDamage(error: unknown): error is JournalError {
  return error instanceof JournalError && (error.code === 'damaged' || error.code === 'corrupt');
}

/** What every request for it is told. */
export function damaged({ sessionId, reason }: Quarantined): Refusal {
  return new Refusal('session_damaged', `Session ${sessionId} is in quarantine. ${reason}`);
}

/** Its agents that are in the world, by the labels on them. */
export async function agentsOf(
  world: World,
  sessions: ReadonlySet<string>,
): Promise<readonly { readonly runtime: Runtime; readonly found: Found }[]> {
  const agents: { runtime: Runtime; found: Found }[] = [];
  for (const runtime of world.runtimes.values()) {
    if ((await runtime.unavailable()) !== undefined) continue;
    for (const found of await runtime.list())
      if (sessions.has(found.labels.session)) agents.push({ runtime, found });
  }
  return agents;
}

/** Stops all agents of such sessions; returns what of them is left, in words. */
export async function stopAgents(world: World, sessions: ReadonlySet<string>): Promise<readonly string[]> {
  const agents = await agentsOf(world, sessions);
  const left = await Promise.all(
    agents.map(async ({ runtime, found: { handle, labels } }) => {
      try {
        const receipt = await runtime.stop(handle, GRACE);
        return receipt.left.map((what) => `${labels.agent}: ${what}`);
      } catch (error) {
        return [`${labels.agent}: ${reasonOf(error)}`];
      }
    }),
  );
  return left.flat();
}

/** Ends its agents, erases its secrets and closes it in the catalogue. Throws `not_gone`, or a JournalError. */
export async function endQuarantined(world: World, session: Quarantined): Promise<void> {
  const { sessionId, lastSeq } = session;
  const left = await stopAgents(world, new Set([sessionId]));
  if (left.length > 0) {
    throw new Refusal(
      'not_gone',
      `Session ${sessionId} cannot be ended yet, because something of it is still there (${left.join('; ')}): end it by hand and try again.`,
    );
  }
  const stream = sessionStream(sessionId);
  await world.journal.append({
    stream,
    expectedSeq: lastSeq,
    time: world.host.now(),
    events: [{ type: 'session_closed' }],
    closes: true,
  });
  await world.vault.erase(stream);
  for (const runtime of world.runtimes.values()) {
    for (const { handle, labels } of (await runtime.ended?.()) ?? [])
      if (labels.session === sessionId) await runtime.release?.(handle);
  }
}
