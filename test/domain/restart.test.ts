import { describe, expect, it } from 'vitest';
import { NO_RESTART, type RestartPolicy } from '../../src/domain/definition.ts';
import type { Exit } from '../../src/domain/exit.ts';
import { decideRestart } from '../../src/domain/restart.ts';

const exit = (reason: Exit['reason'], more: Partial<Exit> = {}): Exit => ({
  reason,
  detail: 'x',
  time: 0,
  ...more,
});
const policy = (name: RestartPolicy['policy'], more: Partial<RestartPolicy> = {}): RestartPolicy => ({
  ...NO_RESTART,
  policy: name,
  maxRestarts: 3,
  delay: 100,
  maxDelay: 350,
  ...more,
});

describe('restarting', () => {
  it.each([
    ['never', 'failed', 'none'],
    ['on_failure', 'completed', 'none'],
    ['on_failure', 'failed', 'restart'],
    ['on_failure', 'killed', 'restart'],
    ['on_failure', 'oom_killed', 'restart'],
    ['on_failure', 'launch_failed', 'restart'],
    ['on_failure', 'connect_timeout', 'restart'],
    ['on_failure', 'lost', 'restart'],
    ['always', 'completed', 'restart'],
    ['always', 'stopped', 'none'],
  ] as const)('%s after %s: %s', (name, reason, expected) => {
    expect(decideRestart(policy(name), exit(reason), 0, 0, 0).type).toBe(expected);
  });

  it('goes on after the watchdog, which stops what should go on', () => {
    expect(decideRestart(policy('on_failure'), exit('stopped', { cause: 'watchdog' }), 0, 0, 0).type).toBe(
      'restart',
    );
    expect(decideRestart(policy('always'), exit('stopped', { cause: 'requested' }), 0, 0, 0).type).toBe(
      'none',
    );
  });

  it('waits twice as long each time, up to the longest delay, and gives up at the maximum', () => {
    const decisions = [0, 1, 2, 3].map((restarts) =>
      decideRestart(policy('always'), exit('failed'), restarts, 1000, 0),
    );
    expect(decisions).toMatchObject(
      [{ at: 1100 }, { at: 1200 }, { at: 1350 }, { type: 'gives_up', reason: /3 times/ }].map(
        ({ reason, ...rest }) => ({
          ...rest,
          ...(reason !== undefined && { reason: expect.stringMatching(reason) }),
        }),
      ),
    );
  });

  it('gives up at an exit code that is permanent', () => {
    const permanent = policy('always', { permanentExitCodes: [78] });
    expect(decideRestart(permanent, exit('failed', { exitCode: 78 }), 0, 0, 0)).toMatchObject({
      type: 'gives_up',
    });
    expect(decideRestart(permanent, exit('failed', { exitCode: 77 }), 0, 0, 0)).toMatchObject({
      type: 'restart',
    });
  });

  it('spreads the delay by a tenth at most', () => {
    expect(decideRestart(policy('always'), exit('failed'), 0, 0, 1)).toMatchObject({ at: 110 });
  });
});
