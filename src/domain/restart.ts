/** Whether an agent that ended is launched again, and when. Source: docs/wire.md, "Restarts". */
import type { RestartPolicy } from './definition.ts';
import type { Exit } from './exit.ts';

/** An attempt that ran this long (ms) counts as stable: restarts are counted anew. */
export const STABLE_AFTER = 60_000;

/** Again, when and why; or not. */
export type RestartDecision =
  | { readonly restart: false }
  /** `at`: wall-clock ms; `reason`: a sentence. */
  | { readonly restart: true; readonly at: number; readonly reason: string };

/** `restarts`: how often it was restarted since it was last stable; `jitter`: 0 … 1, spreads the delay by a tenth. */
export function decideRestart(
  policy: RestartPolicy,
  exit: Exit,
  restarts: number,
  now: number,
  jitter: number,
): RestartDecision {
  // What we ended ourselves stays ended, whatever the policy.
  if (exit.reason === 'stopped') return { restart: false };
  const wanted =
    policy.policy === 'always' || (policy.policy === 'on_failure' && exit.reason !== 'completed');
  if (!wanted || restarts >= policy.maxRestarts) return { restart: false };
  const delay = Math.min(policy.maxDelay, policy.delay * 2 ** Math.min(restarts, 30));
  const spread = Math.round(delay * (1 + 0.1 * jitter));
  return {
    restart: true,
    at: now + spread,
    reason: `${exit.reason}: restart ${restarts + 1} of ${policy.maxRestarts} in ${spread} ms`,
  };
}
