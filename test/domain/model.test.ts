/**
 * The rules of a session against a model of them (model.ts), on random commands, ends of agents, moments and restarts.
 * `CORAL_TEST_RUNS` makes it more than the default (test/support/runs.ts).
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Command } from '../../src/domain/command.ts';
import { decide } from '../../src/domain/decide.ts';
import type { RestartPolicy } from '../../src/domain/definition.ts';
import { owed } from '../../src/domain/duties.ts';
import type { SessionEvent, WaitFilter } from '../../src/domain/event.ts';
import type { Ending, StopCause } from '../../src/domain/exit.ts';
import { Refusal } from '../../src/domain/refusal.ts';
import { evolve, foldSession, type SessionState } from '../../src/domain/state.ts';
import { agentPlan } from '../support/plans.ts';
import { runs } from '../support/runs.ts';
import { EPOCH, opened } from '../support/story.ts';
import { Model } from './model.ts';

const RUNS = runs(150);
const PORT = 5555;

/** One step, as numbers that are read against what is there when it is taken. */
const move = fc.record({
  kind: fc.oneof(
    { weight: 30, arbitrary: fc.constant('duty' as const) },
    {
      weight: 25,
      arbitrary: fc.constantFrom('send', 'send', 'send', 'take', 'take', 'read', 'wait', 'unwait' as const),
    },
    {
      weight: 14,
      arbitrary: fc.constantFrom('create', 'close', 'add', 'remove', 'rejoin', 'rejoin' as const),
    },
    {
      weight: 12,
      arbitrary: fc.constantFrom('exit', 'started', 'launch', 'observed', 'connect', 'disconnect' as const),
    },
    { weight: 4, arbitrary: fc.constantFrom('stop', 'dismiss', 'join', 'ttl' as const) },
    { weight: 4, arbitrary: fc.constantFrom('restart', 'look', 'alarm', 'alarm' as const) },
    { weight: 1, arbitrary: fc.constantFrom('execute', 'close-session', 'end-hold' as const) },
  ),
  a: fc.nat(7),
  b: fc.nat(7),
  c: fc.nat(7),
  pause: fc.constantFrom(0, 0, 1, 40, 700),
});
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;

const policy = fc.record({
  policy: fc.constantFrom('never', 'on_failure', 'always' as const),
  maxRestarts: fc.nat(3),
  delay: fc.constantFrom(0, 100, 1_000),
  maxDelay: fc.constantFrom(150, 5_000),
  stableAfter: fc.constantFrom(500, 60_000),
  permanentExitCodes: fc.constantFrom([], [3]),
});
const settings = fc.record({
  ttl: fc.constantFrom(undefined, undefined, 3_000, 20_000),
  extendedEndReport: fc.constant(false),
  persistenceMode: fc.constantFrom(
    { mode: 'none' as const },
    { mode: 'minimum_time' as const, time: 5_000 },
    { mode: 'hold_after_exit' as const, duration: 2_000 },
    { mode: 'hold_after_exit' as const, duration: 0 },
  ),
  webhooks: fc.constant({}),
});
type Settings = typeof settings extends fc.Arbitrary<infer T> ? T : never;

const NAMES = ['ann', 'bob', 'eve'];
const ENDINGS: readonly Ending[] = [
  { kind: 'exited', exitCode: 0, detail: '' },
  { kind: 'exited', exitCode: 1, detail: '' },
  { kind: 'exited', exitCode: 3, detail: '' },
  { kind: 'signalled', signal: 'SIGKILL', detail: '' },
  { kind: 'out_of_memory', detail: '' },
  { kind: 'lost', detail: '' },
];
const CAUSES: readonly StopCause[] = ['requested', 'watchdog'];

/** The real rules and the model, told the same. */
class Both {
  now = EPOCH;
  private readonly records: { seq: number; time: number; event: SessionEvent }[] = [];
  private state: SessionState;
  private readonly model: Model;
  private made = 0;

