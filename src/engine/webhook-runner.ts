/**
 * One webhook of one session: a follower of the session's journal with a durable cursor. What is sent is computed
 * from the journal at every try, the same each time.
 */
import { sessionStream, type OutboxEvent } from '../domain/event.ts';
import { endReport } from '../domain/end-report.ts';
import { deliveryId, evolveOutbox, pauseAfter, type Hook, type OutboxState } from '../domain/outbox.ts';
import { reasonOf } from '../domain/reason.ts';
import { evolve, type SessionState } from '../domain/state.ts';
import { wireEvent } from '../domain/wire-event.ts';
import { failpoint } from '../ports/failpoint.ts';
import type { JournalRecord } from '../ports/journal.ts';
import { OutboundError, type Sender } from '../ports/outbound.ts';
import { readSession } from './recovery.ts';
import type { World } from './world.ts';

/** How webhooks are sent. */
export interface OutboxOptions {
  readonly sender: Sender;
  /** `network.webhookSecret`. */
  sign(body: string): string;
  /** Over id, time (Unix seconds) and body, against replay. */
  signDelivery(id: string, time: number, body: string): string;
  /** ms per try; default 10000. */
  readonly timeoutMs?: number;
  /** ms from the first try after which a delivery is given up; default 12 hours. */
  readonly giveUpAfterMs?: number;
}

/** One delivery as its operator sees it. */
export interface Delivery {
  readonly id: string;
  readonly namespace: string;
  readonly sessionId: string;
  readonly hook: Hook;
  readonly url: string;
  readonly state: 'pending' | 'dead';
  readonly tries: number;
  /** The last failure, a sentence. */
  readonly reason?: string;
  /** Wall-clock ms: next try of a pending one, giving up of a dead one. */
  readonly time?: number;
}

const TIMEOUT = 10_000;
const GIVE_UP_AFTER = 12 * 3_600_000;
/** Nobody waits for the body of a webhook's answer. */
const MAX_ANSWER = 64 * 1024;

interface Trying {
  tries: number;
  reason?: string;
  next?: number;
}

/** Sends what one webhook is owed, in order, until its session has told everything. */
export class WebhookRunner {
  private readonly stopped = new AbortController();
  private readonly trying = new Map<number, Trying>();
  private readonly again = new Set<Promise<void>>();
  private writing: Promise<unknown> = Promise.resolve();
  /** Everything the session will ever tell was settled. */
  private read = false;

  constructor(
    private readonly world: World,
    private readonly options: OutboxOptions,
    private readonly stream: string,
    private readonly state: OutboxState,
    private readonly around: { live(): SessionState | undefined; finished(): void },
  ) {}

  /** Resolves when the session told everything, or it was stopped. */
  async run(): Promise<void> {
    const { sessionId, hook } = this.state.opened;
    for (const seq of this.state.again) this.sendAgain(seq);
    try {
      for await (const record of this.world.feed.follow(sessionStream(sessionId), 0, this.stopped.signal)) {
        if (record.seq <= this.state.cursor) continue;
        const body = await this.bodyOf(record);
        if (body !== undefined) await this.deliver(record.seq, body);
        if (this.stopped.signal.aborted) return;
        if (hook === 'session_end' && record.event.type === 'session_ended') break;
      }
    } catch (error) {
      this.world.log.error('A webhook stopped; it is taken up at the next start.', {
        session: sessionId,
        error: reasonOf(error),
      });
      return;
    }
    if (this.stopped.signal.aborted) return;
    this.read = true;
    await this.finish();
  }

  list(): Delivery[] {
    const { namespace, sessionId, hook, url } = this.state.opened;
    const base = { namespace: namespace.name, sessionId, hook, url };
    const pending = [...this.trying].map(([seq, { tries, reason, next }]): Delivery => ({
      id: deliveryId(sessionId, hook, seq),
      ...base,
      state: 'pending',
      tries,
      ...(reason !== undefined && { reason }),
      ...(next !== undefined && { time: next }),
    }));
    const dead = [...this.state.dead.values()].map(({ seq, tries, reason, time }): Delivery => ({
      id: deliveryId(sessionId, hook, seq),
      ...base,
      state: 'dead',
      tries,
      reason,
      time,
    }));
    return [...dead, ...pending];
  }

  /** False when the id is not a dead delivery of this webhook. */
  async replay(id: string): Promise<boolean> {
    const { sessionId, hook } = this.state.opened;
    const dead = [...this.state.dead.values()].find(({ seq }) => deliveryId(sessionId, hook, seq) === id);
    if (dead === undefined) return false;
    await this.write({ type: 'delivery_replayed', seq: dead.seq });
    this.sendAgain(dead.seq);
    return true;
  }

  close(): void {
    this.stopped.abort();
  }

  private sendAgain(seq: number): void {
    const sending = (async () => {
      const [record] = await this.world.journal.read(sessionStream(this.state.opened.sessionId), seq - 1, 1);
      const body = record === undefined ? undefined : await this.bodyOf(record);
      if (body !== undefined) await this.deliver(seq, body);
    })()
      .catch((error: unknown) => {
        this.world.log.error('A delivery could not be sent again.', {
          session: this.state.opened.sessionId,
          error: reasonOf(error),
        });
      })
      .finally(() => {
        this.again.delete(sending);
        void this.finish();
      });
    this.again.add(sending);
  }

