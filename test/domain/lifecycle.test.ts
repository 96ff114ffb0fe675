import { describe, expect, it } from 'vitest';
import { DEFAULT_TIMEOUTS, NO_RESTART } from '../../src/domain/definition.ts';
import type { SessionEvent } from '../../src/domain/event.ts';
import type { Ending, StopCause } from '../../src/domain/exit.ts';
import { meaning } from '../../src/domain/lifecycle.ts';
import type { SessionRuntimeSettings } from '../../src/domain/wire/request.ts';
import { given } from '../support/given.ts';
import { at, exited, launching, opened, plan, SETTINGS, started } from '../support/story.ts';

const run = (settings: Partial<SessionRuntimeSettings> = {}): SessionEvent => ({
  type: 'session_executed',
  settings: { ...SETTINGS, ...settings },
});
const exits = (agent: string, attempt: number, ending: Partial<Ending> = {}) =>
  ({
    type: 'report_exit',
    agent,
    attempt,
    ending: { kind: 'exited', exitCode: 0, detail: 'ended', ...ending },
    jitter: 0,
  }) as const;

describe('executing', () => {
  it('executes a deferred session', () => {
    given(opened(plan('a')))
      .when({ type: 'execute', settings: SETTINGS })
      .then({ type: 'session_executed' });
  });
  it('refuses a second time', () => {
    given(opened(plan('a')), run())
      .when({ type: 'execute', settings: SETTINGS })
      .thenRefused('session_not_pending');
  });
});

describe('launching', () => {
  it('begins the next attempt of a waiting agent', () => {
    given(opened(plan('a')), run())
      .when({ type: 'begin_launch', agent: 'a', attempt: 1, secretDigest: 'x', port: 5555 })
      .then({ type: 'agent_launching', agent: 'a', attempt: 1, secretDigest: 'x', port: 5555 });
  });
  it('takes no attempt twice', () => {
    given(opened(plan('a')), run(), launching('a'))
      .when({ type: 'begin_launch', agent: 'a', attempt: 1, secretDigest: 'x', port: 5555 })
      .thenRefused('stale');
  });
  it('launches nothing in a session that stops', () => {
    given(opened(plan('a')), run(), { type: 'session_stopping', cause: 'requested' })
      .when({ type: 'begin_launch', agent: 'a', attempt: 1, secretDigest: 'x', port: 5555 })
      .thenRefused('session_ended');
  });
  it('records the handle, also of an agent that is to be stopped already', () => {
    const report = {
      type: 'report_started',
      agent: 'a',
      attempt: 1,
      handle: { runtime: 'scripted', id: 'h' },
    } as const;
    given(opened(plan('a')), run(), launching('a'))
      .when(report)
      .then({ type: 'agent_started' });
    given(opened(plan('a')), run(), launching('a'), {
      type: 'agent_stopping',
      agent: 'a',
      attempt: 1,
      cause: 'requested',
    })
      .when(report)
      .then({ type: 'agent_started' });
    given(opened(plan('a')), run(), launching('a'), started('a'))
      .when(report)
      .thenRefused('stale');
  });
});

