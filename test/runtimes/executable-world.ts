/** The executable runtime over the fixture programs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LaunchSpec } from '../../src/domain/launch.ts';
import { executableRuntime } from '../../src/runtimes/executable/runtime.ts';
import type { ExecutableRuntimeOptions } from '../../src/runtimes/executable/runtime.ts';
import { isAlive } from '../../src/process-identity.ts';
import { keptExecutableRuntime } from '../../src/runtimes/executable/keeper/runtime.ts';
import type { KeptRuntimeOptions } from '../../src/runtimes/executable/keeper/runtime.ts';
import { INSTANCE, labels } from '../contracts/runtime.ts';
import type { Program, RuntimeWorld } from '../contracts/runtime.ts';

const PROGRAMS = fileURLToPath(new URL('../fixtures/programs', import.meta.url));

export const executableSpec = (
  path: string,
  words: readonly string[],
  more: Partial<LaunchSpec> = {},
): LaunchSpec => ({
  labels: labels(),
  namespace: 'default',
  environment: {},
  files: [],
  folder: PROGRAMS,
  version: '1.0.0',
  secrets: [],
  how: {
    kind: 'executable',
    path,
    arguments: words,
    transport: 'streamable_http',
    environment: {},
    inheritEnvironment: ['PATH'],
  },
  ...more,
});

function argumentsOf(program: Program): readonly [string, ...string[]] {
  switch (program.does) {
    case 'print':
      return ['./print.sh', String(program.code), ...program.lines];
    case 'count':
      return ['./count.sh', String(program.lines)];
    case 'wait':
      return ['./wait.sh'];
    case 'ignore':
      return ['./ignore.sh'];
    case 'environment':
      return ['./environment.sh'];
    case 'die':
      return ['./die.sh', program.signal];
    case 'fail':
      return ['./no-such-program'];
  }
}

/** What the keeper of a test is started from: the built program. */
const KEEPER = fileURLToPath(new URL('../../dist/keeper.js', import.meta.url));

/** The executable runtime by way of a keeper of its own. */
export async function keptWorld(
  more: Partial<KeptRuntimeOptions> = {},
): Promise<RuntimeWorld & { readonly temporaryFolder: string; readonly options: KeptRuntimeOptions }> {
  const folder = await mkdtemp(join(tmpdir(), 'coral-test-'));
  const options: KeptRuntimeOptions = {
    instance: INSTANCE,
    environment: process.env,
    now: Date.now,
    temporaryFolder: folder,
    keeper: { folder: join(folder, 'keeper'), entry: KEEPER, isAlive },
    ...more,
  };
  const runtime = keptExecutableRuntime(options);
  return {
    temporaryFolder: folder,
    options,
    runtime,
    spec(program, spec) {
      const [path, ...words] = argumentsOf(program);
      return executableSpec(path, words, spec);
    },
    secondLife: async () => keptExecutableRuntime(options),
    async close() {
      await runtime.close();
      // The keeper may be noting an end.
      await rm(folder, { recursive: true, force: true, maxRetries: 50 });
    },
  };
}

export async function executableWorld(
  more: Partial<ExecutableRuntimeOptions> = {},
): Promise<RuntimeWorld & { readonly temporaryFolder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'coral-test-'));
  const options = {
    instance: INSTANCE,
    environment: process.env,
    now: Date.now,
    temporaryFolder: folder,
    ...more,
  };
  const runtime = executableRuntime(options);
  return {
    temporaryFolder: folder,
    runtime,
    spec(program, spec) {
      const [path, ...words] = argumentsOf(program);
      return executableSpec(path, words, spec);
    },
    secondLife: async () => executableRuntime(options),
    async close() {
      await runtime.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
