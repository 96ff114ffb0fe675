/** The executable runtime over the fixture programs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LaunchSpec } from '../../src/domain/launch.ts';
import { executableRuntime } from '../../src/runtimes/executable/runtime.ts';
import type { ExecutableRuntimeOptions } from '../../src/runtimes/executable/runtime.ts';
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