  constructor(
    policies: readonly RestartPolicy[],
    private readonly settings: Settings,
  ) {
    const plans = NAMES.map((name, n) =>
      agentPlan(name, {
        restart: policies[n]!,
        timeouts: { stop: 0, connect: n === 0 ? 900 : 0, inactivity: 0 },
      }),
    );
    this.model = new Model(plans, this.now);
    this.state = this.record(undefined, opened(...plans));
    this.agree();
    this.tell({ type: 'execute', settings });
  }

  take({ kind, a, b, c, pause }: Move): void {
    this.now += pause;
    const names = [...this.model.agents.keys(), 'nobody'];
    const agent = names[a % names.length]!;
    const other = names[b % names.length]!;
    const threads = [...this.model.threads.keys(), 'no-thread'];
    const threadId = threads[c % threads.length]!;
    const attempt = (this.model.agents.get(agent)?.attempt ?? 0) - (b === 7 ? 1 : 0);
    const filters: readonly WaitFilter[] = [
      [],
      [{ type: 'mentions', name: agent } as const],
      [{ type: 'from', name: other } as const],
      [{ type: 'thread', threadId } as const],
    ][c % 4]!;
    const waitId = `w${b % 4}`;
    switch (kind) {
      case 'duty':
        return this.perform(a, b);
      case 'send': {
        const mentions = c < 3 ? [] : [other, other];
        const key = b === 6 ? { key: `k${c % 2}` } : {};
        const text = b === 6 ? `text ${a % 2}` : `text ${this.made}`;
        return this.tell({
          type: 'send_message',
          by: agent,
          threadId: threads[b % threads.length]!,
          messageId: this.id(),
          text,
          mentions,
          ...key,
        });
      }
      case 'take': {
        const [ordinal] = this.model.unread(agent, filters);
        if (ordinal === undefined) return;
        return this.tell({
          type: 'end_wait',
          agent,
          waitId: this.id(),
          filters,
          outcome: 'message',
          ordinal,
        });
      }
      case 'read':
        return this.tell({ type: 'read_state', agent, upTo: Math.max(0, this.model.messages.length - b) });
      case 'wait':
        return this.model.agents.get(agent)?.waits.includes(waitId) === true
          ? undefined
          : this.tell({ type: 'start_wait', agent, waitId, filters });
      case 'unwait':
        return this.tell({
          type: 'end_wait',
          agent,
          waitId,
          filters,
          outcome: c < 4 ? 'timeout' : 'client_gone',
        });
      case 'create':
        return this.tell({
          type: 'create_thread',
          by: agent,
          threadId: this.id(),
          name: 'a thread',
          participants: c < 5 ? [other, NAMES[c % 3]!] : [],
        });
      case 'close':
        return b < 5 ? undefined : this.tell({ type: 'close_thread', by: agent, threadId, summary: 'done' });
      case 'add':
      case 'remove': {
        const type = kind === 'add' ? 'add_participant' : 'remove_participant';
        return this.tell({ type, by: agent, threadId, name: other });
      }
      case 'rejoin': {
        const to = { by: agent, threadId };
        this.tell({ type: 'remove_participant', ...to, name: other });
        for (let n = 0; n < b % 3; n += 1)
          this.tell({ type: 'send_message', ...to, messageId: this.id(), text: 'meanwhile', mentions: [] });
        return this.tell({ type: 'add_participant', ...to, name: other });
      }
      case 'exit':
        return this.tell({
          type: 'report_exit',
          agent,
          attempt,
          ending: ENDINGS[c % ENDINGS.length]!,
          jitter: (b % 3) / 2,
        });
      case 'started':
        return this.tell({
          type: 'report_started',
          agent,
          attempt,
          handle: { runtime: 'scripted', id: this.id() },
        });
      case 'launch':
        return this.tell({
          type: 'begin_launch',
          agent,
          attempt: attempt + (c % 2),
          secretDigest: this.id(),
          port: PORT,
        });
      case 'observed':
        return this.tell({ type: 'report_observed', agent, attempt, seen: c < 4 });
      case 'connect':
      case 'disconnect':
        return this.tell({ type: kind, agent });
      case 'stop':
        return this.tell({ type: 'stop_agent', agent, cause: CAUSES[c % 2]! });
      case 'dismiss':
        return c < 3 ? this.tell({ type: 'dismiss_agent', agent }) : undefined;
      case 'join': {
        const plan = agentPlan(b < 2 ? agent : `joiner${this.made}`, {
          restart: this.state.agents.get('bob')!.plan.restart,
        });
        return this.tell({ type: 'add_agent', plan, groups: [] });
      }
      case 'ttl':
        return this.tell({ type: 'change_ttl', ttl: b < 4 ? undefined : b * 2_000 });
      case 'restart': {
        this.state = foldSession(this.records)!;
        return this.tell({ type: 'recover', jitter: 0, ...(b < 5 && { port: b === 0 ? 1 : PORT }) });
      }
      case 'look':
        return this.tell({ type: 'look' });
      case 'alarm':
        this.now = Math.max(this.now, owed(this.state, this.now).alarm ?? 0);
        return this.agree();
      case 'execute':
        return this.tell({ type: 'execute', settings: this.settings });
      case 'close-session':
        return b < 2 ? this.tell({ type: 'stop_session', cause: 'requested' }) : undefined;
      case 'end-hold':
        return this.tell({ type: 'end_hold' });
    }
  }

