/**
 * Runs one session. Five invariants hold here and are cited by number:
 *
 * - R1 A fact goes decide → journal → state. One command at a time, or several that have nothing to do with each other
 *   (`concerns.ts`); the state in memory is never ahead of the journal; nothing is acknowledged before it is durable.
 * - R2 The world is told and touched only from the drain that follows a commit, in event order.
 * - R3 A duty is owed by the state, never by an event: first run, retry and recovery are one path.
 * - R4 Every report from the world carries its attempt; a report for an attempt that is over means nothing.
 * - R5 Waking up is looking: boot, alarm and retry do the same thing. An alarm only names the future.
 */
import type { Command } from '../domain/command.ts';
import { concerns } from '../domain/concerns.ts';
import { decide } from '../domain/decide.ts';
import { owed } from '../domain/duties.ts';
import { sessionStream, type SessionEvent } from '../domain/event.ts';
import { reasonOf } from '../domain/reason.ts';
import { Refusal } from '../domain/refusal.ts';
import { evolve, type SessionKey, type SessionState } from '../domain/state.ts';
import type { JournalRecord } from '../ports/journal.ts';
import { Performer } from './performer.ts';
import { Barrier } from './barrier.ts';
import { Waits } from './waits.ts';
import type { World } from './world.ts';

interface Queued {
  readonly command: Command;
  resolve(records: readonly JournalRecord[]): void;
  reject(error: unknown): void;
}

/** A command and what it comes to, still to be written down. */
interface Decided extends Queued {
  readonly events: readonly SessionEvent[];
}

/** How long to wait before something that failed is tried again, ms. */
const RETRY_AFTER = 1_000;
const LONGEST_RETRY = 30_000;

/** Facts after which nobody in the world is owed anything else than before. */
const TALK: ReadonlySet<SessionEvent['type']> = new Set([
  'message_sent',
  'thread_created',
  'thread_participant_added',
  'thread_participant_removed',
  'thread_closed',
  'wait_started',
  'wait_ended',
  'state_read',
]);

const NONE: readonly JournalRecord[] = [];

/** One session: its state, its queue of commands, and what is done for it in the world. */
export class SessionRunner {
  readonly waits = new Waits(this);
  readonly barrier = new Barrier(this);
  private readonly performer = new Performer(this);
  private queue: Queued[] = [];
  private busy = false;
  private isUp = false;
  private cancelAlarm: (() => void) | undefined;
  private readonly watchers = new Set<() => void>();
  private readonly listeners = new Set<() => void>();

  /** What could not be ended of agents that were told to stop, in words; tried again all the while. */
  readonly left = new Map<string, readonly string[]>();
  /** When agents with an inactivity limit last called or printed. */
  readonly activity = new Map<string, number>();

  /** `state` is mine from now on: nobody else folds into it. */
  constructor(
    readonly world: World,
    private current: SessionState,
  ) {}

  get state(): SessionState {
    return this.current;
  }

  get key(): SessionKey {
    return { namespace: this.current.namespace, sessionId: this.current.sessionId };
  }

  get stream(): string {
    return sessionStream(this.current.sessionId);
  }

  /** Boot (R5): look at what the state owes. Before that nothing is done for it. */
  start(): void {
    this.isUp = true;
    this.attend();
  }

  /** Boot of a session that an earlier server ran. */
  takeOver(): void {
    this.performer.takeOver();
    this.start();
  }

  /** Decides, makes durable, folds, tells. Rejects with the Refusal, or with JournalError when it could not be written. */
  submit(command: Command): Promise<readonly JournalRecord[]> {
    return new Promise((resolve, reject) => {
      this.queue.push({ command, resolve, reject });
      if (this.busy) return;
      this.busy = true;
      // Once this turn's commands are all there: what is done for several agents at once is asked for at once.
      queueMicrotask(() => void this.pump());
    });
  }

