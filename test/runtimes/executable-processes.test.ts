/** The executable runtime ends everything an agent started, wherever it went, and finds what a crash left. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Handle, Runtime } from '../../src/ports/runtime.ts';
import { Ears, labels, noSignal } from '../contracts/runtime.ts';
import { executableSpec, executableWorld } from './executable-world.ts';

/** Alive: there, and not merely waiting to be noticed as dead. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

describe.runIf(process.platform === 'linux')('the processes of an agent', () => {
  let world: Awaited<ReturnType<typeof executableWorld>>;
  let runtime: Runtime;
  const strays: number[] = [];
  beforeEach(async () => {
    world = await executableWorld({ leftoverGraceMs: 500 });
    runtime = world.runtime;
  });
  afterEach(async () => {
    for (const { handle } of await runtime.list()) await runtime.stop(handle, 0);
    await world.close();
    for (const pid of strays.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });

  const family = async (where: string, habit: string, end: string) => {
    const spec = executableSpec('./family.sh', [where, habit, end]);
    const handle = await runtime.launch(spec, noSignal(), { line: () => undefined });
    const ears = new Ears().attachTo(runtime, handle);
    const child = Number((await ears.heard('child ')).text.split(' ')[1]);
    strays.push(child);
    return { handle, ears, child };
  };

  it.each([
    ['group', 'meek'],
    ['group', 'deaf'],
    ['session', 'meek'],
    ['session', 'deaf'],
    ['wiped', 'meek'],
    ['wiped', 'deaf'],
  ])('are all gone before its end is told, when it leaves one behind (%s, %s)', async (where, habit) => {
    const { ears, child } = await family(where, habit, 'exit');
    expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 0 });
    expect(isAlive(child)).toBe(false);
    expect(await runtime.list()).toEqual([]);
  });

  it.each([
    ['group', 'meek', 30_000],
    ['group', 'deaf', 100],
    ['session', 'meek', 30_000],
    ['session', 'deaf', 100],
    ['wiped', 'deaf', 100],
  ])('are all gone when it was stopped (%s, %s)', async (where, habit, grace) => {
    const { handle, ears, child } = await family(where, habit, 'stay');
    expect(await runtime.stop(handle, grace)).toEqual({ gone: true, left: [] });
    expect(isAlive(child)).toBe(false);
    await ears.end;
  });

  it('are given the whole grace of a stop, also after their leader has gone', async () => {
    await world.close();
    world = await executableWorld({ leftoverGraceMs: 0 });
    runtime = world.runtime;
    const { handle, ears, child } = await family('group', 'deaf', 'stay');
    const stopping = runtime.stop(handle, 3_600_000);
    // The leader heeds the request and goes; what it left would have no grace at all, but this was asked for.
    while (isAlive(handle['pid'] as number)) await runtime.list();
    for (let look = 0; look < 5; look += 1) await runtime.list();
    expect(isAlive(child)).toBe(true);
    await runtime.stop(handle, 0);
    expect(await stopping).toEqual({ gone: true, left: [] });
    await ears.end;
  });

  it('are found and ended in the next life of the server, also when only a descendant is left', async () => {
    const { handle, child } = await family('session', 'deaf', 'stay');
    process.kill(handle['pid'] as number, 'SIGKILL');
    // This life of the runtime would now end the descendant: look at it with the next one's eyes at once.
    const later = await world.secondLife!();
    const stopping = later
      .list()
      .then((found) => Promise.all(found.map((one) => later.stop(one.handle, 50))));
    for (const receipt of await stopping) expect(receipt).toEqual({ gone: true, left: [] });
    expect(isAlive(child)).toBe(false);
    await later.close();
  });

  it('of an earlier life are lost when they end, and said to be', async () => {
    const handle = await runtime.launch(executableSpec('./wait.sh', []), noSignal(), {
      line: () => undefined,
    });
    await new Ears().attachTo(runtime, handle).heard('ready');
    const later = await world.secondLife!();
    const watching = new Ears().attachTo(later, handle);
    process.kill(handle['pid'] as number, 'SIGTERM');
    const ending = await watching.end;
    expect(ending.kind).toBe('lost');
    expect(ending.detail).toContain(String(handle['pid']));
    await later.close();
  });

  it('are never confused with another process that has their pid', async () => {
    const stranger = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    await once(stranger, 'spawn');
    strays.push(stranger.pid!);
    const real = await runtime.launch(executableSpec('./wait.sh', []), noSignal(), { line: () => undefined });
    const forged: Handle = { ...real, id: 'older', pid: stranger.pid!, start: '1', mark: 'x/y/1/z' };
    expect(await runtime.stop(forged, 0)).toEqual({ gone: true, left: [] });
    expect(isAlive(stranger.pid!)).toBe(true);
    const otherBoot: Handle = { ...real, id: 'other-boot', boot: 'another' };
    expect(await runtime.stop(otherBoot, 0)).toEqual({ gone: true, left: [] });
    expect(await new Ears().attachTo(runtime, otherBoot).end).toMatchObject({ kind: 'lost' });
    expect(await runtime.list()).toHaveLength(1);
  });

  it('of another server on the same machine are left alone', async () => {
    await runtime.launch(
      executableSpec('./wait.sh', [], { labels: labels({ instance: 'somebody-else' }) }),
      noSignal(),
      { line: () => undefined },
    );
    const handle = await runtime.launch(executableSpec('./wait.sh', []), noSignal(), {
      line: () => undefined,
    });
    const later = await world.secondLife!();
    expect((await later.list()).map((one) => one.handle.id)).toEqual([handle.id]);
    await later.close();
    for (const child of await runtime.list()) await runtime.stop(child.handle, 0);
  });

  it('whose pipe a stranger holds open do not keep its end from being told', async () => {
    // A process that left the group, the session and the environment: nothing tells whose it is, but it has the pipe.
    const script = 'setsid env -i sleep 60 & echo "child $!"; sleep 0.1';
    const handle = await runtime.launch(executableSpec('/bin/sh', ['-c', script]), noSignal(), {
      line: () => undefined,
    });
    const ears = new Ears().attachTo(runtime, handle);
    strays.push(Number((await ears.heard('child ')).text.split(' ')[1]));
    expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 0 });
  });
});
