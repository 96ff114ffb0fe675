/** An engine that is absent, goes away, comes back, or hangs. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LaunchSpec } from '../../../src/domain/launch.ts';
import { meaning } from '../../../src/domain/lifecycle.ts';
import type { Line, Place } from '../../../src/ports/runtime.ts';
import { Engine } from '../../../src/runtimes/docker/engine.ts';
import { dockerRuntime } from '../../../src/runtimes/docker/runtime.ts';
import { Ears, labels, noSignal } from '../../contracts/runtime.ts';
import { describeDocker } from '../../support/docker.ts';
import { until } from '../../support/mcp-server.ts';
import { OwnEngine } from '../../support/dockerd.ts';
import { dockerWorld, leftIn, shell } from './world.ts';
import type { DockerWorld } from './world.ts';

class SeeingEars extends Ears {
  readonly sights: boolean[] = [];
  removed = 0;
  private look: () => void = () => undefined;
  visible(seen: boolean): void {
    this.sights.push(seen);
    this.look();
  }
  noted({ type }: { type: string }): void {
    if (type === 'docker_container_removed') this.removed += 1;
  }
  async sees(seen: boolean): Promise<void> {
    while (this.sights.at(-1) !== seen) await new Promise<void>((resolve) => (this.look = resolve));
  }
}

const counting = (more = ''): LaunchSpec =>
  shell(`${more} i=0; while :; do i=$((i+1)); echo "line $i"; [ $((i % 20)) = 0 ] && sleep 0.05; done`);

/** Remembers as the server's output store does: a later life of the server goes on behind what was kept. */
class KeepingEars extends SeeingEars {
  constructor(private readonly earlier: readonly Line[] = []) {
    super();
  }
  resume(): Promise<Place | undefined> {
    return Promise.resolve(this.earlier.at(-1)?.at);
  }
  newest(limit: number): Promise<readonly Line[]> {
    return Promise.resolve(this.earlier.slice(-limit));
  }
  /** Everything that was kept, by this life and those before it. */
  get all(): string[] {
    return [...this.earlier, ...this.lines].map(({ text }) => text);
  }
}

function expectEveryLineOnce(texts: readonly string[]): void {
  expect(texts.slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, n) => `line ${n + 1}`));
  const wrong = texts.findIndex((text, n) => text !== `line ${n + 1}`);
  expect(wrong === -1 ? '' : `${wrong}: ${texts.slice(wrong - 2, wrong + 3).join(' | ')}`).toBe('');
}

describe('without a Docker Engine', () => {
  it('says where it was looked for, in a sentence', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coral-none-'));
    const endpoint = join(folder, 'no.sock');
    const runtime = dockerRuntime({
      instance: 'x',
      endpoint,
      now: Date.now,
      temporaryFolder: folder,
      dockerConfig: folder,
    });
    expect(await runtime.unavailable()).toBe(
      `There is no Docker engine at ${endpoint}; start it, or set docker.socket to where it listens.`,
    );
    await expect(runtime.launch(shell('true'), noSignal(), new Ears())).rejects.toMatchObject({
      name: 'LaunchFailure',
      retry: true,
    });
    await runtime.close();
    await rm(folder, { recursive: true });
  });

  it('gives up every call after its time when it hangs', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coral-hung-'));
    const endpoint = join(folder, 'hung.sock');
    const server = createServer((socket) => socket.resume().on('error', () => undefined));
    await new Promise<void>((listening) => server.listen(endpoint, listening));
    const engine = new Engine({ endpoint, responseTimeoutMs: 50, pingTimeoutMs: 50 });
    await expect(engine.ping()).rejects.toMatchObject({ code: 'silent' });
    await expect(engine.json({ path: '/info' })).rejects.toMatchObject({ code: 'silent' });
    await expect(engine.stream({ path: '/events' })).rejects.toMatchObject({ code: 'silent' });
    engine.close();
    await new Promise((closed) => server.close(closed));
    await rm(folder, { recursive: true });
  });

  it('notices an answer that breaks off', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coral-broken-'));
    const endpoint = join(folder, 'broken.sock');
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(
        'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":',
      );
      setImmediate(() => setImmediate(() => socket.destroy()));
    });
    await new Promise<void>((listening) => server.listen(endpoint, listening));
    const engine = new Engine({ endpoint });
    await expect(engine.json({ path: '/containers/x/wait', method: 'POST' })).rejects.toMatchObject({
      name: 'EngineUnreachable',
    });
    engine.close();
    await new Promise((closed) => server.close(closed));
    await rm(folder, { recursive: true });
  });
});