  /** A report about something that already happened: kept until it is written down, whatever the disk says. */
  async report(command: Command): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      try {
        await this.submit(command);
        return;
      } catch (error) {
        if (error instanceof Refusal) return; // R4
        if (this.current.phase.type === 'closed') return;
        if (tries === 0)
          this.world.log.error(
            'A fact could not be written down yet; it is tried again.',
            this.tags({ error }),
          );
        await this.pause(Math.min(LONGEST_RETRY, RETRY_AFTER * 2 ** Math.min(tries, 5)));
      }
    }
  }

  /** Resolves as soon as `holds` is true of the state. */
  until(holds: (state: SessionState) => boolean): Promise<void> {
    if (holds(this.current)) return Promise.resolve();
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds(this.current)) return;
        this.watchers.delete(look);
        resolve();
      };
      this.watchers.add(look);
    });
  }

  /** Like `until`, but rejects with `not_gone` when an agent (or `only` this one) turns out not to be ended. */
  async untilGone(holds: (state: SessionState) => boolean, only?: string): Promise<void> {
    const remains = (): [string, readonly string[]][] =>
      [...this.left].filter(([agent]) => only === undefined || agent === only);
    await this.until((state) => holds(state) || remains().length > 0);
    if (holds(this.current)) return;
    const left = remains().map(([agent, what]) => `${agent}: ${what.join(', ')}`);
    const whose = only === undefined ? `Session ${this.current.sessionId}` : `Agent "${only}"`;
    throw new Refusal(
      'not_gone',
      `${whose} cannot be ended yet, because something of it is still there (${left.join('; ')}). It is tried again; end it by hand if need be.`,
    );
  }

  /** Something of an agent is left, or (empty) nothing any more. */
  leftOf(agent: string, left: readonly string[]): void {
    if (left.length === 0) this.left.delete(agent);
    else this.left.set(agent, left);
    for (const look of [...this.watchers]) look();
  }

  /** Calls `changed` after every commit; returns what ends it. */
  onChange(changed: () => void): () => void {
    this.listeners.add(changed);
    return () => this.listeners.delete(changed);
  }

  /** Waits on the host's clock. */
  pause(ms: number): Promise<void> {
    const { host } = this.world;
    return new Promise((resolve) => host.at(host.now() + ms, resolve));
  }

  /** Stops performing without touching agents: the server goes, they may stay. Resolves when no launch is under way. */
  async detach(): Promise<void> {
    this.cancelAlarm?.();
    this.cancelAlarm = undefined;
    await this.performer.detach();
  }

  /** An agent called or printed. */
  active(agent: string): void {
    if (this.activity.has(agent)) this.activity.set(agent, this.world.host.now());
  }

  /** What its runtime last said about an agent's launch. */
  progressOf(agent: string): string | undefined {
    return this.performer.progressOf(agent);
  }

  tags(more?: { agent?: string; error?: unknown }): Record<string, unknown> {
    const { error, ...rest } = more ?? {};
    return {
      namespace: this.current.namespace,
      session: this.current.sessionId,
      ...rest,
      ...(error !== undefined && { error: reasonOf(error) }),
    };
  }

  private async pump(): Promise<void> {
    while (this.queue.length > 0) {
      const now = this.world.host.now();
      const decided = this.decideNext(now);
      if (decided.length > 0) await this.writeDown(decided, now);
    }
    this.busy = false;
  }

  /** Decides what is next in the queue, and what follows as long as it has nothing to do with what was decided before. */
  private decideNext(now: number): readonly Decided[] {
    const decided: Decided[] = [];
    const concerned = new Set<string>();
    for (let next = this.queue[0]; next !== undefined; next = this.queue[0]) {
      const about = concerns(next.command);
      if (decided.length > 0 && (about === undefined || about.some((it) => concerned.has(it)))) break;
      this.queue.shift();
      const events = decide(this.current, next.command, now, this.world.settings.limits);
      if (events instanceof Refusal) next.reject(events);
      else if (events.length === 0) next.resolve(NONE);
      else decided.push({ ...next, events });
      if (decided.length > 0 && about === undefined) break;
      for (const it of about ?? []) concerned.add(it);
    }
    return decided;
  }

  private async writeDown(decided: readonly Decided[], now: number): Promise<void> {
    const events = decided.flatMap((one) => one.events);
    let records: readonly JournalRecord[];
    try {
      records = await this.world.journal.append({
        stream: this.stream,
        expectedSeq: this.current.seq,
        time: now,
        events,
        closes: events[events.length - 1]?.type === 'session_closed',
      });
    } catch (error) {
      for (const one of decided) one.reject(error);
      return;
    }
    for (const record of records) this.current = evolve(this.current, record);
    let from = 0;
    for (const one of decided) one.resolve(records.slice(from, (from += one.events.length)));
    this.drain(records);
  }

  /** R2: the only place from which anybody hears of a fact. */
  private drain(records: readonly JournalRecord[]): void {
    this.world.feed.publish(this.stream, records);
    this.waits.take(records);
    for (const listener of this.listeners) listener();
    if (records.every((record) => TALK.has((record.event as SessionEvent).type))) return;
    if (this.current.phase.type === 'closed') this.world.closed(this);
    for (const look of [...this.watchers]) look();
    this.attend();
  }

  /** R3, R5: compares what is owed with what is being done, and sets the next alarm. */
  attend(): void {
    // What an earlier server was doing would be taken for done by this one.
    if (!this.isUp) return;
    const { host } = this.world;
    const { duties, alarm } = owed(this.current, host.now());
    this.cancelAlarm?.();
    this.cancelAlarm = alarm === undefined ? undefined : host.at(alarm, () => this.attend());
    this.performer.perform(duties);
  }
}
