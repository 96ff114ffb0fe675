/** What a runtime keeps of agents that outlive the server: found again after a crash, let go of once it is written down. */
import type { AgentState } from '../domain/session.ts';
import { failpoint } from '../ports/failpoint.ts';
import type { Handle, Runtime } from '../ports/runtime.ts';
import type { SessionRunner } from './session-runner.ts';

/** What is being done about agents that ended: whoever shuts down waits for it. */
export class Endings {
  private readonly open = new Set<Promise<void>>();

  /** Resolves and rejects as `ending` does. */
  async add(ending: Promise<void>): Promise<void> {
    this.open.add(ending);
    try {
      await ending;
    } finally {
      this.open.delete(ending);
    }
  }

  /** Resolves when nothing of what is open now is left to do. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.open);
  }
}

/** An earlier server was launching it when it was killed: it is found by its labels, or there is none. */
export async function findLaunched(
  runner: SessionRunner,
  agent: AgentState,
  attempt: number,
  runtime: Runtime,
): Promise<void> {
  const { phase, secretDigest } = agent;
  const isOpen = phase.type === 'launching' || (phase.type === 'stopping' && phase.handle === undefined);
  if (!isOpen || phase.attempt !== attempt) return;
  const ref = { agent: agent.plan.name, attempt };
  const found = [...(await runtime.list()), ...((await runtime.ended?.()) ?? [])].find(
    ({ labels }) =>
      labels.session === runner.state.sessionId &&
      labels.agent === ref.agent &&
      labels.attempt === ref.attempt,
  );
  if (found !== undefined) {
    await runner.report({ type: 'report_started', ...ref, handle: found.handle });
    return;
  }
  const detail = 'The server ended while it was launching it, and nothing of it is there.';
  const jitter = runner.world.host.random();
  await runner.report({ type: 'report_exit', ...ref, ending: { kind: 'lost', detail }, jitter });
  if (secretDigest !== undefined) runner.world.credentials.remove(secretDigest);
}

/** Its ending is written down, and with this its last lines too: what the runtime kept of it may go. */
export async function releaseEnded(
  runner: SessionRunner,
  agent: string,
  runtime: Runtime,
  handle: Handle,
): Promise<void> {
  if (runtime.release === undefined) return;
  await runner.world.output.flush(runner.state.sessionId);
  await runtime.release(handle).catch((error: unknown) => {
    runner.world.log.warn(
      'What is kept of an agent that ended could not be removed; the next start does it.',
      runner.tags({ error, agent }),
    );
  });
  failpoint('released'); // exit 4
}
