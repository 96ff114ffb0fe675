/**
 * Performs what a session's state owes to the world: launches, watches, stops, looks, forgets. One thing per duty
 * key at a time; what is no longer owed is given up; what failed is tried again with a growing pause.
 */
import type { Duty } from '../domain/duties.ts';
import { hasSealed } from '../domain/sealed.ts';
import type { AgentState } from '../domain/state.ts';
import { failpoint } from '../ports/failpoint.ts';
import { LaunchFailure, type Handle, type Observer, type Runtime } from '../ports/runtime.ts';
import { findLaunched } from './kept.ts';
import { launchAgent } from './launching.ts';
import { ParticipantOf } from './participant-of.ts';
import type { SessionRunner } from './session-runner.ts';
import { observe, watchAgent } from './watching.ts';

// Made once: an abort without a reason makes an exception with a stack each time.
const GIVEN_UP = new Error('The launch is no longer wanted.');
const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 30_000;

type Watching = Extract<Duty, { type: 'watch' }>;

/** Look for what an earlier server was launching. */
interface Find {
  readonly type: 'find';
  readonly key: string;
  readonly agent: string;
  readonly attempt: number;
}

/** Something being done. `giveUp` is called once, when it is no longer owed. */
interface Task {
  readonly duty: Duty | Find;
  done: Promise<void> | undefined;
  giveUp: (() => void) | undefined;
  /** Ends the pause before it is tried again. */
  wake: (() => void) | undefined;
  isOwed: boolean;
  failures: number;
}

/** One per session; told by the runner what is owed. */
export class Performer {
  private readonly tasks = new Map<string, Task>();
  private detached = false;
  /** What the runtime last said of an agent's launch. */
  private readonly progress = new Map<string, string>();

  constructor(private readonly runner: SessionRunner) {}

  /** Begins what is owed and not being done; gives up what is being done and no longer owed. */
  perform(duties: readonly Duty[]): void {
    if (this.detached) return;
    const keys = new Set(duties.map(({ key }) => key));
    for (const [key, task] of this.tasks) {
      task.isOwed = keys.has(key);
      if (task.isOwed) continue;
      const { giveUp } = task;
      task.giveUp = undefined;
      giveUp?.();
      task.wake?.();
    }
    for (const duty of duties) {
      if (!this.tasks.has(duty.key)) this.begin(duty);
    }
  }

  /** Where an agent's launch stands: its place in the queue, or what its runtime last said. */
  progressOf(name: string): string | undefined {
    return this.placeInQueue(name) ?? this.progress.get(name);
  }

  private placeInQueue(name: string): string | undefined {
    for (const queue of this.runner.world.launches.values()) {
      const place = queue.placeOf(this.nameInQueue(name));
      if (place !== undefined) return place;
    }
    return undefined;
  }

  private nameInQueue(agent: string): string {
    return `${this.runner.state.sessionId}/${agent}`;
  }

  /**
   * Goes on where an earlier server was killed (R3: what was under way is owed like anything else, but nobody does it
   * any more). Secrets count again; launches that were begun are looked for.
   */
  takeOver(): void {
    const { runner } = this;
    for (const agent of runner.state.agents.values()) {
      const { phase, secretDigest, plan } = agent;
      if (secretDigest !== undefined) {
        runner.world.credentials.add(secretDigest, new ParticipantOf(runner, plan.name, secretDigest));
      }
      if (phase.type !== 'launching' && (phase.type !== 'stopping' || phase.handle !== undefined)) continue;
      // In the place of the launch: while it is being looked for, nobody begins another.
      const key = `launch/${phase.attempt}/${plan.name}`;
      this.begin({ type: 'find', key, agent: plan.name, attempt: phase.attempt });
    }
  }

  /** Lets go of everything without ending anything; resolves when no launch is under way any more. */
  async detach(): Promise<void> {
    this.detached = true;
    const launches: Promise<void>[] = [];
    for (const { duty, giveUp, wake, done } of this.tasks.values()) {
      wake?.();
      if (duty.type === 'watch') giveUp?.();
      if (duty.type !== 'launch') continue;
      if (this.placeInQueue(duty.agent) !== undefined) giveUp?.();
      if (done !== undefined) launches.push(done);
    }
    await Promise.all(launches);
  }

  private begin(duty: Task['duty']): void {
    const task: Task = {
      duty,
      done: undefined,
      giveUp: undefined,
      wake: undefined,
      isOwed: true,
      failures: 0,
    };
    this.tasks.set(duty.key, task);
    task.done = this.run(task);
  }

