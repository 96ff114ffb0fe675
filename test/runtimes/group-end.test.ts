/** Which processes are an attempt's, decided from what a scan shows. */
import { describe, expect, it } from 'vitest';
import { membersOf } from '../../src/runtimes/executable/group-end.ts';
import type { Target } from '../../src/runtimes/executable/group-end.ts';
import type { Seen } from '../../src/runtimes/executable/process-table.ts';

const seen = (pid: number, more: Partial<Seen> = {}): Seen => ({
  pid,
  group: pid,
  session: pid,
  start: `start-of-${pid}`,
  name: 'sh',
  ...more,
});
const target: Target = { pid: 500, start: 'start-of-500', mark: 'ours' };
const child: Target = { ...target, exited: new Promise(() => undefined) };
const pids = (of: Target, all: readonly Seen[]): number[] =>
  membersOf(of, all).processes.map(({ pid }) => pid);

describe('an attempt’s processes', () => {
  const server = seen(process.pid, { group: 77, session: 76 });

  it('are its leader, its group, its session and whatever bears its mark', () => {
    const all = [
      server,
      seen(500),
      seen(501, { group: 500, session: 500 }),
      seen(502, { group: 502, session: 500 }),
      seen(503, { mark: 'ours' }),
      seen(504, { mark: 'others' }),
    ];
    expect(pids(target, all)).toEqual([500, 501, 502, 503]);
    expect(membersOf(target, all).groupIsOurs).toBe(true);
  });

  it('are not those of a stranger that got the leader’s pid later', () => {
    const all = [server, seen(500, { start: 'later' }), seen(501, { group: 500, session: 500 })];
    expect(membersOf(target, all)).toEqual({ processes: [], groupIsOurs: false });
    const stray = seen(503, { mark: 'ours' });
    for (const of of [target, child])
      expect(membersOf(of, [...all, stray])).toEqual({ processes: [stray], groupIsOurs: false });
  });

  it('are what a leader that is gone left in its group, proven by a mark or by our having been its parent', () => {
    const wiped = seen(501, { group: 500, session: 400 });
    expect(pids(target, [server, wiped])).toEqual([]);
    expect(pids(target, [server, wiped, seen(502, { group: 500, mark: 'ours' })])).toEqual([501, 502]);
    expect(pids(child, [server, wiped])).toEqual([501]);
  });

  it('never are the server, its group or its session, whatever a handle says', () => {
    const sibling = seen(79, { group: 77, session: 76 });
    const young = seen(80, { group: 77, session: 76, mark: 'ours' });
    for (const pid of [77, 76]) {
      expect(membersOf({ ...target, pid, start: '' }, [server, sibling, young])).toEqual({
        processes: [young],
        groupIsOurs: false,
      });
    }
    expect(pids({ ...target, pid: process.pid, start: server.start }, [server, sibling])).toEqual([]);
  });
});