describeDocker('an engine with live-restore', () => {
  let own: OwnEngine;
  let world: DockerWorld;
  beforeAll(async () => {
    own = await OwnEngine.begin({ liveRestore: true });
    world = await dockerWorld({
      endpoint: own.endpoint,
      pingEveryMs: 100,
      pingTimeoutMs: 500,
      responseTimeoutMs: 10_000,
    });
  });
  afterEach(async () => {
    for (const { handle } of await world.runtime.list()) await world.runtime.stop(handle, 0);
    expect(await leftIn(world.engine)).toEqual([]);
  });
  afterAll(async () => {
    await world.close();
    await own.end();
  });
  const launch = async (spec: LaunchSpec): Promise<SeeingEars> => {
    const ears = new SeeingEars();
    return ears.attachTo(world.runtime, await world.runtime.launch(spec, noSignal(), ears));
  };

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'that goes away (%s) and comes back, twice, loses and repeats no line',
    async (signal) => {
      const ears = await launch(counting());
      await ears.heard('line 100');
      for (const round of [1, 2]) {
        await own.signal(signal);
        await ears.sees(false);
        expect(ears.ended).toBeUndefined();
        await own.start();
        await ears.sees(true);
        const before = ears.texts().length;
        await ears.heard(`line ${before + 200}`);
        expect(ears.ended, `round ${round}`).toBeUndefined();
      }
      const [found] = await world.runtime.list();
      expect(await world.runtime.stop(found!.handle, 0)).toEqual({ gone: true, left: [] });
      expect(await ears.end).toMatchObject({ kind: 'signalled', signal: 'SIGKILL' });
      expectEveryLineOnce(ears.texts());
      expect(ears.removed).toBe(1);
    },
  );

  // What it prints while the engine is away and ends before it is back, the engine itself loses.
  it('tells the code of what ended while it was away', async () => {
    const ears = await launch(shell('echo ready; sleep 2; exit 9'));
    await ears.heard('ready');
    const [found] = await world.runtime.list();
    const { State } = await world.engine.json<{ State: { Pid: number } }>({
      path: `/containers/${found!.handle.id}/json`,
    });
    const pid = State.Pid;
    await own.signal('SIGKILL');
    await ears.sees(false);
    await until(() => !existsSync(`/proc/${pid}`));
    expect(ears.ended).toBeUndefined();
    await own.start();
    expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 9 });
    expect(ears.texts()[0]).toBe('ready');
    expect(ears.texts().filter((text) => text === 'ready')).toHaveLength(1);
    expect(ears.removed).toBe(1);
  });

  it('that hangs is not seen, and nothing is said to have ended', async () => {
    const ears = await launch(shell('echo ready; sleep 1000'));
    await ears.heard('ready');
    const [found] = await world.runtime.list();
    await own.signal('SIGSTOP');
    await ears.sees(false);
    expect(await world.runtime.unavailable()).toMatch(/does not answer/);
    await own.signal('SIGCONT');
    await ears.sees(true);
    expect(ears.ended).toBeUndefined();
    await world.runtime.stop(found!.handle, 0);
    expect((await ears.end).kind).toBe('signalled');
  });

  it('that is away when something is to be stopped is told so, and it can be tried again', async () => {
    const ears = await launch(shell('echo ready; sleep 1000'));
    await ears.heard('ready');
    const [found] = await world.runtime.list();
    await own.signal('SIGKILL');
    expect(await world.runtime.stop(found!.handle, 0)).toMatchObject({
      gone: false,
      left: [expect.stringContaining('container')],
    });
    await own.start();
    expect(await world.runtime.stop(found!.handle, 0)).toEqual({ gone: true, left: [] });
    expect((await ears.end).kind).toBe('signalled');
  });
});

describeDocker('an engine that is restarted while the server is away', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'keeps its containers with live-restore (%s): the next server goes on, and no line is lost or told twice',
    async (signal) => {
      const own = await OwnEngine.begin({ liveRestore: true });
      const world = await dockerWorld({ endpoint: own.endpoint });
      const first = new KeepingEars();
      const handle = await world.runtime.launch(counting(), noSignal(), first);
      first.attachTo(world.runtime, handle);
      await first.heard('line 100');
      await world.runtime.close();
      await own.signal(signal);
      await own.start();

      const later = await world.secondLife!();
      expect((await later.list()).map((found) => found.handle)).toEqual([handle]);
      const second = new KeepingEars(first.lines).attachTo(later, handle);
      await second.heard(`line ${first.lines.length + 200}`);
      expect(await later.stop(handle, 0)).toEqual({ gone: true, left: [] });
      expect(await second.end).toMatchObject({ kind: 'signalled', signal: 'SIGKILL' });
      expectEveryLineOnce(second.all);
      expect(await leftIn(world.engine)).toEqual([]);
      await later.close();
      await world.close();
      await own.end();
    },
  );

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'ends them without live-restore (%s), which the next server tells once',
    async (signal) => {
      const own = await OwnEngine.begin({ liveRestore: false });
      const world = await dockerWorld({ endpoint: own.endpoint });
      const first = new KeepingEars();
      const handle = await world.runtime.launch(shell('echo ready; exec sleep 1000'), noSignal(), first);
      first.attachTo(world.runtime, handle);
      await first.heard('ready');
      await world.runtime.close();
      await own.signal(signal);
      await own.start();

      const later = await world.secondLife!();
      expect(await later.list()).toEqual([]);
      expect((await later.ended!()).map((found) => found.handle)).toEqual([handle]);
      const second = new KeepingEars(first.lines).attachTo(later, handle);
      const ending = await second.end;
      expect(ending.kind).toBe('signalled');
      expect(meaning(ending, undefined, 0).reason).toBe('killed');
      expect(second.all).toEqual(['ready']);
      await later.release!(handle);
      expect(await later.ended!()).toEqual([]);
      expect(await leftIn(world.engine)).toEqual([]);
      await later.close();
      await world.close();
      await own.end();
    },
  );
});

