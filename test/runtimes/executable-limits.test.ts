/** What executables may use, and that nothing gets out of their control group. Real groups, where this user may make them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ExecutableResources } from '../../src/domain/definition.ts';
import type { LaunchSpec } from '../../src/domain/launch.ts';
import type { Handle, Line } from '../../src/ports/runtime.ts';
import { startTimeOf } from '../../src/process-identity.ts';
import { ControlGroups, groupOf } from '../../src/runtimes/executable/control-groups.ts';
import { findPlaces } from '../../src/runtimes/executable/control-places.ts';
import { executableRuntime, type ExecutableRuntimeOptions } from '../../src/runtimes/executable/runtime.ts';
import { INSTANCE } from '../contracts/runtime.ts';
import { executableSpec, executableWorld, keptWorld } from './executable-world.ts';

const MiB = 1024 ** 2;
/** For what comes when this machine gets round to it. */
const LONG = { timeout: 20_000 };
const cannot = new ControlGroups('test').missing().join('; ');

const limited = (script: string, resources: ExecutableResources): LaunchSpec => {
  const spec = executableSpec('sh', ['-c', script]);
  return { ...spec, how: { ...spec.how, resources } as LaunchSpec['how'] };
};

/** Every folder of this instance's groups that is there. */
function groups(): string[] {
  return findPlaces(groupOf(INSTANCE))
    .filter(({ folder }) => existsSync(folder))
    .flatMap(({ folder }) => readdirSync(folder, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`);
}

const programOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
};

describe.each([
  ['by the server itself', executableWorld],
  ['by a keeper', keptWorld],
])('an executable started %s', (_name, open) => {
  let world: Awaited<ReturnType<typeof open>>;
  let before: string[];
  beforeEach(async (context) => {
    before = groups();
    if (cannot !== '') context.skip(cannot);
    world = await open();
  });
  afterEach(async () => {
    await world?.close();
    // A keeper is on its way out after its last server has gone.
    await expect.poll(() => groups().filter((one) => !before.includes(one)), LONG).toEqual([]);
  });

  const run = async (spec: LaunchSpec) => {
    const lines: string[] = [];
    const observer = { line: ({ text }: Line) => void lines.push(text) };
    const handle = await world.runtime.launch(spec, new AbortController().signal, observer);
    const ended = world.runtime.attach(handle, observer).ended;
    return { handle, ended, lines };
  };

  it('that uses up its memory is ended by the kernel, and its end says so', async () => {
    const grow = "exec node -e 'const held = []; for (;;) held.push(Buffer.alloc(1 << 20, 1))'";
    const { handle, ended } = await run(limited(grow, { memory: 64 * MiB }));
    expect(handle['unlimited']).toBeUndefined();
    expect(await ended).toMatchObject({
      kind: 'out_of_memory',
      detail: expect.stringContaining('resources.memory'),
    });
  });

  it('gets no more processes than it may', async () => {
    const fork = 'for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; jobs | wc -l; kill $(jobs -p)';
    const { ended, lines } = await run(limited(`(${fork}) || echo refused`, { pids: 4 }));
    await ended;
    expect(lines.join('\n')).toMatch(/fork|refused/i);
  });

  it('is held to its share of the CPUs', async () => {
    const { handle, lines, ended } = await run(
      limited('cat /proc/self/cgroup; exec sleep 600', { cpus: 0.25 }),
    );
    await expect.poll(() => lines.length, LONG).toBeGreaterThan(1);
    expect(await world.runtime.stop(handle, 1_000)).toEqual({ gone: true, left: [] });
    await ended;
    expect(lines.filter((line) => /coral-[0-9a-f]{24}/.test(line)).length).toBeGreaterThan(0);
  });

  it('leaves nothing, whatever its descendants did to hide', async () => {
    const hide = 'setsid env -i sleep 600 & exec sleep 600';
    const { handle, ended } = await run(limited(hide, {}));
    const inside = (): string[] =>
      groups()
        .filter((one) => !before.includes(one))
        .flatMap((one) => readFileSync(`${one}/cgroup.procs`, 'utf8').trim().split('\n'));
    await expect.poll(() => inside().map(programOf), LONG).toEqual(['sleep', 'sleep']);
    const hidden = inside();
    expect(await world.runtime.stop(handle, 1_000)).toEqual({ gone: true, left: [] });
    for (const pid of hidden) expect(startTimeOf(Number(pid))).toBeUndefined();
    await ended;
  });
});

it('an earlier server’s agent is found in its group, and the group goes with it', async (context) => {
  if (cannot !== '') context.skip(cannot);
  const world = await executableWorld();
  const options: ExecutableRuntimeOptions = {
    instance: INSTANCE,
    environment: process.env,
    now: Date.now,
    temporaryFolder: world.temporaryFolder,
  };
  const before = groups();
  const first = executableRuntime(options);
  const handle: Handle = await first.launch(
    limited('setsid env -i sleep 600 & exec sleep 600', {}),
    new AbortController().signal,
    { line: () => undefined },
  );
  await first.close();
  const second = executableRuntime(options);
  await second.list();
  const made = groups().filter((one) => !before.includes(one));
  expect(made.length).toBeGreaterThan(0);
  expect(await second.stop(handle, 500)).toEqual({ gone: true, left: [] });
  for (const one of made) expect(existsSync(one)).toBe(false);
  await second.close();
  await world.close();
});

it('groups are of version 1 where there are both, and there the thread that starts an agent is back before it is said', async (context) => {
  const [first] = findPlaces(groupOf(INSTANCE));
  if (first?.version !== 1) context.skip('there are no groups of version 1 to be made here');
  const group = new ControlGroups(INSTANCE).make('there and back', {}).group!;
  const own = (): string => readFileSync('/proc/thread-self/cgroup', 'utf8');
  const outside = own();
  const { started: inside, trouble } = group.startIn(own);
  expect(trouble).toBeUndefined();
  expect(inside).not.toBe(outside);
  expect(own()).toBe(outside);
  group.remove();
});

it('groups of others in which nothing is go when a second look finds them as the first', async (context) => {
  if (cannot !== '') context.skip(cannot);
  // Among themselves, out of the way of whoever else uses this machine.
  const nest = `nest-${process.pid}`;
  const find: typeof findPlaces = (name) =>
    findPlaces(name).map((place) => ({ ...place, folder: join(dirname(place.folder), nest, name) }));
  const folders = (instance: string): string[] =>
    find(groupOf(instance)).flatMap(({ folder }) =>
      existsSync(folder)
        ? [
            folder,
            ...readdirSync(folder).flatMap((one) =>
              statSync(join(folder, one)).isDirectory() ? [join(folder, one)] : [],
            ),
          ]
        : [],
    );
  const all = { memory: 64 * MiB, cpus: 1, pids: 9 };
  const dead = new ControlGroups('of a state folder that is gone', find);
  const living = new ControlGroups('of a server that lives', find);
  const anew = new ControlGroups('of one that comes back', find);
  dead.make('an attempt', all);
  anew.make('an attempt', all);
  const { started } = living.make('an attempt', all).group!.startIn(() => spawn('sleep', ['600']));
  const ours = new ControlGroups('ours', find);
  try {
    const seen = ours.sweepStrangers(new Set());
    expect(folders('of a state folder that is gone').length).toBeGreaterThan(1);
    anew.sweep([]);
    anew.make('an attempt', all);
    ours.sweepStrangers(seen);
    expect(folders('of a state folder that is gone')).toEqual([]);
    expect(folders('of one that comes back').length).toBeGreaterThan(1);
    expect(folders('of a server that lives').length).toBeGreaterThan(1);
  } finally {
    const gone = once(started, 'exit');
    started.kill('SIGKILL');
    await gone;
    for (const one of [dead, living, anew]) one.sweep([]);
    for (const { folder } of find('any')) if (existsSync(dirname(folder))) rmdirSync(dirname(folder));
  }
});

it('where no group can be made, an agent runs and it is said what does not hold for it', () => {
  const nowhere = new ControlGroups('test', () => []);
  const { group, unlimited } = nowhere.make('a mark', { memory: MiB, pids: 5 });
  expect(group).toBeUndefined();
  expect(unlimited).toEqual([
    expect.stringMatching(/^Its memory is not limited: the server may make no control groups.*\.$/),
    expect.stringMatching(/^Its processes are not limited: .*\.$/),
  ]);
  expect(nowhere.missing()).toHaveLength(3);
});

it('who asks for more than the operator allows is refused, and who does not ask gets that', async () => {
  const runtime = executableRuntime({
    instance: INSTANCE,
    environment: {},
    now: Date.now,
    temporaryFolder: '/tmp',
    policy: { maxMemory: 64 * MiB, maxPids: 10 },
  });
  const plan = {
    runtime: { ...executableSpec('sh', []).how, resources: { memory: 65 * MiB, cpus: 9, pids: 3 } },
  };
  expect(await runtime.refuses!(plan as never)).toEqual([
    `It asks for ${65 * MiB} bytes of memory; this server allows ${64 * MiB} (executable.policy.maxMemory).`,
  ]);
  await runtime.close();
});
