/** A keeper in odd places and bad times: its path too long, nobody there, frozen. */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { Ending } from '../../src/domain/exit.ts';
import { isAlive, startTimeOf } from '../../src/process-identity.ts';
import { endKeeper } from '../../src/runtimes/executable/keeper/living.ts';
import type { KeeperFile } from '../../src/runtimes/executable/keeper/protocol.ts';
import { keptExecutableRuntime } from '../../src/runtimes/executable/keeper/runtime.ts';
import type { Handle, Runtime } from '../../src/ports/runtime.ts';
import { labels } from '../contracts/runtime.ts';
import { executableSpec, keptWorld } from './executable-world.ts';

type World = Awaited<ReturnType<typeof keptWorld>>;
let ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
});

async function open(
  more: { folder?: string; orphanTimeout?: number; heartbeat?: number } = {},
): Promise<World> {
  const plain = await keptWorld();
  const keeper = { ...plain.options.keeper, ...more };
  if (more.folder !== undefined) keeper.folder = join(plain.temporaryFolder, more.folder);
  const options = { ...plain.options, keeper };
  const runtime = keptExecutableRuntime(options);
  ends.push(
    () => plain.close(),
    () => endKeeper(keeper.folder, isAlive),
    () => runtime.close(),
  );
  return { ...plain, options, runtime };
}
const keeperOf = ({ options }: World): KeeperFile =>
  JSON.parse(readFileSync(join(options.keeper.folder, 'keeper.json'), 'utf8')) as KeeperFile;
const begin = (runtime: Runtime, agent = 'one'): Promise<Handle> =>
  runtime.launch(
    executableSpec('sleep', ['600'], { labels: labels({ agent }) }),
    new AbortController().signal,
    { line: () => undefined },
  );
const lives = ({ pid }: Handle): boolean => startTimeOf(Number(pid)) !== undefined;
const soon = { timeout: 20_000 };

it('a state folder whose path is longer than a socket may have gets its socket elsewhere, for its owner alone', async () => {
  const world = await open({ folder: join('x'.repeat(100), 'y'.repeat(100), 'keeper') });
  const handle = await begin(world.runtime);
  const { socket } = keeperOf(world);
  expect(Buffer.byteLength(socket)).toBeLessThanOrEqual(107);
  expect((statSync(socket).mode & 0o777).toString(8)).toBe('600');
  expect((statSync(join(socket, '..')).mode & 0o777).toString(8)).toBe('700');
  const second = keptExecutableRuntime(world.options);
  expect((await second.list()).map(({ handle: { id } }) => id)).toEqual([handle.id]);
  await second.close();
  expect(await world.runtime.stop(handle, 100)).toEqual({ gone: true, left: [] });
});

it('ends its agents and itself when no server came for the time it was told', async () => {
  const world = await open({ orphanTimeout: 300 });
  const handle = await begin(world.runtime);
  const keeper = keeperOf(world);
  await world.runtime.close();
  await expect.poll(() => lives(handle), soon).toBe(false);
  await expect.poll(() => isAlive(keeper), soon).toBe(false);
});

it('whose folder is removed ends its agents and itself, and nobody else’s', async () => {
  const [world, other] = [await open(), await open()];
  const handle = await begin(world.runtime);
  const others = await begin(other.runtime, 'another');
  const keeper = keeperOf(world);
  await world.runtime.close();
  rmSync(world.options.keeper.folder, { recursive: true });
  await expect.poll(() => lives(handle), soon).toBe(false);
  await expect.poll(() => isAlive(keeper), soon).toBe(false);
  expect(lives(others)).toBe(true);
});

it('whose folder another keeper has taken leaves it its agents', async () => {
  const world = await open();
  const handle = await begin(world.runtime);
  const keeper = keeperOf(world);
  await world.runtime.close();
  const file = join(world.options.keeper.folder, 'keeper.json');
  writeFileSync(file, JSON.stringify({ ...keeper, pid: 1, startTime: 'another' }));
  await expect.poll(() => isAlive(keeper), soon).toBe(false);
  expect(lives(handle)).toBe(true);
  // And the next one finds them.
  const later = keptExecutableRuntime(world.options);
  ends.push(() => later.close());
  expect(await later.stop(handle, 100)).toEqual({ gone: true, left: [] });
});

it('that is frozen is not seen, and neither are its agents; when it is back, all is', async () => {
  const world = await open({ heartbeat: 100 });
  const handle = await begin(world.runtime);
  const sights: boolean[] = [];
  const { ended } = world.runtime.attach(handle, {
    line: () => undefined,
    visible: (seen) => void sights.push(seen),
  });
  const { pid } = keeperOf(world);
  process.kill(pid, 'SIGSTOP');
  try {
    await expect.poll(() => sights, soon).toEqual([false]);
    expect(lives(handle)).toBe(true);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await expect.poll(() => sights, soon).toEqual([false, true]);
  expect(await world.runtime.stop(handle, 1_000)).toEqual({ gone: true, left: [] });
  expect(await ended).toMatchObject({ kind: 'signalled' } satisfies Partial<Ending>);
});
