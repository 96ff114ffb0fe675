/**
 * Parked waits of one session, lossless: a message is reserved for one wait when it matches, and counts as handed
 * over only once its answer was written and that fact is in the journal. Volatile by design: after a crash a message
 * may be handed over twice, never zero times.
 */
import { matches, type MessageRecord } from '../domain/inbox.ts';
import { Refusal } from '../domain/refusal.ts';
import type { SessionEvent, WaitFilter } from '../domain/event.ts';
import { failpoint } from '../ports/failpoint.ts';
import type { JournalRecord } from '../ports/journal.ts';
import type { Delivery, WaitRequest } from './participant.ts';
import { ordinalOf, visibleAfter } from './reading.ts';
import { LONGEST_WAIT } from './world.ts';
import type { SessionRunner } from './session-runner.ts';

interface Parked {
  readonly id: string;
  readonly agent: string;
  readonly filters: readonly WaitFilter[];
  /** With an explicit cursor: messages up to this ordinal do not count, handed over or not does not matter. */
  readonly after: number | undefined;
  answer(message: MessageRecord): void;
  end(outcome: 'timeout' | 'session_ended'): void;
}

const NOBODY: ReadonlySet<number> = new Set();

/** The parked waits of one session. */
export class Waits {
  private readonly parked = new Map<string, Set<Parked>>();
  /** Ordinals on their way to a client, by agent. */
  private readonly reserved = new Map<string, Set<number>>();

  constructor(private readonly runner: SessionRunner) {}

  /** Waits that are open now. */
  get open(): number {
    let open = 0;
    for (const set of this.parked.values()) open += set.size;
    return open;
  }

  /** The oldest matching message, now or within the time; undefined when the time is up or the session ends. */
  async wait(agent: string, request: WaitRequest): Promise<Delivery<MessageRecord | undefined>> {
    const { afterMessageId } = request;
    const after = afterMessageId === undefined ? undefined : ordinalOf(this.runner.state, afterMessageId);
    const { filters, signal } = request;
    const found = this.find(agent, filters, after);
    const { host } = this.runner.world;
    if (found !== undefined) return this.deliver(agent, host.uuid(), filters, found);
    const time = Math.min(request.maxWaitMs, LONGEST_WAIT);
    if (time <= 0 || signal?.aborted === true || this.runner.state.phase.type !== 'running') return NOTHING;

    return new Promise((resolve, reject) => {
      const settle = (delivery: Delivery<MessageRecord | undefined>): void => {
        forget();
        resolve(delivery);
      };
      const finish = (outcome: 'timeout' | 'session_ended' | 'client_gone'): void => {
        settle(NOTHING);
        this.record({ type: 'end_wait', agent, waitId: parked.id, filters, outcome });
      };
      const parked: Parked = {
        id: host.uuid(),
        agent,
        filters,
        after,
        answer: (message) => settle(this.deliver(agent, parked.id, filters, message)),
        end: finish,
      };
      const gone = (): void => finish('client_gone');
      const cancelAlarm = host.at(host.now() + time, () => finish('timeout'));
      signal?.addEventListener('abort', gone, { once: true });
      const forget = (): void => {
        cancelAlarm();
        signal?.removeEventListener('abort', gone);
        const set = this.parked.get(agent);
        set?.delete(parked);
        if (set?.size === 0) this.parked.delete(agent);
      };
      let set = this.parked.get(agent);
      if (set === undefined) this.parked.set(agent, (set = new Set()));
      set.add(parked);
      // Parked at once, so that nothing slips by while its beginning is written down.
      this.runner
        .submit({ type: 'start_wait', agent, waitId: parked.id, filters })
        .catch((error: unknown) => {
          if (this.parked.get(agent)?.has(parked) !== true) return;
          forget();
          // The session began to stop in this moment: that ends waits, it is no fault of the caller.
          if (error instanceof Refusal && error.code !== 'limit_exceeded') resolve(NOTHING);
          else reject(error instanceof Error ? error : new Error(String(error)));
        });
    });
  }

  /** Called from the drain with every commit, in order. */
  take(records: readonly JournalRecord[]): void {
    if (this.parked.size === 0) return;
    for (const record of records) {
      const event = record.event as SessionEvent;
      switch (event.type) {
        case 'message_sent':
          for (const agent of this.runner.state.threads.get(event.threadId)?.participants ?? [])
            this.match(agent);
          break;
        case 'thread_participant_added':
          this.match(event.name);
          break;
        case 'session_stopping':
        case 'session_ended':
          for (const set of [...this.parked.values()]) for (const wait of [...set]) wait.end('session_ended');
          break;
        case 'agent_exited':
          for (const wait of [...(this.parked.get(event.agent) ?? [])]) wait.end('session_ended');
          break;
        default:
      }
    }
  }

  /** Gives an agent's parked waits, oldest first, what they may have now. */
  private match(agent: string): void {
    for (const wait of [...(this.parked.get(agent) ?? [])]) {
      const message = this.find(agent, wait.filters, wait.after);
      if (message !== undefined) wait.answer(message);
    }
  }

  private find(
    agent: string,
    filters: readonly WaitFilter[],
    after: number | undefined,
  ): MessageRecord | undefined {
    const state = this.runner.state;
    const reader = state.agents.get(agent);
    if (reader === undefined) return undefined;
    if (after !== undefined) {
      for (const message of visibleAfter(state, agent, after)) if (matches(message, filters)) return message;
      return undefined;
    }
    const taken = this.reserved.get(agent) ?? NOBODY;
    return reader.inbox.oldest(filters, (message) => taken.has(message.ordinal));
  }

  private deliver(
    agent: string,
    waitId: string,
    filters: readonly WaitFilter[],
    message: MessageRecord,
  ): Delivery<MessageRecord> {
    const { ordinal } = message;
    let taken = this.reserved.get(agent);
    if (taken === undefined) this.reserved.set(agent, (taken = new Set()));
    taken.add(ordinal);
    failpoint('reserved'); // message 3
    const release = (): void => {
      taken.delete(ordinal);
      if (taken.size === 0 && this.reserved.get(agent) === taken) this.reserved.delete(agent);
    };
    let settled = false;
    return {
      value: message,
      settle: (delivered) => {
        if (settled) return;
        settled = true;
        if (delivered) {
          // Reserved until the journal has it: so it is not handed over twice while the disk is full.
          this.record({ type: 'end_wait', agent, waitId, filters, outcome: 'message', ordinal }, release);
        } else {
          release();
          this.record({ type: 'end_wait', agent, waitId, filters, outcome: 'client_gone' });
          this.match(agent);
        }
      },
    };
  }

  private record(command: Parameters<SessionRunner['report']>[0], done?: () => void): void {
    void this.runner.report(command).finally(done);
  }
}

const NOTHING: Delivery<undefined> = { value: undefined, settle: () => {} };
