import { describe, expect, it } from 'vitest';
import { owed } from '../../src/domain/duties.ts';
import type { SessionEvent } from '../../src/domain/event.ts';
import {
  at,
  executed,
  exited,
  launching,
  opened,
  plan,
  sessionOf,
  SETTINGS,
  started,
} from '../support/story.ts';

const keys = (now: number, ...facts: SessionEvent[]): string[] =>
  owed(sessionOf(...facts), now).duties.map(({ key }) => key);

describe('what is owed', () => {
  it('is nothing for a deferred session', () => {
    expect(owed(sessionOf(opened(plan('a'))), at(9))).toEqual({ duties: [] });
  });
  it('is a launch under one key from waiting until it runs, then a watch', () => {
    expect(keys(at(9), opened(plan('a')), executed)).toEqual(['launch/1/a']);
    expect(keys(at(9), opened(plan('a')), executed, launching('a'))).toEqual(['launch/1/a']);
    expect(keys(at(9), opened(plan('a')), executed, launching('a'), started('a'))).toEqual(['watch/1/a']);
  });
  it('is a stop beside the watch once there is something to stop', () => {
    const stopping: SessionEvent = { type: 'agent_stopping', agent: 'a', attempt: 1, cause: 'requested' };
    expect(keys(at(9), opened(plan('a')), executed, launching('a'), started('a'), stopping)).toEqual([
      'watch/1/a',
      'stop/1/a',
    ]);
    expect(keys(at(9), opened(plan('a')), executed, launching('a'), stopping)).toEqual([]);
  });
  it('names the next moment to look, and only a future one', () => {
    const facts = [
      opened(plan('a')),
      { type: 'session_executed', settings: { ...SETTINGS, ttl: 5000 } },
    ] as SessionEvent[];
    expect(owed(sessionOf(...facts), at(3)).alarm).toBe(at(2) + 5000);
    const late = owed(sessionOf(...facts), at(2) + 5000);
    expect(late.alarm).toBeUndefined();
    expect(late.duties.map(({ key }) => key)).toContain('look');
  });
  it('is the next attempt when its time has come', () => {
    const retry: SessionEvent = {
      type: 'agent_retry_due',
      agent: 'a',
      attempt: 2,
      at: at(20),
      restarts: 1,
      reason: 'x',
    };
    const facts = [opened(plan('a')), executed, launching('a'), exited('a', 1, at(4), 1), retry];
    expect(owed(sessionOf(...facts), at(19))).toEqual({ duties: [], alarm: at(20) });
    expect(keys(at(20), ...facts)).toEqual(['launch/2/a']);
  });
  it('is a look when everybody is gone, and to forget when it is closed', () => {
    const gone = [opened(plan('a')), executed, launching('a'), started('a'), exited('a', 1, at(5))];
    expect(keys(at(6), ...gone)).toEqual(['look']);
    expect(
      owed(sessionOf(...gone, { type: 'session_ended', cause: 'agents_exited', heldUntil: at(50) }), at(7)),
    ).toEqual({ duties: [], alarm: at(50) });
    expect(
      keys(at(51), ...gone, { type: 'session_ended', cause: 'agents_exited', heldUntil: at(50) }),
    ).toEqual(['look']);
    expect(
      keys(at(9), ...gone, { type: 'session_ended', cause: 'agents_exited' }, { type: 'session_closed' }),
    ).toEqual(['forget']);
  });
});
