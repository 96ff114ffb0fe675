/**
 * What happens at a start that finds sessions of an earlier server: whatever ran goes on. Agents that outlived the
 * server are watched again by the ordinary duties (R3), those that ended meanwhile tell how, those that ended with the
 * server are lost, and what bears our label and belongs to no attempt that lives is stopped. Ends, as every wake-up
 * does (R5), with looking.
 */
import { sessionStream } from '../domain/event.ts';
import { reasonOf } from '../domain/reason.ts';
import { evolve, type SessionState } from '../domain/state.ts';
import type { Journal, StreamInfo } from '../ports/journal.ts';
import type { Handle, Living, Runtime } from '../ports/runtime.ts';
import type { Directory } from './directory.ts';
import { quarantineOf } from './quarantine.ts';
import { SessionRunner } from './session-runner.ts';
import type { World } from './world.ts';

const PAGE = 1_000;
/** ms a leftover gets between SIGTERM and SIGKILL. */
const LEFTOVER_GRACE = 5_000;

/** What was found. */
export interface Recovered {
  readonly runners: readonly SessionRunner[];
  /** Agents that run or were being launched. */
  readonly agents: number;
  /** What runs and belongs to no session any more; it is being stopped. */
  readonly leftovers: number;
  /** What runs for sessions in quarantine; it is let be. */
  readonly kept: number;
}

/**
 * Call once, before anything else is asked of the engine. `port`: where agents reach this server; undefined: nobody
 * judges where agents look for it.
 */
export async function recover(
  world: World,
  directory: Directory,
  port: number | undefined,
): Promise<Recovered> {
  const runners: SessionRunner[] = [];
  for await (const info of openSessions(world.journal)) {
    const state = await readOrQuarantine(world, directory, info);
    if (state === undefined) continue;
    const runner = new SessionRunner(world, state);
    directory.enter(runner, false);
    runners.push(runner);
  }
  await eraseOrphans(world, directory);
  const jitter = world.host.random();
  await Promise.all(
    runners.map((runner) => runner.submit({ type: 'recover', jitter, ...(port !== undefined && { port }) })),
  );
  // Before anything is launched: what is found now is of an earlier life.
  const { leftovers, kept } = await sweep(world, runners, directory);
  for (const runner of runners) runner.takeOver();
  await directory.tidyAll();
  return { runners, agents: liveAttempts(runners).size, leftovers, kept };
}

async function readOrQuarantine(
  { journal, log }: World,
  directory: Directory,
  info: StreamInfo,
): Promise<SessionState | undefined> {
  try {
    const state = await readSession(journal, info.stream);
    if (state !== undefined && state.namespace !== info.namespace)
      throw new Error(`they are of namespace "${state.namespace}"`);
    return state;
  } catch (error) {
    const session = quarantineOf(info, error);
    directory.quarantine(session);
    log.error(`Session ${info.namespace}/${info.id} is in quarantine and not served. ${session.reason}`);
    return undefined;
  }
}

/** A session's state folded from its whole stream; undefined when it has no records. Throws when they do not add up to it. */
export async function readSession(journal: Journal, stream: string): Promise<SessionState | undefined> {
  let state: SessionState | undefined;
  for (let after = 0; ; after += PAGE) {
    const page = await journal.read(stream, after, PAGE);
    for (const record of page) state = evolve(state, record);
    if (page.length < PAGE) break;
  }
  if (state !== undefined && sessionStream(state.sessionId) !== stream)
    throw new Error(`they are of session ${state.sessionId}`);
  return state;
}

async function* openSessions(journal: Journal): AsyncGenerator<StreamInfo> {
  const found: StreamInfo[] = [];
  let cursor: string | undefined;
  do {
    const page = await journal.streams({
      kind: 'session',
      open: true,
      limit: PAGE,
      ...(cursor !== undefined && { cursor }),
    });
    found.push(...page.streams);
    cursor = page.next;
  } while (cursor !== undefined);
  // The catalogue is newest first; sessions are known oldest first.
  yield* found.reverse();
}