describe('an exit', () => {
  it('is recorded once: a report for an attempt that is over means nothing', () => {
    const facts = [opened(plan('a'), plan('b')), run(), launching('a'), started('a')] as const;
    given(...facts)
      .when(exits('a', 1))
      .then({ type: 'agent_exited', agent: 'a', attempt: 1 });
    given(...facts, exited('a', 1, at(5)))
      .when(exits('a', 1))
      .thenRefused('stale');
    given(...facts)
      .when(exits('a', 2))
      .thenRefused('stale');
  });
  it('ends the waits that were open', () => {
    given(opened(plan('a')), run(), launching('a'), started('a'), {
      type: 'wait_started',
      agent: 'a',
      waitId: 'w',
      filters: [],
    })
      .when(exits('a', 1))
      .then({ type: 'wait_ended', waitId: 'w', outcome: 'client_gone' }, { type: 'agent_exited' });
  });

  const asked: StopCause[] = ['session_closed', 'ttl', 'requested', 'watchdog', 'shutdown'];
  it.each([
    [{ kind: 'exited', exitCode: 0 }, undefined, { reason: 'completed', exitCode: 0 }],
    [{ kind: 'exited', exitCode: 3 }, undefined, { reason: 'failed', exitCode: 3 }],
    [{ kind: 'signalled', signal: 'SIGKILL' }, undefined, { reason: 'killed', signal: 'SIGKILL' }],
    [
      { kind: 'signalled', signal: 'SIGABRT', exitCode: 134 },
      undefined,
      { reason: 'failed', signal: 'SIGABRT', exitCode: 134 },
    ],
    [{ kind: 'out_of_memory' }, undefined, { reason: 'oom_killed' }],
    [{ kind: 'could_not_start' }, undefined, { reason: 'launch_failed' }],
    [{ kind: 'lost' }, undefined, { reason: 'lost' }],
    [{ kind: 'lost' }, 'requested', { reason: 'lost' }],
    [
      { kind: 'signalled', signal: 'SIGTERM' },
      'connect_timeout',
      { reason: 'connect_timeout', signal: 'SIGTERM' },
    ],
    ...asked.map(
      (cause) => [{ kind: 'exited', exitCode: 0 }, cause, { reason: 'stopped', cause, exitCode: 0 }] as const,
    ),
  ] as const)('%j, asked for %s, means %j', (ending, cause, expected) => {
    expect(meaning({ detail: 'x', ...ending }, cause, 5)).toEqual({
      detail: 'x',
      time: 5,
      ...expected,
    });
  });
  it('happened when the runtime says it did', () => {
    expect(meaning({ kind: 'exited', exitCode: 0, detail: 'x', time: 3 }, undefined, 5).time).toBe(3);
  });

  it('is followed by a restart where the policy says so', () => {
    const restart = {
      ...NO_RESTART,
      policy: 'on_failure',
      maxRestarts: 1,
      delay: 100,
      permanentExitCodes: [78],
    } as const;
    const facts = [opened(plan('a', { restart })), run(), launching('a'), started('a')] as const;
    given(...facts)
      .when(exits('a', 1, { exitCode: 1 }))
      .then({ type: 'agent_exited' }, { type: 'agent_retry_due', attempt: 2, at: at(5) + 100, restarts: 1 });
    given(...facts)
      .when(exits('a', 1))
      .then({ type: 'agent_exited' });
    given(
      ...facts,
      exited('a', 1, at(5), 1),
      { type: 'agent_retry_due', agent: 'a', attempt: 2, at: at(6), restarts: 1, reason: 'x' },
      launching('a', 2),
      started('a', 2),
    )
      .when(exits('a', 2, { exitCode: 1 }))
      .then({ type: 'agent_exited' }, { type: 'agent_given_up', attempt: 2 });
    given(...facts)
      .when(exits('a', 1, { exitCode: 78 }))
      .then({ type: 'agent_exited' }, { type: 'agent_given_up', attempt: 1 });
    given(...facts, { type: 'session_stopping', cause: 'requested' })
      .when(exits('a', 1, { exitCode: 1 }))
      .then({ type: 'agent_exited' });
  });
});

describe('stopping', () => {
  it('asks every agent that runs and ends the ones that never ran', () => {
    given(opened(plan('a'), plan('b'), plan('c')), run(), launching('a'), started('a'), launching('b'))
      .when({ type: 'stop_session', cause: 'requested' })
      .then(
        { type: 'session_stopping', cause: 'requested' },
        { type: 'agent_stopping', agent: 'a', attempt: 1, cause: 'session_closed' },
        { type: 'agent_stopping', agent: 'b', attempt: 1 },
        { type: 'agent_exited', agent: 'c', attempt: 0 },
      );
  });
  it('keeps the result an agent gave', () => {
    given(opened(plan('a')), run())
      .when({ type: 'stop_session', cause: 'agent_request', by: 'a', reason: 'done', result: { ok: true } })
      .then(
        { type: 'session_stopping', by: 'a', reason: 'done', result: { ok: true } },
        { type: 'agent_exited' },
      );
  });
  it('asks once', () => {
    const facts = [opened(plan('a')), run(), launching('a'), started('a')] as const;
    given(...facts, { type: 'agent_stopping', agent: 'a', attempt: 1, cause: 'requested' })
      .when({ type: 'stop_agent', agent: 'a', cause: 'requested' })
      .thenNothing();
    given(...facts, { type: 'session_stopping', cause: 'ttl' })
      .when({ type: 'stop_session', cause: 'requested' })
      .thenNothing();
  });
  it('simply closes a deferred session', () => {
    given(opened(plan('a')))
      .when({ type: 'stop_session', cause: 'requested' })
      .then({ type: 'session_closed' });
  });
  it('refuses an agent that is not there', () => {
    given(opened(plan('a')), run())
      .when({ type: 'stop_agent', agent: 'x', cause: 'requested' })
      .thenRefused('agent_not_in_session', /"x"/);
  });
});

