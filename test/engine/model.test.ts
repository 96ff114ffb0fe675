/**
 * Random stories told to the whole engine on a hand clock: sessions, talk, ends of agents, full disks, and servers that
 * are killed at any step of anything or stopped in good order, while agents run on. All the while what the server
 * believes is held against what is there, and in the end the history against the promises (adversarial/checker.ts).
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { SessionKey, SessionState } from '../../src/domain/session.ts';
import type { Participant } from '../../src/engine/participant.ts';
import { isRefusal } from '../../src/domain/refusal.ts';
import { JournalError, type JournalRecord } from '../../src/ports/journal.ts';
import { violations } from '../adversarial/checker.ts';
import type { Open, Operation, Outcome, Send, Wait } from '../adversarial/history.ts';
import { scriptedRegistry, sessionRequest } from '../support/engine-world.ts';
import { runs } from '../support/runs.ts';
import { Life } from './life.ts';
import { Machine, type Thing } from './machine.ts';

const RUNS = runs(150);

/** A retry may be as far away as that after the disk was full, ms. */
const UPSET = 40_000;
/** Turns of the event loop in which everything that needs no clock has happened. */
const TURNS = 10;
/** Looks at the clock until whatever is to end has ended. */
const PATIENCE = 2_000;

const AGENTS = ['stays', 'again', 'faithful', 'patient'] as const;
const REGISTRY = scriptedRegistry({
  stays: {},
  again: { restart: { policy: 'on_failure', maxRestarts: 2, delay: 40, permanentExitCodes: [3] } },
  faithful: {
    restart: { policy: 'always', maxRestarts: 3, delay: 100, stableAfter: 500 },
    timeouts: { stop: 200 },
    options: { TOKEN: { type: 'string', secret: true, default: 'sealed' } },
  },
  patient: { timeouts: { stop: 50, connect: 400 } },
});

const move = fc.record({
  kind: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom('open', 'close', 'ttl' as const) },
    { weight: 24, arbitrary: fc.constantFrom('thread', 'send', 'send', 'resend', 'wait', 'wait' as const) },
    { weight: 12, arbitrary: fc.constantFrom('exit', 'exit', 'connect', 'puppet' as const) },
    { weight: 14, arbitrary: fc.constant('clock' as const) },
    { weight: 14, arbitrary: fc.constantFrom('doom', 'doom', 'kill', 'restart' as const) },
    { weight: 6, arbitrary: fc.constantFrom('manner', 'launching', 'sight', 'disk' as const) },
  ),
  a: fc.nat(11),
  b: fc.nat(11),
  c: fc.nat(40),
});
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;

type Request = ReturnType<typeof sessionRequest>;

/** What an operation came to, beyond its outcome. */
type Came<O extends Operation> = { readonly outcome: Outcome } & Partial<O>;
type Pending = { -readonly [K in keyof Send]?: Send[K] } & Pick<
  Send,
  'session' | 'thread' | 'agent' | 'key' | 'text'
>;

class Story {
  private readonly machine = new Machine();
  private life = new Life(this.machine, REGISTRY);
  private readonly operations: Operation[] = [];
  private readonly sessions: SessionKey[] = [];
  /** Threads by session: those that somebody knows of. */
  private readonly threads = new Map<string, string[]>();
  private readonly lost: Pending[] = [];
  private readonly unanswered = new Map<string, Request>();
  private readonly waiting = new Map<string, Promise<unknown>>();
  private deaths = 0;
  private order = 0;
  private made = 0;
  /** Until then something may be late, for good reason. */
  private upsetUntil = 0;

  async begin(): Promise<void> {
    await this.live();
  }

