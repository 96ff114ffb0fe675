/** What one webhook of one session has had and is still owed. Pure. Source: docs/wire.md, "Webhooks". */
import type { OutboxEvent } from './event.ts';

/** Which of a session's two webhooks. */
export type Hook = 'session_end' | 'events';

/** A delivery that was given up after `tries` tries. */
export interface DeadDelivery {
  readonly seq: number;
  readonly tries: number;
  readonly reason: string;
  /** Wall-clock ms. */
  readonly time: number;
}

/** The fold of one outbox stream; owned by whoever runs it. */
export interface OutboxState {
  readonly opened: Extract<OutboxEvent, { type: 'outbox_opened' }>;
  /** Seq of the session's fact up to which everything was delivered or given up. */
  cursor: number;
  readonly dead: Map<number, DeadDelivery>;
  /** Given up once, and to be sent again. */
  readonly again: Set<number>;
  finished: boolean;
  /** Seq of this stream. */
  seq: number;
}

/** Folds one record in; the first makes the state. */
export function evolveOutbox(
  state: OutboxState | undefined,
  record: { readonly seq: number; readonly time: number; readonly event: unknown },
): OutboxState {
  const event = record.event as OutboxEvent;
  if (event.type === 'outbox_opened') {
    return { opened: event, cursor: 0, dead: new Map(), again: new Set(), finished: false, seq: record.seq };
  }
  if (state === undefined) throw new Error(`an outbox's first fact is outbox_opened, not ${event.type}`);
  switch (event.type) {
    case 'delivery_done':
      state.dead.delete(event.seq);
      state.again.delete(event.seq);
      state.cursor = Math.max(state.cursor, event.seq);
      break;
    case 'delivery_dead': {
      const { seq, tries, reason } = event;
      state.dead.set(seq, { seq, tries, reason, time: record.time });
      state.again.delete(seq);
      state.cursor = Math.max(state.cursor, seq);
      break;
    }
    case 'delivery_replayed':
      state.dead.delete(event.seq);
      state.again.add(event.seq);
      break;
    case 'outbox_finished':
      state.finished = true;
      break;
  }
  state.seq = record.seq;
  return state;
}

/** Stable over retries and restarts: receivers deduplicate by it. */
export function deliveryId(sessionId: string, hook: Hook, seq: number): string {
  return `${sessionId}-${hook === 'events' ? 'event' : 'end'}-${seq}`;
}

/** First pause after a failed try, ms; doubles up to the longest. */
export const FIRST_PAUSE = 1_000;
export const LONGEST_PAUSE = 10 * 60_000;

/** Pause before the next try, ms: exponential, spread over half of it by `jitter` (0 … 1). */
export function pauseAfter(tries: number, jitter: number): number {
  const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(tries - 1, 20));
  return Math.round(pause * (0.5 + 0.5 * jitter));
}
