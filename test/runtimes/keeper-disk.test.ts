/** A keeper whose disk was full when an agent started, and one whose disk fills up while an agent talks and ends. */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Ending } from '../../src/domain/exit.ts';
import { Keeper } from '../../src/runtimes/executable/keeper/keeper.ts';
import { readExit, readSpoolHandle } from '../../src/runtimes/executable/keeper/spool.ts';
import { executableRuntime } from '../../src/runtimes/executable/runtime.ts';
import { INSTANCE, noSignal } from '../contracts/runtime.ts';
import { executableSpec } from './executable-world.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'coral-keeper-disk-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('notes whose end it was, so that somebody can let go of it', async () => {
  const agents = join(folder, 'agents');
  writeFileSync(agents, ''); // nothing can be written below
  let tell: (ending: Ending) => void = () => undefined;
  const ended = new Promise<Ending>((resolve) => (tell = resolve));
  const runtime = executableRuntime({
    instance: INSTANCE,
    environment: {},
    now: Date.now,
    temporaryFolder: folder,
  });
  const keeper = new Keeper({
    folder,
    runtime,
    grown: () => undefined,
    ended: (_key, ending) => tell(ending),
  });
  const parts = { server: process.env, debug: {} };
  const handle = await keeper.launch(executableSpec('./wait.sh', []), parts, noSignal());
  rmSync(agents);
  await keeper.stop(handle, 1_000);
  const ending = await ended;
  const [name = 'nothing'] = readdirSync(agents);
  expect(readExit(join(agents, name))).toEqual(ending);
  expect(readSpoolHandle(join(agents, name))).toEqual(handle);
  await runtime.close();
});

/** A small disk; false where this user may not mount. */
function mountSmallDisk(): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'coral-test', folder]).status === 0;
}

function fill(): void {
  const { bavail, bsize } = statfsSync(folder);
  appendFileSync(join(folder, 'ballast'), Buffer.alloc(bavail * bsize));
}

it('on a full disk lets its agents talk and end, drops what they say, and notes how they ended once there is room', async (context) => {
  if (!mountSmallDisk()) return context.skip('mounting a small disk needs root');
  const outside = mkdtempSync(join(tmpdir(), 'coral-keeper-outside-'));
  const told: Ending[] = [];
  const runtime = executableRuntime({
    instance: INSTANCE,
    environment: {},
    now: Date.now,
    temporaryFolder: outside,
  });
  const keeper = new Keeper({
    folder,
    runtime,
    grown: () => undefined,
    ended: (_key, ending) => told.push(ending),
  });
  try {
    const script = `echo before; until test -e ${outside}/go; do sleep 0.02; done; seq 1 200000; exit 7`;
    const parts = { server: process.env, debug: {} };
    const handle = await keeper.launch(executableSpec('sh', ['-c', script]), parts, noSignal());
    const [name = ''] = readdirSync(join(folder, 'agents'));
    const attempt = join(folder, 'agents', name);
    const spool = (): string =>
      readdirSync(attempt)
        .filter((file) => !file.endsWith('.json'))
        .map((file) => readFileSync(join(attempt, file), 'utf8'))
        .join('');
    await expect.poll(spool, { timeout: 30_000 }).toMatch(/^o\d+ before$/m);
    fill();
    mkdirSync(join(outside, 'go'));
    await expect.poll(() => told[0], { timeout: 30_000 }).toMatchObject({ kind: 'exited', exitCode: 7 });
    expect(readExit(attempt)).toBeUndefined();
    // Whoever asks is told, though nothing of it is on the disk.
    expect(keeper.watch(handle)).toEqual(told[0]);

    rmSync(join(folder, 'ballast'));
    await expect.poll(() => readExit(attempt), { timeout: 30_000 }).toEqual(told[0]);
    expect(spool()).toMatch(/^o\d+ before$/m);
    // What was given up is counted.
    const dropped = [...spool().matchAll(/^d(\d+)$/gm)].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
    expect(dropped).toBeGreaterThan(500_000);
  } finally {
    await runtime.close();
    spawnSync('umount', ['-l', folder]);
    rmSync(outside, { recursive: true });
  }
});
