/**
 * What happens at a start after the last server ended without notice: everything it had launched is found by its
 * label and stopped, and the sessions that were running are ended in good order. Held and deferred sessions are as
 * they were. Ends, as every wake-up does (R5), with looking.
 */
import { sessionStream } from '../domain/event.ts';
import { foldSession, type SessionState } from '../domain/state.ts';
import type { Journal, JournalRecord, StreamInfo } from '../ports/journal.ts';
import type { Directory } from './directory.ts';
import { SessionRunner } from './session-runner.ts';
import type { World } from './world.ts';

const PAGE = 1_000;
/** ms a leftover gets between SIGTERM and SIGKILL. */
const LEFTOVER_GRACE = 5_000;

/** What was found. */
export interface Recovered {
  /** Live sessions found. */
  readonly sessions: number;
  /** Leftovers stopped. */
  readonly stopped: number;
}

/** Call once, before anything else is asked of the engine. */
export async function recover(world: World, directory: Directory): Promise<Recovered> {
  const stopped = await stopLeftovers(world);
  const runners: SessionRunner[] = [];
  for await (const info of openSessions(world.journal)) {
    const state = await readSession(world.journal, info.stream);
    if (state === undefined) continue;
    const runner = new SessionRunner(world, state);
    directory.enter(runner, false);
    runners.push(runner);
  }
  await eraseOrphans(world, runners);
  for (const runner of runners) {
    await runner.submit({ type: 'recover' });
    runner.start();
  }
  await directory.tidyAll();
  return { sessions: runners.length, stopped };
}

/** A session's state folded from its whole stream; undefined when it has no records. */
export async function readSession(journal: Journal, stream: string): Promise<SessionState | undefined> {
  const records: JournalRecord[] = [];
  for (let after = 0; ;) {
    const page = await journal.read(stream, after, PAGE);
    const last = page[page.length - 1];
    if (last === undefined) break;
    records.push(...page);
    after = last.seq;
  }
  return foldSession(records);
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

async function stopLeftovers(world: World): Promise<number> {
  let stopped = 0;
  for (const runtime of world.runtimes.values()) {
    if ((await runtime.unavailable()) !== undefined) continue;
    const found = await runtime.list();
    await Promise.all(
      found.map(async ({ handle, labels }) => {
        const receipt = await runtime.stop(handle, LEFTOVER_GRACE);
        stopped += 1;
        const facts = { session: labels.session, agent: labels.agent, attempt: labels.attempt };
        if (receipt.gone)
          world.log.warn('Stopped an agent that the last run of this server left behind.', facts);
        else
          world.log.error(
            `Could not end everything an earlier run left behind: ${receipt.left.join(', ')}.`,
            facts,
          );
      }),
    );
  }
  return stopped;
}

/** Secrets of sessions that were never written down, or are closed. */
async function eraseOrphans(world: World, runners: readonly SessionRunner[]): Promise<void> {
  const live = new Set(runners.map((runner) => sessionStream(runner.state.sessionId)));
  for (const stream of await world.vault.streams()) if (!live.has(stream)) await world.vault.erase(stream);
}
