/** Containers whose server was killed between making and starting them; on a real engine, behind a door that shuts. */
import { rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LaunchSpec } from '../../../src/domain/launch.ts';
import { dockerRuntime } from '../../../src/runtimes/docker/runtime.ts';
import { Ears, INSTANCE, noSignal } from '../../contracts/runtime.ts';
import { describeDocker, ENDPOINT } from '../../support/docker.ts';
import { dockerWorld, leftIn, shell, type DockerWorld } from './world.ts';

describeDocker('a container that was made and not started when its server was killed', () => {
  let world: DockerWorld;
  let killed: Killed;
  beforeEach(async () => {
    world = await dockerWorld();
    killed = await killedAtStart(world.folder);
  });
  afterEach(async () => {
    expect(await leftIn(world.engine)).toEqual([]);
    await killed.bury();
    await world.close();
  });

  async function found(spec: LaunchSpec, meanwhile: () => void = () => undefined): Promise<Ears> {
    await killed.launch(spec);
    expect(await world.runtime.list()).toEqual([]);
    const [container] = (await world.runtime.ended?.()) ?? [];
    expect(container?.labels).toEqual(spec.labels);
    meanwhile();
    const ears = new Ears();
    ears.attachTo(world.runtime, container!.handle);
    return ears;
  }
  const files = [{ variable: 'PLAN', parts: [Buffer.from('a plan')] }];

  it('is started by the next one, with all it was given', async () => {
    const ears = await found(shell('cat "$PLAN"; exit 3', {}, { files }));
    expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 3 });
    expect(ears.texts('out')).toEqual(['a plan']);
  });

  it('and cannot be, says why', async () => {
    const ears = await found(shell('true', {}, { files }), () =>
      rmSync(join(world.folder, `coral-docker-${INSTANCE}`), { recursive: true }),
    );
    expect(await ears.end).toMatchObject({
      kind: 'could_not_start',
      detail: expect.stringMatching(
        /ended before it was started, and it cannot be started now: .*does not exist/,
      ),
    });
  });
});

interface Killed {
  /** Resolves when it asks for the start of the container; nothing that it says from then on reaches the engine. */
  launch(spec: LaunchSpec): Promise<void>;
  bury(): Promise<void>;
}

/** A server's runtime, behind a door to the engine that shuts. */
async function killedAtStart(folder: string): Promise<Killed> {
  let shut: () => void;
  let isShut = false;
  const asked = new Promise<void>((resolve) => (shut = resolve));
  const door = createServer((incoming, answer) => {
    if (incoming.url?.includes('/start') === true) {
      isShut = true;
      shut();
    }
    if (isShut) return;
    const { url: path, method, headers } = incoming;
    const onward = request({ socketPath: ENDPOINT, path, method, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers).flushHeaders();
      response.pipe(answer);
    });
    incoming.pipe(onward.on('error', () => incoming.socket.destroy()));
    answer.once('close', () => onward.destroy());
  });
  const endpoint = join(folder, 'engine.sock');
  await new Promise<void>((listening) => door.listen(endpoint, listening));
  const runtime = dockerRuntime({
    instance: INSTANCE,
    endpoint,
    now: Date.now,
    temporaryFolder: folder,
    dockerConfig: folder,
    sweepEveryMs: 0,
  });
  let launched: Promise<unknown> = Promise.resolve();
  return {
    async launch(spec) {
      launched = runtime.launch(spec, noSignal(), new Ears()).catch(() => undefined);
      await asked;
    },
    async bury() {
      door.closeAllConnections();
      await new Promise((closed) => door.close(closed));
      await launched;
      await runtime.close();
    },
  };
}
