/** A seed is a run: the same sessions and faults each time, others for another seed. */
import { describe, expect, it } from 'vitest';
import { scheduleOf } from './chaos/schedule.ts';

const ALL = { docker: true, disk: true };
const HOUR = 3_600_000;

describe('a schedule of chaos', () => {
  it('follows from its seed', () => {
    expect(scheduleOf(7, HOUR, ALL)).toEqual(scheduleOf(7, HOUR, ALL));
    expect(scheduleOf(7, HOUR, ALL)).not.toEqual(scheduleOf(8, HOUR, ALL));
  });

  it('has every kind of fault and of agent, in order of time, and nothing in the end', () => {
    const { faults, sessions } = scheduleOf(7, HOUR, ALL);
    const kinds = new Set(faults.map((fault) => `${fault.type} ${'target' in fault ? fault.target : ''}`));
    expect([...kinds].sort()).toEqual([
      'freeze agent',
      'freeze docker',
      'freeze keeper',
      'freeze server',
      'full disk ',
      'kill agent',
      'kill docker',
      'kill keeper',
      'kill server',
      'kill server and keeper',
    ]);
    expect(new Set(sessions.flatMap(({ agents }) => agents.map(({ kind }) => kind))).size).toBe(4);
    for (const of of [faults, sessions]) {
      const times = of.map(({ at }) => at);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(times.at(-1)).toBeLessThan(HOUR - 2_000);
    }
  });

  it('hits nothing that is not there, at the same moments', () => {
    const { faults } = scheduleOf(7, HOUR, { docker: false, disk: false });
    expect(faults.filter((fault) => fault.type === 'full disk' || fault.target === 'docker')).toEqual([]);
    expect(faults.map(({ at }) => at)).toEqual(scheduleOf(7, HOUR, ALL).faults.map(({ at }) => at));
  });
});
