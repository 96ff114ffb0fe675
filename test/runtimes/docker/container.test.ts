/** One container's end before an engine of the test's own, whose slowness is exact. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Container } from '../../../src/runtimes/docker/container.ts';
import type { Engine } from '../../../src/runtimes/docker/engine.ts';
import type { KeptEndings } from '../../../src/runtimes/docker/kept-endings.ts';
import { Places } from '../../../src/runtimes/docker/queue.ts';
import type { EngineWatcher } from '../../../src/runtimes/docker/watcher.ts';
import { labels } from '../../contracts/runtime.ts';

/** Removes one container after the other, each in this time, ms: as an engine does that has many to remove. */
const A_REMOVAL = 3_000;

describe('containers that end all at once', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const ended = { Status: 'exited', ExitCode: 0, FinishedAt: '2026-01-01T00:00:00Z' };
  let watcher: { isEngineAway: boolean };
  let removed: string[];
  let asked: number;
  const containers = (count: number): Container[] => {
    watcher = { isEngineAway: false };
    removed = [];
    asked = 0;
    let mostAsked = 0;
    let last: Promise<void> = Promise.resolve();
    const engine = {
      json: async () => ({ State: ended }),
      text: ({ method, path }: { method: string; path: string }) => {
        if (method !== 'DELETE') return Promise.resolve('');
        mostAsked = Math.max(mostAsked, (asked += 1));
        last = last.then(() => new Promise((resolve) => setTimeout(resolve, A_REMOVAL)));
        return last.then(() => {
          asked -= 1;
          removed.push(path);
          expect(mostAsked).toBeLessThanOrEqual(8);
          return '';
        });
      },
    };
    const endings = new Places(8);
    return Array.from(
      { length: count },
      (_, n) =>
        new Container({
          engine: engine as unknown as Engine,
          watcher: watcher as unknown as EngineWatcher,
          endings,
          kept: { keep: async () => undefined } as unknown as KeptEndings,
          id: `container-${n}`,
          labels: labels({ agent: `agent ${n}` }),
          secrets: [],
          memory: 0,
          now: Date.now,
          release: async () => undefined,
        }),
    );
  };

  it('are all gone in the end, however long their engine takes over removing them one by one', async () => {
    const all = containers(30);
    const receipts = Promise.all(
      all.map(async (container) => {
        await container.look();
        return container.stop(0);
      }),
    );
    await vi.advanceTimersByTimeAsync(33 * A_REMOVAL);
    expect(await receipts).toEqual(all.map(() => ({ gone: true, left: [] })));
    expect(removed).toHaveLength(30);
  });

  it('are not waited for while their engine is away', async () => {
    const [container] = containers(1);
    await container!.look();
    watcher.isEngineAway = true;
    const receipt = container!.stop(0);
    await vi.advanceTimersByTimeAsync(A_REMOVAL);
    expect(await receipt).toMatchObject({ gone: false, left: [expect.stringContaining('not removed yet')] });
  });
});
