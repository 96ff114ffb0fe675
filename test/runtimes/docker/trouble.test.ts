/** An engine that is absent, goes away, comes back, or hangs. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { LaunchSpec } from '../../../src/domain/launch.ts';
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