describe('looking at the clock', () => {
  it('stops a session at its ttl, not before', () => {
    const facts = [opened(plan('a')), run({ ttl: 5000 }), launching('a'), started('a')] as const;
    given(...facts)
      .when({ type: 'look' }, at(2) + 4999)
      .thenNothing();
    given(...facts)
      .when({ type: 'look' }, at(2) + 5000)
      .then({ type: 'session_stopping', cause: 'ttl' }, { type: 'agent_stopping', cause: 'ttl' });
  });
  it('ends a session whose agents are all gone: closes it, or says until when it is held', () => {
    const gone = [launching('a'), started('a'), exited('a', 1, at(5))] as const;
    given(opened(plan('a')), run(), ...gone)
      .when({ type: 'look' })
      .then({ type: 'session_ended', cause: 'agents_exited' }, { type: 'session_closed' });
    given(opened(plan('a')), run({ persistenceMode: { mode: 'hold_after_exit', duration: 70 } }), ...gone)
      .when({ type: 'look' }, at(6))
      .then({ type: 'session_ended', heldUntil: at(6) + 70 });
    given(opened(plan('a')), run({ persistenceMode: { mode: 'minimum_time', time: 60_000 } }), ...gone)
      .when({ type: 'look' }, at(6))
      .then({ type: 'session_ended', heldUntil: at(1) + 60_000 });
  });
  it('does not end a session whose agent is to be started again', () => {
    given(opened(plan('a')), run(), launching('a'), exited('a', 1, at(4)), {
      type: 'agent_retry_due',
      agent: 'a',
      attempt: 2,
      at: at(99),
      restarts: 1,
      reason: 'x',
    })
      .when({ type: 'look' })
      .thenNothing();
  });
  it('closes a session when its hold is over', () => {
    const facts = [
      opened(plan('a')),
      run(),
      { type: 'session_ended', cause: 'requested', heldUntil: at(50) },
    ] as const;
    given(...facts)
      .when({ type: 'look' }, at(50) - 1)
      .thenNothing();
    given(...facts)
      .when({ type: 'look' }, at(50))
      .then({ type: 'session_closed' });
    given(...facts)
      .when({ type: 'end_hold' })
      .then({ type: 'session_closed' });
  });
  it('stops an agent that did not connect in time', () => {
    const facts = [
      opened(plan('a', { timeouts: { ...DEFAULT_TIMEOUTS, connect: 500 } })),
      run(),
      launching('a'),
      started('a'),
    ] as const;
    given(...facts)
      .when({ type: 'look' }, at(4) + 500)
      .then({ type: 'agent_stopping', cause: 'connect_timeout' });
    given(...facts, { type: 'agent_connected', agent: 'a' })
      .when({ type: 'look' }, at(4) + 500)
      .thenNothing();
  });
});

describe('after a crash', () => {
  const waiting = { type: 'wait_started', agent: 'a', waitId: 'w', filters: [] } as const;
  const connected = { type: 'agent_connected', agent: 'a' } as const;
  const recover = { type: 'recover', port: 5555, jitter: 0 } as const;

  it('ends the waits and connections of the server that is gone; what runs still runs', () => {
    given(opened(plan('a'), plan('b')), run(), launching('a'), started('a'), connected, waiting)
      .when(recover)
      .then(
        { type: 'wait_ended', waitId: 'w', outcome: 'server_lost' },
        { type: 'agent_disconnected', agent: 'a' },
      );
    given(opened(plan('a')), run(), launching('a'), started('a'))
      .when(recover)
      .thenNothing();
  });

  it('leaves deferred and held sessions alone', () => {
    given(opened(plan('a')))
      .when(recover)
      .thenNothing();
    given(opened(plan('a')), run(), { type: 'session_ended', cause: 'requested', heldUntil: at(50) })
      .when(recover)
      .thenNothing();
  });

  it('gives agents up that look for the server elsewhere; their policy says whether they are launched again', () => {
    const elsewhere = { ...launching('a'), port: 4444 } as const;
    const facts = [run(), elsewhere, started('a'), waiting] as const;
    given(opened(plan('a')), ...facts)
      .when(recover)
      .then({ type: 'wait_ended', outcome: 'server_lost' }, { type: 'agent_exited', agent: 'a' });
    given(
      opened(plan('a', { restart: { ...plan('a').restart, policy: 'on_failure', maxRestarts: 1 } })),
      ...facts,
    )
      .when(recover)
      .then({ type: 'wait_ended' }, { type: 'agent_exited' }, { type: 'agent_retry_due', attempt: 2 });
    given(opened(plan('a')), ...facts)
      .when({ type: 'recover', jitter: 0 })
      .then({ type: 'wait_ended', outcome: 'server_lost' });
  });
});

describe('being seen', () => {
  it('is a fact only when it changes', () => {
    const facts = [opened(plan('a')), run(), launching('a'), started('a')] as const;
    const seen = (value: boolean) =>
      ({ type: 'report_observed', agent: 'a', attempt: 1, seen: value }) as const;
    given(...facts)
      .when(seen(true))
      .thenNothing();
    given(...facts)
      .when(seen(false))
      .then({ type: 'agent_observed', seen: false });
    given(...facts, exited('a', 1, at(5)))
      .when(seen(false))
      .thenRefused('stale');
  });
});
