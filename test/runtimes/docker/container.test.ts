/** One container's end before an engine of the test's own, whose slowness is exact. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Container } from '../../../src/runtimes/docker/container.ts';
import type { Engine } from '../../../src/runtimes/docker/engine.ts';
import type { KeptEndings } from '../../../src/runtimes/docker/kept-endings.ts';
import { Places } from '../../../src/runtimes/docker/queue.ts';
import type { EngineWatcher, Member } from '../../../src/runtimes/docker/watcher.ts';
import type { Ending } from '../../../src/domain/exit.ts';
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

/** The engine's flag races with the death of who uses up its memory in its first milliseconds. */
describe('a container that was killed', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** Its ending, when the engine's states are told one after the other, and meanwhile, perhaps, of memory that ran out. */
  const endingOf = async (states: readonly object[], event: boolean): Promise<Ending> => {
    let member: Member | undefined;
    const looks = [...states];
    const engine = {
      json: async () => ({ State: looks.length > 1 ? looks.shift() : looks[0] }),
      text: async () => '',
    };
    const watcher = {
      isEngineAway: false,
      add: async (_: string, given: Member) => {
        member = given;
        return () => undefined;
      },
    };
    const container = new Container({
      engine: engine as unknown as Engine,
      watcher: watcher as unknown as EngineWatcher,
      endings: new Places(1),
      kept: { keep: async () => undefined } as unknown as KeptEndings,
      id: 'container',
      labels: labels(),
      secrets: [],
      memory: 16 * 1024 ** 2,
      now: Date.now,
      release: async () => undefined,
    });
    await container.begin();
    const { ended } = container.attach({ line: () => undefined });
    await container.look();
    if (event) member?.outOfMemory();
    await vi.runAllTimersAsync();
    return ended;
  };
  const killed = (OOMKilled: boolean): object => ({ Status: 'exited', ExitCode: 137, OOMKilled });

  it.each([
    ['the flag is there', [killed(true)], false],
    ['the flag comes late', [killed(false), killed(true)], false],
    ['only an event tells', [killed(false)], true],
  ])('is out of memory where %s', async (_, states, event) => {
    expect(await endingOf(states, event)).toMatchObject({ kind: 'out_of_memory', exitCode: 137 });
  });

  it('is killed by somebody else where nothing says so', async () => {
    expect(await endingOf([killed(false)], false)).toMatchObject({ kind: 'signalled', signal: 'SIGKILL' });
  });
});
