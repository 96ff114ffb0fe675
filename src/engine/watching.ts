/** One attempt of one agent while it lives: what it prints, that it does something, and how it ends. */
import type { Handle, Observer, Runtime } from '../ports/runtime.ts';
import { releaseEnded } from './kept.ts';
import { sealedSecrets } from './launching.ts';
import type { SessionRunner } from './session-runner.ts';
import { CONNECT_WARNING } from './world.ts';

/** The attempt that is watched. */
export interface Attempt {
  readonly agent: string;
  readonly attempt: number;
}

/** A watch under way. */
export interface Watch {
  /** Resolves when the ending is written down, or the watch was given up. */
  readonly done: Promise<void>;
  /** Looks away: the agent lives on. */
  giveUp(): void;
}

/** Watches an agent that has a handle; undefined when it has none, so that there is nothing to see. */
export function watchAgent(
  runner: SessionRunner,
  runtime: Runtime,
  ref: Attempt,
  observer: Observer,
): Watch | undefined {
  const agent = runner.state.agents.get(ref.agent);
  const phase = agent?.phase;
  if (agent === undefined || (phase?.type !== 'running' && phase?.type !== 'stopping')) return undefined;
  if (phase.handle === undefined) return undefined;
  const { host, credentials, endings } = runner.world;
  const handle = phase.handle as Handle;
  const digest = agent.secretDigest;
  const watchdog = watchForSilence(runner, ref.agent, agent.plan.timeouts.inactivity);
  const cancelWarning = warnUnconnected(runner, ref.agent, phase.startedAt ?? host.now());
  const attachment = runtime.attach(handle, observer);
  let giveUp = (): void => {};
  const givenUp = new Promise<undefined>((resolve) => {
    giveUp = () => {
      attachment.detach();
      resolve(undefined);
    };
  });

  const watch = async (): Promise<void> => {
    try {
      const ending = await Promise.race([attachment.ended, givenUp]);
      if (ending === undefined) return;
      const { agent: name, attempt } = ref;
      const written = runner.report({
        type: 'report_exit',
        agent: name,
        attempt,
        ending,
        jitter: host.random(),
      });
      await endings.add(written.then(() => releaseEnded(runner, name, runtime, handle)));
    } finally {
      cancelWarning();
      watchdog.cancel();
    }
    runner.leftOf(ref.agent, []);
    if (digest !== undefined) credentials.remove(digest);
  };
  return { done: watch(), giveUp };
}

/** Says in the log that an agent, expected to connect by itself, has not done so in `CONNECT_WARNING`. */
function warnUnconnected(runner: SessionRunner, name: string, startedAt: number): () => void {
  return runner.world.host.at(startedAt + CONNECT_WARNING, () => {
    const agent = runner.state.agents.get(name);
    if (agent?.phase.type !== 'running' || agent.everConnected || agent.plan.runtime.manual === true) return;
    runner.world.log.warn(
      `Agent "${name}" has run for ${CONNECT_WARNING / 1000} s without connecting to its MCP endpoint (CORAL_CONNECTION_URL).`,
      runner.tags({ agent: name }),
    );
  });
}

/** Stops an agent that neither calls nor prints for `inactivity` ms; 0: never. An open wait is a call. */
function watchForSilence(runner: SessionRunner, name: string, inactivity: number): { cancel(): void } {
  const { host } = runner.world;
  if (inactivity === 0) return { cancel() {} };
  runner.activity.set(name, host.now());
  let cancelAlarm = (): void => {};
  const look = (): void => {
    const agent = runner.state.agents.get(name);
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

/** What the runtime is to tell of an attempt; `progressed` hears each word of how its launch goes. */
export function observe(runner: SessionRunner, ref: Attempt, progressed: (text: string) => void): Observer {
  const { output, host } = runner.world;
  const { sessionId } = runner.state;
  const { agent, attempt } = ref;
  return {
    line: (line) => {
      runner.active(agent);
      output.append(sessionId, { agent, attempt, ...line });
    },
    resume: () => output.place(sessionId, agent, attempt),
    newest: async (limit) =>
      (await output.tail(sessionId, limit, agent)).filter((line) => line.attempt === attempt),
    secrets: async () => {
      const plan = runner.state.agents.get(agent)?.plan;
      return plan === undefined ? [] : sealedSecrets(runner, plan).catch(() => []);
    },
    kept: () => output.flush(sessionId),
    dropped: (bytes) => output.countDropped(sessionId, bytes),
    visible: (seen) => void runner.report({ type: 'report_observed', agent, attempt, seen }),
    noted: (fact) => {
      if (fact.type === 'progress') {
        progressed(fact.text);
        output.append(sessionId, { agent, attempt, io: 'error', text: fact.text, time: host.now() });
      } else {
        const { type, containerId } = fact;
        void runner.report({ type: 'report_container', agent, attempt, fact: type, containerId });
      }
    },
  };
}
