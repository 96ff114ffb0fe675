/** What the agents that run as functions inside the server have in common. */
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from 'coral/agent';
import type { Agent } from 'coral/agent';

/** What a module of the function runtime is given: it exports `(context) => Promise<void>`. */
export interface FunctionContext {
  /** What an agent in a process of its own would find in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Aborts when the agent is asked to stop: return soon. */
  readonly signal: AbortSignal;
  /** One line of output. `sensitive` lines are shown only to those who ask for them. */
  readonly log: (text: string, how?: { readonly io?: 'out' | 'error'; readonly sensitive?: boolean }) => void;
}

/** Waits START_DELAY ms (default 0), connects, does `main`, leaves. Ends at once when it is asked to stop. */
export async function runAfterStartDelay(
  { environment, signal, log }: FunctionContext,
  main: (agent: Agent) => Promise<void>,
): Promise<void> {
  const delay = Number(environment['START_DELAY'] ?? 0);
  if (delay > 0) await sleep(delay, undefined, { signal }).catch(() => undefined);
  if (signal.aborted) return;
  await run(main, { environment, signal, log: (text) => log(text, { io: 'error' }) });
}

/** Resolves when the signal aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
