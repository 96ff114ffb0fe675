/** The Docker runtime over the fixture programs in a busybox image. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DockerRuntime as DockerHow } from '../../../src/domain/definition.ts';
import type { LaunchSpec } from '../../../src/domain/launch.ts';
import { Engine } from '../../../src/runtimes/docker/engine.ts';
import { dockerRuntime } from '../../../src/runtimes/docker/runtime.ts';
import type { DockerRuntime, DockerRuntimeOptions } from '../../../src/runtimes/docker/runtime.ts';
import { INSTANCE, labels } from '../../contracts/runtime.ts';
import type { Program, RuntimeWorld } from '../../contracts/runtime.ts';
import { BUSYBOX, busyboxImage } from '../../support/docker-images.ts';
import { ENDPOINT } from '../../support/docker.ts';
import { inEngine } from '../../support/in-engine.ts';

export const dockerHow = (more: Partial<DockerHow> = {}): LaunchSpec['how'] => ({
  kind: 'docker',
  image: BUSYBOX,
  transport: 'streamable_http',
  environment: {},
  resources: { memory: 64 * 1024 ** 2, pids: 64 },
  network: 'none',
  readOnly: false,
  pull: 'never',
  volumes: [],
  capabilities: [],
  ...more,
});

export const dockerSpec = (
  command: readonly string[],
  how: Partial<DockerHow> = {},
  more: Partial<LaunchSpec> = {},
): LaunchSpec => ({
  labels: labels(),
  namespace: 'default',
  environment: {},
  files: [],
  folder: '/',
  version: '1.0.0',
  secrets: [],
  how: dockerHow({ command, ...how }),
  ...more,
});

/** A shell script in a container. */
export const shell = (
  script: string,
  how: Partial<DockerHow> = {},
  more: Partial<LaunchSpec> = {},
): LaunchSpec => dockerSpec(['/bin/sh', '-c', script], how, more);

function commandOf(program: Program): string[] {
  switch (program.does) {
    case 'print':
      return ['/app/print.sh', String(program.code), ...program.lines];
    case 'count':
      return ['/app/count.sh', String(program.lines)];
    case 'wait':
      return ['/app/wait.sh'];
    case 'ignore':
      return ['/app/ignore.sh'];
    case 'environment':
      return ['/app/environment.sh'];
    case 'die':
      return ['/app/die.sh', program.signal];
    case 'fail':
      return ['/app/wait.sh'];
  }
}

export interface DockerWorld extends RuntimeWorld {
  readonly runtime: DockerRuntime;
  readonly engine: Engine;
  readonly folder: string;
}

export async function dockerWorld(more: Partial<DockerRuntimeOptions> = {}): Promise<DockerWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'coral-test-'));
  const options: DockerRuntimeOptions = {
    instance: INSTANCE,
    endpoint: ENDPOINT,
    now: Date.now,
    temporaryFolder: folder,
    dockerConfig: folder,
    sweepEveryMs: 0,
    ...more,
  };
  const engine = new Engine({ endpoint: options.endpoint });
  await busyboxImage(engine);
  const runtime = dockerRuntime(options);
  return {
    runtime,
    engine,
    folder,
    spec(program, spec) {
      const image = program.does === 'fail' ? 'coral-test/no-such-image:1' : BUSYBOX;
      return dockerSpec(commandOf(program), { image }, spec);
    },
    secondLife: async () => dockerRuntime(options),
    async close() {
      await runtime.close();
      engine.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What bears this test file's label in the engine, in words. */
export const leftIn = (engine: Engine, instance = INSTANCE): Promise<string[]> => inEngine(engine, instance);
