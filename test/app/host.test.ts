import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createHost } from '../../src/host.ts';

describe('the host', () => {
  it('tells the wall clock in whole milliseconds', () => {
    const before = Date.now();
    const now = createHost().now();
    expect(Number.isInteger(now)).toBe(true);
    expect(Math.abs(now - before)).toBeLessThan(1_000);
  });

  it('takes no notice of a jump of the machine’s clock', () => {
    const host = createHost();
    const before = host.now();
    const jump = vi.spyOn(Date, 'now').mockReturnValue(before - 3_600_000);
    try {
      expect(host.now()).toBeGreaterThanOrEqual(before);
    } finally {
      jump.mockRestore();
    }
  });

  it('makes version 7 ids that sort in the order they were made', () => {
    const host = createHost();
    const ids = Array.from({ length: 1_000 }, () => host.uuid());
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(ids).size).toBe(1_000);
    expect([...ids].sort()).toEqual(ids);
  });

  it('makes URL-safe secrets of 192 bits', () => {
    const host = createHost();
    const secret = host.secret();
    expect(secret).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(host.secret()).not.toBe(secret);
  });

  it('wakes once, not before its time', async () => {
    const host = createHost();
    const time = host.now() + 20;
    const woken = await new Promise<number>((resolve) => host.at(time, () => resolve(host.now())));
    expect(woken).toBeGreaterThanOrEqual(time);
  });

  it('wakes as soon as possible for a time that is past', async () => {
    const host = createHost();
    await new Promise<void>((resolve) => host.at(0, resolve));
  });
});

describe('an alarm further away than a timer can be set', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] }));
  afterEach(() => vi.useRealTimers());
  const DAYS = 86_400_000;

  it('wakes when its time has come, not at once', () => {
    const host = createHost();
    const wake = vi.fn();
    host.at(host.now() + 60 * DAYS, wake);
    vi.advanceTimersByTime(59 * DAYS);
    expect(wake).not.toHaveBeenCalled();
    vi.advanceTimersByTime(2 * DAYS);
    expect(wake).toHaveBeenCalledTimes(1);
  });

  it('can be cancelled after it was armed again', () => {
    const host = createHost();
    const wake = vi.fn();
    const cancel = host.at(host.now() + 60 * DAYS, wake);
    vi.advanceTimersByTime(30 * DAYS);
    cancel();
    vi.advanceTimersByTime(60 * DAYS);
    expect(wake).not.toHaveBeenCalled();
  });
});
