import { describe, expect, it } from 'vitest';
import type { ExitReason } from '../../src/domain/exit.ts';
import { decideRestart } from '../../src/domain/restart.ts';

const exit = (reason: ExitReason) => ({ reason, detail: 'x', time: 0 });
const policy = (name: 'never' | 'on_failure' | 'always') => ({
  policy: name,
  maxRestarts: 3,
  delay: 100,
  maxDelay: 350,
});

describe('restarting', () => {
  it.each([
    ['never', 'failed', false],
    ['on_failure', 'completed', false],
    ['on_failure', 'failed', true],
    ['on_failure', 'killed', true],
    ['on_failure', 'oom_killed', true],
    ['on_failure', 'launch_failed', true],
    ['on_failure', 'connect_timeout', true],
    ['on_failure', 'lost', true],
    ['always', 'completed', true],
    ['always', 'stopped', false],
  ] as const)('%s after %s: %s', (name, reason, expected) => {
    expect(decideRestart(policy(name), exit(reason), 0, 0, 0).restart).toBe(expected);
  });

  it('waits twice as long each time, up to the longest delay, and gives up at the maximum', () => {
    const at = [0, 1, 2, 3].map((restarts) => {
      const decision = decideRestart(policy('always'), exit('failed'), restarts, 1000, 0);
      return decision.restart ? decision.at - 1000 : undefined;
    });
    expect(at).toEqual([100, 200, 350, undefined]);
  });

  it('spreads the delay by a tenth at most', () => {
    expect(decideRestart(policy('always'), exit('failed'), 0, 0, 1)).toMatchObject({ at: 110 });
  });
});
