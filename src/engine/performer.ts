/**
 * Performs what a session's state owes to the world: launches, watches, stops, looks, forgets. One thing per duty
 * key at a time; what is no longer owed is given up; what failed is tried again with a growing pause.
 */
import type { Duty } from '../domain/duties.ts';
import { launchSpec } from '../domain/launch.ts';
import { Refusal } from '../domain/refusal.ts';
import type { AgentState } from '../domain/state.ts';
import { LaunchFailure, type Handle, type Observer, type Runtime } from '../ports/runtime.ts';
import { digestOf } from './credentials.ts';
import { findLaunched, releaseEnded } from './kept.ts';
import { ParticipantOf } from './participant-of.ts';
import { reasonOf, type SessionRunner } from './session-runner.ts';
import { CONNECT_WARNING } from './world.ts';

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
    for (const [key, task] of this.tasks) {
      if (task.giveUp !== undefined && !duties.some((duty) => duty.key === key)) {
        const giveUp = task.giveUp;
        task.giveUp = undefined;
        giveUp();
      }
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
    for (const { duty, giveUp, done } of this.tasks.values()) {
      if (duty.type === 'watch') giveUp?.();
      if (duty.type !== 'launch') continue;
      if (this.placeInQueue(duty.agent) !== undefined) giveUp?.();
      if (done !== undefined) launches.push(done);
    }
    await Promise.all(launches);
  }

  private begin(duty: Task['duty']): void {
    const task: Task = { duty, done: undefined, giveUp: undefined, failures: 0 };
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
        await this.runner.pause(pause);
        if (this.detached) break;
      }
    }
    this.tasks.delete(duty.key);
    if (duty.type !== 'forget') this.runner.attend();
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
      await this.launchNow(duty, abort.signal);
    } finally {
      turn.done();
    }
  }

  private async launchNow(duty: Extract<Duty, { type: 'launch' }>, signal: AbortSignal): Promise<void> {
    const { runner } = this;
    const { world } = runner;
    const agent = this.agent(duty.agent);
    if (agent?.phase.type !== 'waiting' || this.detached) return;
    const { plan } = agent;

    // The intent is written down before the act, so that a crash in between is found by the label.
    const secret = world.host.secret();
    const secretDigest = digestOf(secret);
    world.credentials.add(secretDigest, new ParticipantOf(runner, duty.agent, secretDigest));
    try {
      await runner.submit({
        type: 'begin_launch',
        agent: duty.agent,
        attempt: duty.attempt,
        secretDigest,
        port: world.agentPort(),
      });
    } catch (error) {
      world.credentials.remove(secretDigest);
      if (error instanceof Refusal) return;
      throw error;
    }
    const ref = { agent: duty.agent, attempt: duty.attempt };
    let handle: Handle;
    const runtime = this.runtime(agent);
    try {
      const sealed = Object.values(plan.options).some((option) => option.sealed === true)
        ? await world.vault.open(runner.stream)
        : {};
      const extraEnvironment = world.settings.extraEnvironment?.[plan.runtime.kind];
      const spec = launchSpec({
        labels: { instance: world.instance, session: runner.state.sessionId, ...ref },
        namespace: runner.state.namespace,
        plan,
        sealed,
        secret,
        address: runtime.addressOf(world.agentPort()),
        version: plan.id.version,
        ...(extraEnvironment !== undefined && { extraEnvironment }),
      });
      handle = await runtime.launch(spec, signal, this.observer(duty));
    } catch (error) {
      const detail =
        error instanceof LaunchFailure ? error.message : `The launch failed unexpectedly: ${reasonOf(error)}`;
      if (!(error instanceof LaunchFailure))
        world.log.error('A launch failed unexpectedly.', runner.tags({ error, agent: duty.agent }));
      await runner.report({
        type: 'report_exit',
        ...ref,
        ending: { kind: 'could_not_start', detail },
        jitter: world.host.random(),
      });
      world.credentials.remove(secretDigest);
      return;
    }
    await runner.report({ type: 'report_started', ...ref, handle });
    const now = this.agent(duty.agent)?.phase;
    const ours = (now?.type === 'running' || now?.type === 'stopping') && now.attempt === duty.attempt;
    // Its attempt was over before it ran: nobody else knows of it, so it ends here.
    if (ours) return;
    await runtime.stop(handle, 0);
    await runtime.release?.(handle);
  }

  private async find(duty: Find): Promise<void> {
    const agent = this.agent(duty.agent);
    if (agent !== undefined) await findLaunched(this.runner, agent, duty.attempt, this.runtime(agent));
  }

  private async watch(duty: Watching, task: Task): Promise<void> {
    const { runner } = this;
    const { host } = runner.world;
    const agent = this.agent(duty.agent);
    const phase = agent?.phase;
    if (
      agent === undefined ||
      (phase?.type !== 'running' && phase?.type !== 'stopping') ||
      phase.handle === undefined
    )
      return;
    const digest = agent.secretDigest;
    const dozing = this.watchdog(duty.agent, agent.plan.timeouts.inactivity);
    const attachment = this.runtime(agent).attach(phase.handle as Handle, this.observer(duty));
    const givenUp = new Promise<undefined>((resolve) => {
      task.giveUp = () => {
        attachment.detach();
        resolve(undefined);
      };
    });
    const cancelWarning = host.at((phase.startedAt ?? host.now()) + CONNECT_WARNING, () => {
      const now = this.agent(duty.agent);
      const expected = now?.plan.runtime.manual !== true;
      if (now?.phase.type === 'running' && !now.everConnected && expected) {
        runner.world.log.warn(
          `Agent "${duty.agent}" has run for ${CONNECT_WARNING / 1000} s without connecting to its MCP endpoint (CORAL_CONNECTION_URL).`,
          runner.tags({ agent: duty.agent }),
        );
      }
    });
    try {
      const ending = await Promise.race([attachment.ended, givenUp]);
      if (ending === undefined) return;
      const release = (): Promise<void> =>
        releaseEnded(runner, duty.agent, this.runtime(agent), phase.handle as Handle);
      const report = { type: 'report_exit', agent: duty.agent, attempt: duty.attempt } as const;
      await runner.world.endings.add(
        runner.report({ ...report, ending, jitter: host.random() }).then(release),
      );
    } finally {
      cancelWarning();
      dozing.cancel();
    }
    runner.leftOf(duty.agent, []);
    if (digest !== undefined) runner.world.credentials.remove(digest);
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
    for (const agent of runner.state.agents.values()) {
      if (Object.values(agent.plan.options).some((option) => option.sealed === true)) {
        await world.vault.erase(runner.stream);
        break;
      }
    }
    await world.output.release(runner.state.sessionId);
  }

  /** Stops an agent that neither calls nor prints for `inactivity` ms; 0: never. An open wait is a call. */
  private watchdog(name: string, inactivity: number): { cancel(): void } {
    const { runner } = this;
    const { host } = runner.world;
    if (inactivity === 0) return { cancel() {} };
    runner.activity.set(name, host.now());
    let cancelAlarm = (): void => {};
    const look = (): void => {
      const agent = this.agent(name);
      if ((agent?.waits.size ?? 0) > 0) runner.activity.set(name, host.now());
      const due = (runner.activity.get(name) ?? 0) + inactivity;
      if (due > host.now()) cancelAlarm = host.at(due, look);
      else if (agent?.phase.type === 'running')
        void runner.report({ type: 'stop_agent', agent: name, cause: 'watchdog' });
    };
    look();
    return {
      cancel: () => {
        cancelAlarm();
        runner.activity.delete(name);
      },
    };
  }

  private observer(duty: { readonly agent: string; readonly attempt: number }): Observer {
    const { runner } = this;
    const { agent, attempt } = duty;
    return {
      line: (line) => {
        runner.active(agent);
        runner.world.output.append(runner.state.sessionId, { agent, attempt, ...line });
      },
      resume: () => runner.world.output.place(runner.state.sessionId, agent, attempt),
      kept: () => runner.world.output.flush(runner.state.sessionId),
      dropped: (bytes) => runner.world.output.countDropped(runner.state.sessionId, bytes),
      visible: (seen) => void runner.report({ type: 'report_observed', agent, attempt, seen }),
      noted: (fact) => {
        if (fact.type === 'progress') {
          this.progress.set(agent, fact.text);
          runner.world.output.append(runner.state.sessionId, {
            agent,
            attempt,
            io: 'error',
            text: fact.text,
            time: runner.world.host.now(),
          });
        } else {
          void runner.report({
            type: 'report_container',
            agent,
            attempt,
            fact: fact.type,
            containerId: fact.containerId,
          });
        }
      },
    };
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