  /** Does what is owed until nothing is, moving the clock from alarm to alarm: every session comes to its end. */
  finish(): void {
    this.tell({ type: 'stop_session', cause: 'requested' });
    for (let steps = 0; this.model.phase !== 'closed'; steps += 1) {
      expect(steps, 'steps to the end').toBeLessThan(100);
      const { alarm, duties } = owed(this.state, this.now);
      if (duties.length === 0) this.now = alarm ?? this.now;
      const stuck = [...this.model.agents].find(
        ([, { life, hasHandle }]) => life === 'stopping' && !hasHandle,
      );
      // A launch that is given up says so.
      if (stuck !== undefined) this.end(stuck[0], { kind: 'could_not_start', detail: '' });
      else this.perform(0, 1);
    }
    const types = this.records.map(({ event }) => event.type);
    for (const once of ['session_ended', 'session_closed', 'session_executed'] as const)
      expect(
        types.filter((type) => type === once),
        once,
      ).toHaveLength(1);
    expect(types.at(-1)).toBe('session_closed');
    this.everyAttemptEnded();
    this.nothingHandedTwice();
  }

  /** The duty with this number, done in one of the ways it can be done. */
  private perform(which: number, how: number): void {
    const { duties } = owed(this.state, this.now);
    const duty = duties[which % Math.max(1, duties.length)];
    if (duty === undefined) return;
    switch (duty.type) {
      case 'look':
        return this.tell({ type: 'look' });
      case 'forget':
        return;
      case 'launch': {
        const { agent, attempt } = duty;
        if (this.model.agents.get(agent)?.life === 'waiting')
          this.tell({ type: 'begin_launch', agent, attempt, secretDigest: this.id(), port: PORT });
        if (how === 0) return;
        if (how === 1) return this.end(agent, { kind: 'could_not_start', detail: '' });
        return this.tell({
          type: 'report_started',
          agent,
          attempt,
          handle: { runtime: 'scripted', id: this.id() },
        });
      }
      case 'watch':
        return how < 2 ? this.end(duty.agent, ENDINGS[how]!) : undefined;
      case 'stop':
        return this.end(duty.agent, { kind: 'signalled', signal: 'SIGTERM', detail: '' });
    }
  }

  private end(agent: string, ending: Ending): void {
    const attempt = this.model.agents.get(agent)!.attempt;
    this.tell({ type: 'report_exit', agent, attempt, ending, jitter: 0.5 });
  }