  private async run(task: Task): Promise<void> {
    const { duty } = task;
    for (;;) {
      try {
        await this.once(duty, task);
        break;
      } catch (error) {
        task.failures += 1;
        const pause = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** Math.min(task.failures - 1, 5));
        this.runner.world.log.error(
          `Could not ${describe(duty)}; trying again in ${pause} ms.`,
          this.runner.tags({ error, ...('agent' in duty && { agent: duty.agent }) }),
        );
        await this.rest(task, pause);
        if (this.detached || !task.isOwed) break;
      }
    }
    this.tasks.delete(duty.key);
    if (duty.type !== 'forget') this.runner.attend();
  }

  /** Before it is tried again, unless nobody wants that any more. */
  private rest(task: Task, ms: number): Promise<void> {
    const { host } = this.runner.world;
    return new Promise((resolve) => {
      const cancel = host.at(host.now() + ms, () => task.wake?.());
      task.wake = () => {
        cancel();
        task.wake = undefined;
        resolve();
      };
    });
  }

  private async once(duty: Task['duty'], task: Task): Promise<void> {
    switch (duty.type) {
      case 'find':
        return this.find(duty);
      case 'launch':
        return this.launch(duty, task);
      case 'watch':
        return this.watch(duty, task);
      case 'stop':
        return this.stop(duty, task);
      case 'look':
        await this.runner.submit({ type: 'look' });
        return;
      case 'forget':
        return this.forget();
    }
  }

  private async launch(duty: Extract<Duty, { type: 'launch' }>, task: Task): Promise<void> {
    const kind = this.agent(duty.agent)?.plan.runtime.kind;
    const queue = kind === undefined ? undefined : this.runner.world.launches.get(kind);
    if (queue === undefined) throw new Error(`this server has no ${kind ?? 'such'} runtime`);
    const abort = new AbortController();
    task.giveUp = () => abort.abort(GIVEN_UP);
    const turn = await queue.turn(this.nameInQueue(duty.agent), abort.signal);
    if (turn === undefined) return;
    try {
      const agent = this.agent(duty.agent);
      if (agent?.phase.type !== 'waiting' || this.detached) return;
      const runtime = this.runtime(agent);
      await launchAgent(this.runner, { agent, runtime }, duty, abort.signal, this.observer(duty));
    } finally {
      turn.done();
    }
  }

  private async find(duty: Find): Promise<void> {
    const agent = this.agent(duty.agent);
    if (agent !== undefined) await findLaunched(this.runner, agent, duty.attempt, this.runtime(agent));
  }

  private async stop(duty: Extract<Duty, { type: 'stop' }>, task: Task): Promise<void> {
    const agent = this.agent(duty.agent);
    if (agent?.phase.type !== 'stopping' || agent.phase.handle === undefined) return;
    // Its end is reported by the watch; until then this duty is being done.
    const over = new Promise<void>((resolve) => {
      task.giveUp = resolve;
    });
    const receipt = await this.runtime(agent).stop(agent.phase.handle as Handle, agent.plan.timeouts.stop);
    this.runner.leftOf(duty.agent, receipt.gone ? [] : receipt.left);
    if (!receipt.gone) throw new Error(`still there: ${receipt.left.join(', ')}`);
    await over;
  }

  private async forget(): Promise<void> {
    const { runner } = this;
    const { world } = runner;
    const agents = [...runner.state.agents.values()];
    if (agents.some(({ plan }) => hasSealed(plan))) await world.vault.erase(runner.stream);
    failpoint('erased'); // close 7
    await world.output.release(runner.state.sessionId);
  }

  private async watch(duty: Watching, task: Task): Promise<void> {
    const agent = this.agent(duty.agent);
    if (agent === undefined) return;
    const watch = watchAgent(this.runner, this.runtime(agent), duty, this.observer(duty));
    if (watch === undefined) return;
    task.giveUp = () => watch.giveUp();
    await watch.done;
  }

  private observer(duty: { readonly agent: string; readonly attempt: number }): Observer {
    return observe(this.runner, duty, (text) => this.progress.set(duty.agent, text));
  }

  private agent(name: string): AgentState | undefined {
    return this.runner.state.agents.get(name);
  }

  private runtime(agent: AgentState): Runtime {
    const { kind } = agent.plan.runtime;
    const runtime = this.runner.world.runtimes.get(kind);
    if (runtime === undefined) throw new LaunchFailure(`This server has no ${kind} runtime.`);
    return runtime;
  }
}

function describe(duty: Task['duty']): string {
  switch (duty.type) {
    case 'find':
      return `find agent "${duty.agent}", which was being launched when the server ended`;
    case 'launch':
    case 'watch':
    case 'stop':
      return `${duty.type} agent "${duty.agent}"`;
    case 'look':
      return 'write down what became due';
    case 'forget':
      return "erase the closed session's secrets";
  }
}