  async take(one: Move): Promise<void> {
    const { a, b, c, kind } = one;
    const { machine } = this;
    const key = this.sessions[a % Math.max(1, this.sessions.length)];
    const things = machine.alive;
    const thing = things[b % Math.max(1, things.length)];
    switch (kind) {
      case 'open':
        if (this.sessions.length < 3) await this.open(`key ${c % 5}`, a, b);
        break;
      case 'close':
        if (key !== undefined && c < 20) void this.coral?.close(key).catch(() => undefined);
        break;
      case 'ttl':
        if (key !== undefined)
          void this.coral?.changeTtl(key, c < 10 ? undefined : c * 100).catch(() => undefined);
        break;
      case 'thread':
        if (thing !== undefined) await this.thread(thing, c);
        break;
      case 'send':
        if (thing !== undefined) await this.send(this.messageOf(thing, c));
        break;
      case 'resend':
        if (this.lost.length > 0) await this.send(this.lost[c % this.lost.length]);
        break;
      case 'wait':
        if (thing !== undefined) await this.wait(thing, c % 3 === 0 ? 0 : c * 50, c % 5 > 0);
        break;
      case 'connect':
        if (thing !== undefined) await this.by(thing, (agent) => agent.connect());
        break;
      case 'puppet':
        if (thing !== undefined && c < 12) void this.by(thing, (agent) => agent.stop());
        break;
      case 'exit':
        if (thing !== undefined) machine.exit(thing, c % 4);
        break;
      case 'clock':
        await this.pass([1, 20, 60, 300, 1_200, 5_000][c % 6]!);
        break;
      case 'doom':
        this.life.killIn(c);
        break;
      case 'kill':
        this.life.kill();
        break;
      case 'restart':
        await this.stop(c % 3 === 0 ? 'nothing' : 'everything');
        break;
      case 'manner':
        machine.manner = (['leaves', 'ignores', 'sticks', 'leaves'] as const)[c % 4]!;
        break;
      case 'launching':
        machine.launching = (['at once', 'slowly', 'not at all', 'at once'] as const)[c % 4]!;
        break;
      case 'sight':
        thing?.see(c % 2 === 0);
        break;
      case 'disk':
        machine.isFull = !machine.isFull && c < 25;
        break;
    }
    await turns();
    if (this.life.isDead) await this.next(a, b);
    if (machine.isFull) this.upset();
    this.look();
  }

  /** Everything comes to its end, and nothing was broken on the way. */
  async end(): Promise<void> {
    const { machine } = this;
    this.life.spare();
    machine.isFull = false;
    machine.launching = 'at once';
    machine.manner = 'leaves';
    for (const thing of machine.ran) thing.see(true);
    await this.pass(UPSET);
    for (const [key, request] of this.unanswered) await this.ask(key, request);
    await turns();
    this.upsetUntil = 0;
    this.look();
    for (const state of this.coral?.sessions() ?? [])
      for (const name of state.agents.keys()) await this.drain(state, name);
    for (const state of this.coral?.sessions() ?? []) void this.coral?.close(state);
    await this.until('every session is closed', () => this.coral?.sessions().length === 0);
    await this.until('every report is delivered', () => this.coral?.deliveries().length === 0);
    // What a full disk did not take is made good by the next start.
    for (let starts = 0; starts < 2; starts += 1) {
      await this.stop('nothing');
      expect(this.life.pending, 'alarms of a server that was stopped').toBe(0);
      await this.next(0, 0);
      await this.until('every report is delivered', () => this.coral?.deliveries().length === 0);
    }
    expect(this.coral?.namespaces()).toEqual([]);
    await this.stop('nothing');
    await Promise.all(this.waiting.values());
    const journal = await this.records();
    expect(violations(await this.history(journal))).toEqual([]);
    this.everyEndIsKnown(journal);
  }

  private get coral() {
    return this.life.isDead ? undefined : this.life.coral;
  }

  /** A server comes up; whatever it needs the clock for, it gets. */
  private async live(): Promise<void> {
    this.life = new Life(this.machine, REGISTRY);
    const started = this.life.start();
    let isUp = false;
    void started.then(() => (isUp = true));
    await this.until('the server starts', () => isUp);
  }

