/** Whether an agent that ended is launched again, and when. Source: docs/wire.md, "Restarts". */
import type { RestartPolicy } from './definition.ts';
import type { Exit } from './exit.ts';

/** What comes after an exit. `reason` is a sentence. */
export type RestartDecision =
  /** The policy asks for nothing. */
  | { readonly type: 'none' }
  /** It would have been started again, but not any more. */
  | { readonly type: 'gives_up'; readonly reason: string }
  /** `at`: wall-clock ms. */
  | { readonly type: 'restart'; readonly at: number; readonly reason: string };

/** `restarts`: how often it was restarted since it was last stable; `jitter`: 0 … 1, spreads the delay by a tenth. */
export function decideRestart(
  policy: RestartPolicy,
  exit: Exit,
  restarts: number,
  now: number,
  jitter: number,
): RestartDecision {
  // What we ended ourselves stays ended, whatever the policy; only the watchdog stops what should go on.
  if (exit.reason === 'stopped' && exit.cause !== 'watchdog') return { type: 'none' };
  const wanted =
    policy.policy === 'always' || (policy.policy === 'on_failure' && exit.reason !== 'completed');
  if (!wanted) return { type: 'none' };
  if (exit.exitCode !== undefined && policy.permanentExitCodes.includes(exit.exitCode)) {
    return {
      type: 'gives_up',
      reason: `Exit code ${exit.exitCode} is permanent: starting it again would not help.`,
    };
  }
  if (restarts >= policy.maxRestarts) {
    return { type: 'gives_up', reason: `It was restarted ${restarts} times, as often as it may be.` };
  }
  const delay = Math.min(policy.maxDelay, policy.delay * 2 ** Math.min(restarts, 30));
  const spread = Math.round(delay * (1 + 0.1 * jitter));
  return {
    type: 'restart',
    at: now + spread,
    reason: `${exit.reason}: restart ${restarts + 1} of ${policy.maxRestarts} in ${spread} ms`,
  };
}
