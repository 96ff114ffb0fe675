/** A keeper whose disk was full when an agent started. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
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