  /** The server is dead: things happen meanwhile, and another comes, perhaps to die while it starts. */
  private async next(a: number, b: number): Promise<void> {
    this.deaths += 1;
    this.waiting.clear();
    this.upset();
    for (let tries = 0; ; tries += 1) {
      const alive = this.machine.alive;
      const gone = alive[b % Math.max(1, alive.length)];
      if (a % 3 === 0 && gone !== undefined) this.machine.exit(gone, a % 4);
      await this.pass([0, 30, 700][a % 3]!);
      if (tries > 0) this.machine.isFull = false;
      this.life = new Life(this.machine, REGISTRY);
      if (b > 8 && tries < 2) this.life.killIn(b * (1 + a));
      const started = this.life.start().then(
        () => true,
        () => false, // a full disk; whoever supervises it tries again
      );
      let isUp: boolean | undefined;
      void started.then((up) => (isUp = up));
      await this.until('the server starts, or dies', () => isUp !== undefined);
      if (isUp === true && !this.life.isDead) return;
      this.life.kill();
    }
  }

  /** SIGTERM; the next one comes when it is wanted. */
  private async stop(keep: 'nothing' | 'everything'): Promise<void> {
    const { life } = this;
    if (life.isDead) return;
    let isDown = false;
    void life.coral?.shutdown(keep).then(
      () => (isDown = true),
      () => (isDown = true), // a full disk
    );
    await this.until('the server has stopped', () => isDown || life.isDead);
    life.kill();
  }

  private upset(): void {
    this.upsetUntil = this.machine.clock.now() + UPSET;
  }

  /** Time goes by, from alarm to alarm. */
  private async pass(ms: number): Promise<void> {
    const { clock } = this.machine;
    const until = clock.now() + ms;
    await turns();
    for (let next = clock.next; next !== undefined && next <= until; next = clock.next) {
      clock.advance(Math.max(0, next - clock.now()));
      await turns();
    }
    clock.advance(until - clock.now());
    await turns();
  }

  private async until(what: string, holds: () => boolean): Promise<void> {
    const { clock } = this.machine;
    for (let looks = 0; ; looks += 1) {
      await turns();
      if (holds()) return;
      expect(looks, `looks until ${what}`).toBeLessThan(PATIENCE);
      clock.advance(Math.max(0, Math.min((clock.next ?? clock.now()) - clock.now(), 10_000)));
    }
  }

  // What clients do.

  private async open(key: string, a: number, b: number): Promise<void> {
    const names = AGENTS.filter((_, n) => n === 0 || (a + n) % 3 > 0);
    const request = sessionRequest(names, {
      execution: {
        mode: 'immediate',
        runtimeSettings: {
          ...(b % 3 === 0 && { ttl: 1_000 + b * 300 }),
          ...(b % 4 === 1 && { persistenceMode: { mode: 'hold_after_exit' as const, duration: 900 } }),
          webhooks: { sessionEnd: { url: 'http://receiver.test/' } },
        },
      },
    });
    await this.ask(`${key} ${names.join()} ${b % 12}`, request);
  }

  /** For a session; whoever is not answered asks again, in the end at the latest. */
  private async ask(key: string, request: Request): Promise<void> {
    const { outcome } = await this.note<Open>({ kind: 'open', key }, async () => {
      const opened = await this.coral!.open(request, key);
      if (!this.sessions.some(({ sessionId }) => sessionId === opened.sessionId)) this.sessions.push(opened);
      return { outcome: 'ok', session: opened.sessionId };
    });
    if (outcome === 'ok') this.unanswered.delete(key);
    else this.unanswered.set(key, request);
  }

  private async thread(thing: Thing, c: number): Promise<void> {
    const { session } = thing.labels;
    const others = this.agentsOf(session).filter((name) => name !== thing.labels.agent);
    await this.by(thing, async (agent) => {
      const { id } = await agent.createThread('talk', others.slice(0, 1 + (c % 3)));
      this.threads.set(session, [...(this.threads.get(session) ?? []), id]);
    });
  }

  private messageOf({ labels: { session, agent } }: Thing, c: number): Pending | undefined {
    const threads = this.threads.get(session) ?? [];
    const thread = threads[c % Math.max(1, threads.length)];
    this.made += 1;
    return thread === undefined
      ? undefined
      : { session, thread, agent, key: `key ${this.made}`, text: `message ${this.made}` };
  }