/** Stops what belongs to no attempt that lives, without waiting for it, and forgets endings that were taken note of. */
async function sweep(
  world: World,
  runners: readonly SessionRunner[],
  directory: Directory,
): Promise<{ readonly leftovers: number; readonly kept: number }> {
  const live = liveAttempts(runners);
  const quarantined = quarantinedIds(directory);
  let leftovers = 0;
  let kept = 0;
  for (const runtime of world.runtimes.values()) {
    if ((await runtime.unavailable()) !== undefined) continue;
    try {
      for (const { handle, labels } of await runtime.list()) {
        if (live.has(attemptKey(labels))) continue;
        if (quarantined.has(labels.session)) {
          kept += 1;
          continue;
        }
        leftovers += 1;
        void stopLeftover(world, runtime, handle, labels);
      }
      for (const { handle, labels } of (await runtime.ended?.()) ?? []) {
        if (live.has(attemptKey(labels)) || quarantined.has(labels.session)) continue;
        await runtime.release?.(handle);
      }
    } catch (error) {
      world.log.error(`It could not be found out which ${runtime.kind} agents an earlier run left behind.`, {
        error: reasonOf(error),
      });
    }
  }
  return { leftovers, kept };
}

/** Ids of the sessions that are in quarantine. */
export function quarantinedIds(directory: Directory): ReadonlySet<string> {
  return new Set(Array.from(directory.quarantined(), ({ sessionId }) => sessionId));
}

async function stopLeftover(world: World, runtime: Runtime, handle: Handle, of: Attempt): Promise<void> {
  const facts = { session: of.session, agent: of.agent, attempt: of.attempt };
  try {
    const { gone, left } = await runtime.stop(handle, LEFTOVER_GRACE);
    if (!gone) throw new Error(left.join(', '));
    world.log.warn('Stopped an agent that the last run of this server left behind.', facts);
    await runtime.release?.(handle);
  } catch (error) {
    world.log.error(`Could not end everything an earlier run left behind: ${reasonOf(error)}.`, facts);
  }
}

interface Attempt {
  readonly session: string;
  readonly agent: string;
  readonly attempt: number;
}

function attemptKey({ session, agent, attempt }: Attempt): string {
  return `${session}/${attempt}/${agent}`;
}

/** Attempts that run or are being launched, as the journal says. */
function liveAttempts(runners: Iterable<SessionRunner>): ReadonlySet<string> {
  const live = new Set<string>();
  for (const { state } of runners) {
    for (const { phase, plan } of state.agents.values()) {
      if (phase.type !== 'launching' && phase.type !== 'running' && phase.type !== 'stopping') continue;
      live.add(attemptKey({ session: state.sessionId, agent: plan.name, attempt: phase.attempt }));
    }
  }
  return live;
}

/** What lives as far as the journal says: sessions that are open, attempts in them. Of quarantined sessions everything may. */
export function livingOf(directory: Directory): Living {
  const attempts = liveAttempts(directory.runners());
  const quarantined = quarantinedIds(directory);
  const open = new Set(Array.from(directory.runners(), ({ state }) => state.sessionId));
  return {
    session: (id) => open.has(id) || quarantined.has(id),
    attempt: (labels) => attempts.has(attemptKey(labels)) || quarantined.has(labels.session),
  };
}

/** Secrets of sessions that were never written down, or are closed. */
async function eraseOrphans(world: World, directory: Directory): Promise<void> {
  const live = new Set<string>();
  for (const { state } of directory.runners()) live.add(sessionStream(state.sessionId));
  for (const { sessionId } of directory.quarantined()) live.add(sessionStream(sessionId));
  for (const stream of await world.vault.streams()) if (!live.has(stream)) await world.vault.erase(stream);
}