describeDocker('a server that comes back to a log that was rotated', () => {
  /** Of a thousand bytes each: two files of the log hold some 30,000 of them. */
  const long = (count: number): string => `yes "$x" | head -n ${count} | cat -n`;
  const inTwoParts = (before: number, after: number): LaunchSpec =>
    shell(
      `x=$(head -c 1000 /dev/zero | tr "\\0" x); go=; trap 'go=1' USR1; ${long(before)}; echo written
       while [ -z "$go" ]; do sleep 0.05; done; ${long(after)}; echo over; exit 5`,
      { resources: { memory: 256 * 1024 ** 2, pids: 64 } },
    );
  const numbers = (texts: readonly string[]): number[] =>
    texts.flatMap((text) => (text.endsWith('x') ? [Number(text.slice(0, 7))] : []));
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1);
  let world: DockerWorld;
  beforeEach(async () => {
    world = await dockerWorld({ output: { bytesPerSecond: 2 ** 30, burst: 2 ** 30, held: 0 } });
  });
  afterEach(async () => {
    expect(await leftIn(world.engine)).toEqual([]);
    await world.close();
  });
  /** What the two lives were told, and how it ended: the first goes when the first part was printed. */
  const tell = async (spec: LaunchSpec, whileAway: boolean): Promise<KeepingEars> => {
    const first = new KeepingEars();
    const handle = await world.runtime.launch(spec, noSignal(), first);
    first.attachTo(world.runtime, handle);
    await first.heard('written');
    await world.runtime.close();
    const goOn = {
      method: 'POST',
      path: `/containers/${handle.id}/kill`,
      query: { signal: 'SIGUSR1' },
    } as const;
    if (whileAway) {
      await world.engine.text(goOn);
      await world.engine.text({ method: 'POST', path: `/containers/${handle.id}/wait` });
    }
    const later = await world.secondLife!();
    const second = new KeepingEars(first.lines).attachTo(later, handle);
    if (!whileAway) await world.engine.text(goOn);
    expect(await second.end).toMatchObject({ kind: 'exited', exitCode: 5 });
    await later.close();
    return second;
  };

  it('before it went: nothing is lost or told twice', async () => {
    const { all } = await tell(inTwoParts(48_000, 100), false);
    expect(numbers(all)).toEqual([...upTo(48_000), ...upTo(100)]);
    expect(all.at(-1)).toBe('over');
  });

  it('while it was away: what the engine has not lost is told, and nothing twice', async () => {
    const { all } = await tell(inTwoParts(10, 48_000), true);
    const told = numbers(all);
    expect(told.slice(0, 10)).toEqual(upTo(10));
    const [first = NaN] = told.slice(10);
    expect(first).toBeGreaterThan(1);
    expect(told.slice(10)).toEqual(upTo(48_000).slice(first - 1));
    expect(told.length).toBeGreaterThan(15_000);
    expect(all.at(-1)).toBe('over');
  });
});

describeDocker('an engine without live-restore', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'takes its containers with it (%s), and every agent says so once',
    async (signal) => {
      const own = await OwnEngine.begin({ liveRestore: false });
      const world = await dockerWorld({ endpoint: own.endpoint, pingEveryMs: 100, pingTimeoutMs: 500 });
      const all = await Promise.all(
        ['a', 'b'].map(async (agent) => {
          const ears = new SeeingEars();
          const spec = { ...shell('echo ready; exec sleep 1000'), labels: labels({ agent }) };
          return ears.attachTo(world.runtime, await world.runtime.launch(spec, noSignal(), ears));
        }),
      );
      await Promise.all(all.map((ears) => ears.heard('ready')));
      await own.signal(signal);
      await Promise.all(all.map((ears) => ears.sees(false)));
      expect(all.map((ears) => ears.ended)).toEqual([undefined, undefined]);
      await own.start();
      for (const ears of all) {
        expect(await ears.end).toMatchObject({
          kind: 'signalled',
          detail: expect.stringContaining('engine went away'),
        });
        expect(ears.removed).toBe(1);
      }
      expect(await leftIn(world.engine)).toEqual([]);
      await world.close();
      await own.end();
    },
  );
});