  private async send(message: Pending | undefined): Promise<void> {
    if (message === undefined) return;
    const { session, thread, agent, key, text } = message;
    const found = this.participant(session, agent);
    if (found === undefined) return;
    const { outcome } = await this.note<Send>(
      { kind: 'send', session, thread, agent, key, text },
      async () => {
        const { id } = await found.sendMessage(thread, text, [], key);
        return { outcome: 'ok', message: id };
      },
    );
    if (outcome === 'unknown' && !this.lost.includes(message)) this.lost.push(message);
  }

  /** One wait at a time; `hears`: its answer reaches the agent. */
  private async wait(
    { labels: { session, agent } }: Thing,
    maxWaitMs: number,
    hears: boolean,
  ): Promise<void> {
    const who = `${session} ${agent}`;
    const found = this.participant(session, agent);
    if (found === undefined || this.waiting.has(who)) return;
    const asked = this.note<Wait>({ kind: 'wait', session, agent }, async () => {
      const delivery = await found.wait({ filters: [], maxWaitMs });
      delivery.settle(hears);
      const { value } = delivery;
      if (!hears) return { outcome: 'unknown' };
      return { outcome: 'ok', ...(value !== undefined && { message: value.id }) };
    }).finally(() => this.waiting.delete(who));
    this.waiting.set(who, asked);
    await turns();
  }

  /** Until there is nothing more. */
  private async drain({ sessionId: session, phase }: SessionState, agent: string): Promise<void> {
    if (phase.type !== 'running') return;
    await this.until(`${agent} waits no more`, () => !this.waiting.has(`${session} ${agent}`));
    for (;;) {
      const found = this.participant(session, agent);
      if (found === undefined) return;
      const { outcome, message } = await this.note<Wait>({ kind: 'wait', session, agent }, async () => {
        const delivery = await found.wait({ filters: [], maxWaitMs: 0 });
        delivery.settle(true);
        const { value } = delivery;
        return { outcome: 'ok', ...(value !== undefined && { message: value.id }) };
      });
      await turns();
      if (outcome !== 'ok' || message === undefined) return;
    }
  }

  private participant(sessionId: string, agent: string): Participant | undefined {
    const namespace = this.coral?.namespaceOf(sessionId);
    if (namespace === undefined) return undefined;
    return this.coral?.participant({ namespace, sessionId }, agent);
  }

  /** What an agent does with its own secret, if it is let in; until the server dies. */
  private async by(thing: Thing, act: (agent: Participant) => Promise<unknown>): Promise<void> {
    const found = this.coral?.authenticate(thing.secret);
    if (found === undefined) return;
    let isOver = false;
    void act(found)
      .catch(() => undefined)
      .then(() => (isOver = true));
    for (let waits = 0; waits < 3 && !isOver && !this.life.isDead; waits += 1) await turns();
  }

  private agentsOf(sessionId: string): readonly string[] {
    const state = this.coral?.sessions().find((one) => one.sessionId === sessionId);
    return [...(state?.agents.keys() ?? [])];
  }

  private async note<O extends Operation>(
    about: Omit<O, 'invoked' | 'completed' | 'outcome'>,
    act: () => Promise<Came<O>>,
  ): Promise<O> {
    const { death } = this.life;
    const invoked = ++this.order;
    const came = await Promise.race([
      act().catch((error: unknown): Came<O> => {
        if (isRefusal(error) || error instanceof JournalError) return { outcome: 'refused' } as Came<O>;
        throw error;
      }),
      death.then((): Came<O> => ({ outcome: 'unknown' }) as Came<O>),
    ]);
    const operation = { ...about, ...came, invoked, completed: ++this.order } as unknown as O;
    this.operations.push(operation);
    return operation;
  }

  // What must hold.