  private id(): string {
    this.made += 1;
    return `id${this.made}`;
  }

  private record(state: SessionState | undefined, event: SessionEvent): SessionState {
    const record = { seq: this.records.length + 1, time: this.now, event };
    this.records.push(record);
    return evolve(state, record);
  }

  private tell(command: Command): void {
    const decision = decide(this.state, command, this.now);
    const outcome = this.model.tell(command, this.now);
    expect({ command, outcome: decision instanceof Refusal ? 'refused' : 'taken' }).toEqual({
      command,
      outcome,
    });
    if (decision instanceof Refusal) return;
    for (const event of decision) this.state = this.record(this.state, event);
    this.agree();
  }

  private agree(): void {
    expect(summaryOf(this.state)).toEqual(this.model.summary());
    const { duties, alarm } = owed(this.state, this.now);
    expect({ keys: duties.map(({ key }) => key).sort(), alarm }).toEqual(this.model.owed(this.now));
    if (alarm !== undefined) expect(alarm).toBeGreaterThan(this.now);
  }

  private everyAttemptEnded(): void {
    const of = (type: SessionEvent['type']): string[] =>
      this.records.flatMap(({ event }) =>
        event.type === type && 'attempt' in event && event.attempt > 0
          ? [`${event.agent}/${event.attempt}`]
          : [],
      );
    const begun = of('agent_launching');
    expect(new Set(begun).size).toBe(begun.length);
    expect(of('agent_exited')).toEqual(expect.arrayContaining(begun));
  }

  private nothingHandedTwice(): void {
    const handed = this.records.flatMap(({ event }) =>
      event.type === 'wait_ended' && event.ordinal !== undefined ? [`${event.agent}/${event.ordinal}`] : [],
    );
    expect(new Set(handed).size).toBe(handed.length);
  }
}

/** The state in the words of the model. */
function summaryOf(state: SessionState): object {
  const { phase } = state;
  return {
    phase: phase.type,
    heldUntil: phase.type === 'ended' ? phase.heldUntil : undefined,
    agents: [...state.agents].map(([name, agent]) => {
      const now = agent.phase;
      const isUp = now.type === 'running' || now.type === 'stopping';
      const unread: number[] = [];
      for (;;) {
        const next = agent.inbox.oldest([], ({ ordinal }) => unread.includes(ordinal));
        if (next === undefined) break;
        unread.push(next.ordinal);
      }
      expect(agent.inbox.size).toBe(unread.length);
      return {
        name,
        life: now.type,
        attempt: agent.attempts,
        restarts: agent.restarts,
        retryAt: now.type === 'waiting' ? now.retryAt : undefined,
        hasHandle: isUp && now.handle !== undefined,
        seen: isUp ? now.seen : true,
        connected: agent.connected,
        dismissed: agent.dismissed,
        waits: [...agent.waits.keys()].sort(),
        unread,
        ends: agent.exits.map(({ reason }) => reason),
      };
    }),
    threads: [...state.threads.values()].map((thread) => ({
      id: thread.id,
      participants: [...thread.participants].sort(),
      closed: thread.closed !== undefined,
      messages: thread.messages.map(({ ordinal }) => ordinal),
    })),
    messages: state.messages.map(({ sender, text, mentions }) => ({ sender, text, mentions: [...mentions] })),
  };
}

it(
  `the rules of a session are those of its model, in ${RUNS.numRuns} stories`,
  () => {
    fc.assert(
      fc.property(
        fc.tuple(policy, policy, policy),
        settings,
        fc.array(move, { maxLength: 250, size: 'max' }),
        (policies, given, moves) => {
          const both = new Both(policies, given);
          for (const one of moves) both.take(one);
          both.finish();
        },
      ),
      RUNS,
    );
  },
  60_000 + RUNS.numRuns * 500,
);
