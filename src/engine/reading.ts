/**
 * What an agent may see, read from outside: by an explicit cursor in an agent's own wait, or along with it by whoever
 * drives it. Reading changes nothing. Source: docs/wire.md, "Waits" and "Puppet".
 */
import type { MessageRecord } from '../domain/inbox.ts';
import { Refusal } from '../domain/refusal.ts';
import type { SessionState } from '../domain/state.ts';
import type { ReadRequest } from './participant.ts';
import type { SessionRunner } from './session-runner.ts';
import { LONGEST_WAIT } from './world.ts';

/**
 * Ordinal of the message named as cursor; throws `unknown_message`. Recent ones are found at once: it is searched
 * from the end.
 */
export function ordinalOf(state: SessionState, messageId: string): number {
  const message = state.messages.findLast((candidate) => candidate.id === messageId);
  if (message === undefined) {
    throw new Refusal(
      'unknown_message',
      `There is no message ${messageId} in this session; give the id of one you received, or leave the cursor out.`,
    );
  }
  return message.ordinal;
}

/** Messages of others behind an ordinal that `reader` may see, oldest first. */
export function* visibleAfter(
  state: SessionState,
  reader: string,
  after: number,
): Generator<MessageRecord, void> {
  for (let index = after; index < state.messages.length; index += 1) {
    const message = state.messages[index];
    if (message === undefined || message.sender === reader) continue;
    if (state.threads.get(message.threadId)?.participants.has(reader) === true) yield message;
  }
}

/** The next messages behind the cursor; with none yet, those that come within the time. Empty: nothing came. */
export async function readMessages(
  runner: SessionRunner,
  reader: string,
  { after, waitMs, limit, signal }: ReadRequest,
): Promise<readonly MessageRecord[]> {
  const { host } = runner.world;
  const start = after === undefined ? 0 : ordinalOf(runner.state, after);
  let looked = start;
  let threads = -1;
  const look = (): readonly MessageRecord[] => {
    // Who joins a thread sees what was said in it before.
    const now = threadsOf(runner.state, reader);
    const found = take(visibleAfter(runner.state, reader, now === threads ? looked : start), limit);
    threads = now;
    looked = runner.state.messages.length;
    return found;
  };
  const found = look();
  const time = Math.min(waitMs, LONGEST_WAIT);
  if (found.length > 0 || time <= 0 || signal?.aborted === true || !goesOn(runner.state)) return found;

  return new Promise((resolve) => {
    const finish = (messages: readonly MessageRecord[]): void => {
      cancelAlarm();
      unfollow();
      signal?.removeEventListener('abort', leave);
      resolve(messages);
    };
    const leave = (): void => finish([]);
    const cancelAlarm = host.at(host.now() + time, leave);
    const unfollow = runner.onChange(() => {
      const messages = look();
      if (messages.length > 0 || !goesOn(runner.state)) finish(messages);
    });
    signal?.addEventListener('abort', leave, { once: true });
  });
}

/** Somebody may still say something. */
function goesOn({ phase }: SessionState): boolean {
  return phase.type === 'pending' || phase.type === 'running' || phase.type === 'stopping';
}

function threadsOf(state: SessionState, reader: string): number {
  let count = 0;
  for (const thread of state.threads.values()) if (thread.participants.has(reader)) count += 1;
  return count;
}

function take(messages: Iterable<MessageRecord>, limit: number): readonly MessageRecord[] {
  const taken: MessageRecord[] = [];
  if (limit <= 0) return taken;
  for (const message of messages) {
    taken.push(message);
    if (taken.length === limit) break;
  }
  return taken;
}