  /** What the server believes is what is there, once everything that is due has been done. */
  private look(): void {
    const { machine, coral } = this;
    const now = machine.clock.now();
    if (coral === undefined) return;
    for (const thing of machine.ran) {
      const found = coral.authenticate(thing.secret);
      if (found === undefined) continue;
      // R4: a secret is good for its own attempt alone.
      expect([found.key.sessionId, found.agent]).toEqual([thing.labels.session, thing.labels.agent]);
      const agent = coral.session(found.key).agents.get(found.agent);
      expect(agent?.attempts).toBe(thing.labels.attempt);
    }
    if (now < this.upsetUntil || this.life.isDoomed) return;
    const believed: string[] = [];
    for (const { phase, agents, sessionId } of coral.sessions()) {
      if (phase.type === 'ended') expect(phase.heldUntil).toBeGreaterThan(now);
      if (phase.type === 'running' && phase.settings.ttl != null)
        expect(phase.executedAt + phase.settings.ttl).toBeGreaterThan(now);
      for (const { phase: agent, plan } of agents.values()) {
        if (agent.type === 'waiting' && agent.retryAt !== undefined && machine.launching === 'at once')
          expect(agent.retryAt).toBeGreaterThan(now);
        if ((agent.type === 'running' || agent.type === 'stopping') && agent.handle !== undefined)
          believed.push(`${sessionId}/${agent.attempt}/${plan.name}`);
      }
    }
    const named = ({ labels: { session, attempt, agent } }: Thing): string =>
      `${session}/${attempt}/${agent}`;
    const things = [...machine.things.values()];
    // What cannot be seen may have ended, and may have been given up.
    const unseen = new Set(things.filter(({ isSeen }) => !isSeen).map(named));
    const seen = things.filter(({ isSeen }) => isSeen);
    expect(believed.filter((one) => !unseen.has(one)).sort()).toEqual(
      machine.alive
        .filter((one) => one.isSeen)
        .map(named)
        .sort(),
    );
    expect(
      seen.filter(({ ending }) => ending !== undefined).map(named),
      'endings nobody took note of',
    ).toEqual([]);
  }

  /** Who left while a server lived, or none, is on record with the code and the time. */
  private everyEndIsKnown(journal: readonly JournalRecord[]): void {
    expect([...this.machine.things.values()]).toEqual([]);
    // The first: one that waits for its next start may be stopped, too.
    const exits = new Map(
      journal
        .toReversed()
        .flatMap(({ stream, event }) =>
          event.type === 'agent_exited' ? [[`${stream}/${event.attempt}/${event.agent}`, event.exit]] : [],
        ),
    );
    for (const { labels, ending, environment } of this.machine.ran) {
      const { session, attempt, agent } = labels;
      // Whichever server launched it.
      expect(environment['TOKEN']).toBe(agent === 'faithful' ? 'sealed' : undefined);
      const { exitCode, signal, time } = exits.get(`session/${session}/${attempt}/${agent}`) ?? {};
      expect({ exitCode, signal, time }, `${agent}, attempt ${attempt}`).toEqual({
        exitCode: ending?.exitCode,
        signal: ending?.signal,
        time: ending?.time,
      });
    }
  }

  private async records(): Promise<readonly JournalRecord[]> {
    const { journal } = this.machine;
    const { streams } = await journal.streams({ limit: 1_000 });
    const all = await Promise.all(streams.map(({ stream }) => journal.read(stream, 0, 100_000)));
    return all.flat().sort((one, other) => one.position - other.position);
  }

  private async history(journal: readonly JournalRecord[]): Promise<Parameters<typeof violations>[0]> {
    const { machine } = this;
    return {
      operations: this.operations,
      lives: machine.ran.map(({ handle, labels: { session, agent, attempt } }) => ({
        session,
        agent,
        attempt,
        who: handle.id,
      })),
      reports: machine.reports,
      deaths: { server: this.deaths, keeper: [], docker: [] },
      left: [
        ...machine.alive.map(({ handle }) => `agent ${handle.id}`),
        ...(await machine.vault.streams()).map((stream) => `secrets of ${stream}`),
      ],
      journal,
    };
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

it(
  `whatever is killed, filled and frozen, every promise is kept, in ${RUNS.numRuns} stories`,
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 5, maxLength: 70, size: 'max' }), async (moves) => {
        const story = new Story();
        await story.begin();
        await story.take({ kind: 'open', a: 1, b: 1, c: 0 });
        for (const one of moves) await story.take(one);
        await story.end();
      }),
      RUNS,
    );
  },
  60_000 + RUNS.numRuns * 2_000,
);
