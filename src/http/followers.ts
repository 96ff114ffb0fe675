/**
 * What a session's followers receive, whatever carries it to them: its events and the lines its agents print. Each is
 * pulled, so that a slow reader costs a place to go on from and nothing else. The subscription stands when the call
 * returns. Source: docs/wire.md, "Events" and "Logs".
 */
import type { SessionKey } from '../domain/state.ts';
import type { WireEvent } from '../domain/wire/event.ts';
import { wireEvent } from '../domain/wire-event.ts';
import type { Coral } from '../engine/coral.ts';
import { Refusal } from '../domain/refusal.ts';
import type { OutputLine } from '../ports/output.ts';

/** Which events of a session a follower asked for. */
export interface EventQuery {
  /** Replays from behind this seq; undefined: only what comes next. */
  readonly after?: number | undefined;
  /** With the events that are only sent to those who ask. */
  readonly all: boolean;
}

/** Events of a live session until it is gone; throws `unknown_session`. */
export function sessionEvents(
  coral: Coral,
  key: SessionKey,
  { after, all }: EventQuery,
  signal: AbortSignal,
): AsyncIterable<WireEvent> {
  const state = coral.session(key);
  const records = coral.feed.session(key, after, signal);
  return (async function* () {
    for await (const record of records) {
      const event = wireEvent(record, state, all);
      if (event !== undefined) yield event;
    }
  })();
}

/** Which output lines a follower asked for. */
export interface LineQuery {
  /** Every kept line behind this number; undefined: the newest `limit`, then what comes. */
  readonly after?: number | undefined;
  readonly limit: number;
  readonly agent?: string | undefined;
  readonly allowSensitive: boolean;
}

/** Lines read from the store at once. */
const PAGE = 256;

/** Lines of a live session until it is gone; throws `unknown_session` or `agent_not_in_session`. */
export function sessionLines(
  coral: Coral,
  key: SessionKey,
  query: LineQuery,
  signal: AbortSignal,
): AsyncIterable<OutputLine> {
  const session = coral.session(key);
  const { agent } = query;
  if (agent !== undefined && !session.agents.has(agent)) {
    throw new Refusal('agent_not_in_session', `This session has no agent ${JSON.stringify(agent)}.`);
  }
  const news = new News();
  const unfollow = coral.output.follow(key.sessionId, (line) => {
    if (agent === undefined || line.agent === agent) news.tell();
  });
  void gone(coral.feed.session(key, undefined, signal)).then(() => news.end());
  signal.addEventListener('abort', () => news.end(), { once: true });
  return walk(coral, key.sessionId, query, news, signal, unfollow);
}

async function* walk(
  { output }: Coral,
  sessionId: string,
  { after, limit, agent, allowSensitive }: LineQuery,
  news: News,
  signal: AbortSignal,
  unfollow: () => void,
): AsyncGenerator<OutputLine, void> {
  const shown = (line: OutputLine): boolean => allowSensitive || line.sensitive !== true;
  try {
    let cursor = after;
    if (cursor === undefined) {
      // One line at least, of any agent, tells where the live ones begin.
      const newest = await output.tail(sessionId, 1);
      cursor = newest[0]?.number ?? 0;
      const tail = limit === 0 ? [] : await output.tail(sessionId, limit, agent);
      for (const line of tail) if (line.number <= cursor && shown(line)) yield line;
    }
    while (!signal.aborted) {
      const over = news.over;
      const lines = await output.read(sessionId, cursor, PAGE, agent);
      for (const line of lines) {
        cursor = line.number;
        if (shown(line)) yield line;
      }
      if (lines.length > 0) continue;
      if (over) return;
      await news.wait();
    }
  } finally {
    unfollow();
  }
}

/** Resolves when a session is gone or its follower left. */
async function gone(records: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const record of records) void record;
  } catch {
    // A follower that was cut off: the lines end with it.
  }
}

/** Something to look at: told by callbacks, awaited by one reader. */
class News {
  private pending = false;
  private wake: (() => void) | undefined;
  over = false;

  tell(): void {
    this.pending = true;
    this.wake?.();
  }

  end(): void {
    this.over = true;
    this.tell();
  }

  /** Resolves when there was something since the last call. */
  async wait(): Promise<void> {
    if (!this.pending) await new Promise<void>((resolve) => (this.wake = resolve));
    this.wake = undefined;
    this.pending = false;
  }
}