  /** What a fact gives rise to; undefined: nothing. The same text at every try. */
  private async bodyOf(record: JournalRecord): Promise<string | undefined> {
    const { hook, namespace, sessionId, types, extended } = this.state.opened;
    if (hook === 'events') {
      // Most facts need no look at the session; a message that was handed over is looked up in it.
      const state = this.around.live() ?? (await readSession(this.world.journal, sessionStream(sessionId)));
      if (state === undefined) return undefined;
      // What not every client may see is told where it is asked for by name.
      const event =
        wireEvent(record, state) ?? (types === undefined ? undefined : wireEvent(record, state, true));
      if (event === undefined || types?.includes(event.type) === false) return undefined;
      return JSON.stringify({ namespace: namespace.name, sessionId, event });
    }
    if (record.event.type !== 'session_ended') return undefined;
    const state = await this.stateAt(record.seq);
    return JSON.stringify(endReport(state, namespace, extended === true));
  }

  private async stateAt(seq: number): Promise<SessionState> {
    const stream = sessionStream(this.state.opened.sessionId);
    let state: SessionState | undefined;
    for (let after = 0; after < seq; after = state?.seq ?? seq) {
      const records = await this.world.journal.read(stream, after, Math.min(1_000, seq - after));
      for (const record of records) state = evolve(state, record);
      if (records.length === 0) break;
    }
    if (state === undefined) throw new Error(`session ${this.state.opened.sessionId} has no facts`);
    return state;
  }

  /** Tries until it is taken, given up or the server stops. */
  private async deliver(seq: number, body: string): Promise<void> {
    const { host, log } = this.world;
    const { sessionId, hook, url } = this.state.opened;
    const id = deliveryId(sessionId, hook, seq);
    const since = host.now();
    const now: Trying = { tries: 0 };
    this.trying.set(seq, now);
    try {
      for (;;) {
        failpoint('due'); // delivery 1
        now.tries += 1;
        const failure = await this.attempt(id, url, body);
        if (this.stopped.signal.aborted) return;
        if (failure === undefined) {
          await this.write({ type: 'delivery_done', seq });
          return;
        }
        now.reason = failure.reason;
        if (failure.final || host.now() - since >= (this.options.giveUpAfterMs ?? GIVE_UP_AFTER)) {
          log.error('A webhook delivery was given up; see GET /api/v1/deliveries.', {
            session: sessionId,
            delivery: id,
            reason: failure.reason,
          });
          await this.write({ type: 'delivery_dead', seq, tries: now.tries, reason: failure.reason });
          return;
        }
        const pause = pauseAfter(now.tries, host.random());
        now.next = host.now() + pause;
        await this.pause(pause);
        if (this.stopped.signal.aborted) return;
      }
    } finally {
      this.trying.delete(seq);
    }
  }

  /** One try; undefined when it was taken. */
  private async attempt(
    id: string,
    url: string,
    body: string,
  ): Promise<{ reason: string; final: boolean } | undefined> {
    const { sender, timeoutMs = TIMEOUT } = this.options;
    const time = Math.floor(this.world.host.now() / 1_000);
    try {
      const { status } = await sender.post({
        url,
        body,
        headers: {
          'X-Coral-Delivery': id,
          'X-Coral-Signature': this.options.sign(body),
          'X-Coral-Signature-Timestamp': String(time),
          'X-Coral-Signature-V2': this.options.signDelivery(id, time, body),
        },
        timeoutMs,
        maxAnswerBytes: MAX_ANSWER,
        signal: this.stopped.signal,
      });
      if (status >= 200 && status < 300) return undefined;
      // 410: the receiver says that it is gone for good.
      return { reason: `The receiver answered with status ${status}.`, final: status === 410 };
    } catch (error) {
      // It answered, only at too great length: that is taken.
      if (error instanceof OutboundError && error.code === 'too_large') return undefined;
      return {
        reason: reasonOf(error),
        final: error instanceof OutboundError && error.code === 'refused_address',
      };
    }
  }

  private async pause(ms: number): Promise<void> {
    const { host } = this.world;
    const { signal } = this.stopped;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        cancel();
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const cancel = host.at(host.now() + ms, wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  /** Closes the stream when all is read, sent and nothing dead is kept for a replay. */
  private async finish(): Promise<void> {
    if (!this.read || this.state.finished || this.again.size > 0 || this.state.dead.size > 0) return;
    await this.write({ type: 'outbox_finished' }, true);
    if (this.state.finished) this.around.finished();
  }

  /** One fact after the other, again and again until it is written. */
  private write(event: OutboxEvent, closes = false): Promise<void> {
    const written = this.writing.then(async () => {
      for (let tries = 1; ; tries += 1) {
        try {
          const records = await this.world.journal.append({
            stream: this.stream,
            expectedSeq: this.state.seq,
            time: this.world.host.now(),
            events: [event],
            ...(closes && { closes }),
          });
          for (const record of records) evolveOutbox(this.state, record);
          return;
        } catch (error) {
          if (this.stopped.signal.aborted) return;
          this.world.log.error('The state of a webhook could not be written down yet; it is tried again.', {
            error: reasonOf(error),
          });
          await this.pause(pauseAfter(tries, 0));
        }
      }
    });
    this.writing = written;
    return written;
  }
}
