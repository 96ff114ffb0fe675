/**
 * One launch, from what a definition asks for to a container that runs. L1: create, attach, start, in this order: no
 * byte of output and no exit of a short run is missed. L2: what was begun and is not wanted any more is removed before
 * anybody is told that there is nothing. L3: what does not need one another is asked of the engine at once.
 */
import { limitsOf, refusalsOf } from '../../domain/docker-policy.ts';
import type { DockerPolicy } from '../../domain/docker-policy.ts';
import type { Labels, LaunchSpec } from '../../domain/launch.ts';
import { secretsIn } from '../../domain/sealed.ts';
import { LaunchFailure } from '../../ports/runtime.ts';
import type { Observer } from '../../ports/runtime.ts';
import type { OptionFiles } from '../option-files.ts';
import { Container } from './container.ts';
import type { ContainerParts } from './container-parts.ts';
import { createContainer } from './create.ts';
import { environmentOf } from './environment.ts';
import { failureOf } from './failure.ts';
import { giveAway, placeFiles } from './files.ts';
import type { PlacedFiles } from './files.ts';
import { referenceOf } from './image.ts';
import type { Networks } from './networks.ts';
import type { DockerRuntimeOptions } from './options.ts';
import type { Surroundings } from './place.ts';
import type { Images } from './pulls.ts';
import { Places } from './queue.ts';
import type { SocketDoors } from './socket-door.ts';
import { containerOf, nameOf, userOf } from './spec.ts';
import { Undo } from './undo.ts';
import { resolveVolumes } from './volumes.ts';
import type { VolumeRules } from './volumes.ts';

/** What is launched here. */
export type DockerSpec = LaunchSpec & { readonly how: Extract<LaunchSpec['how'], { kind: 'docker' }> };

/** What the runtime lends. */
export interface LauncherParts extends Pick<ContainerParts, 'engine' | 'watcher' | 'endings' | 'kept'> {
  readonly options: DockerRuntimeOptions;
  readonly policy: DockerPolicy;
  readonly volumeRules: VolumeRules;
  readonly surroundings: Surroundings;
  readonly images: Images;
  readonly networks: Networks;
  readonly files: OptionFiles;
  readonly sockets: SocketDoors;
  /** By id; one that is being launched is entered here, so that no sweep takes it for a stray one. */
  readonly containers: Map<string, Container>;
}

/** See the top of the file. */
export class Launcher {
  /** Names of containers that are being launched. */
  readonly underWay = new Set<string>();
  /** Attempts whose option files are in use. */
  readonly inUse = new Set<Labels>();
  private readonly queue: Places;

  constructor(private readonly parts: LauncherParts) {
    this.queue = new Places(parts.options.maxLaunches ?? 4);
  }

  /** Resolves with the container once it runs. Rejects with LaunchFailure, and nothing is there then. */
  async launch(spec: DockerSpec, signal: AbortSignal, observer: Observer): Promise<Container> {
    const undo = new Undo();
    try {
      return await this.run(spec, signal, observer, undo);
    } catch (error) {
      await undo.all();
      throw failureOf(error, signal, nameOf(spec.labels));
    }
  }

  private async run(
    spec: DockerSpec,
    signal: AbortSignal,
    observer: Observer,
    undo: Undo,
  ): Promise<Container> {
    const { how, labels } = spec;
    const { engine, watcher, endings, kept, options, policy, networks, containers } = this.parts;
    const wanted = (): void => {
      if (signal.aborted)
        throw new LaunchFailure('The launch was given up before the container was started.');
    };
    const tell = (text: string): void => observer.noted?.({ type: 'progress', text });
    wanted();
    const volumes = await resolveVolumes(how, spec.folder, this.parts.volumeRules);
    const [refusal] = [...refusalsOf(how, policy), ...volumes.refusals];
    if (refusal !== undefined) throw new LaunchFailure(refusal);

    const reference = referenceOf(how.image, spec.version);
    const image = await this.parts.images.ensure(reference, how.pull, signal, tell);
    const { facts } = await this.parts.surroundings.look();
    wanted();

    const giveBack = await this.queue.take(signal, (before) =>
      tell(`Waiting for other containers to be launched first: ${before + 1} in the queue.`),
    );
    undo.always(giveBack);
    wanted();

    const name = nameOf(labels);
    this.underWay.add(name);
    undo.always(() => void this.underWay.delete(name));

    const files = await this.writeFiles(spec, undo);
    const port = Number(/:(\d+)$/.exec(spec.address ?? '')?.[1] ?? 0);
    const joined = await networks.join(how.network, labels, port);
    undo.add(() => joined.leave());
    const socket = how.network === 'none' ? await this.parts.sockets.open(labels) : undefined;
    if (socket !== undefined) undo.add(() => socket.close());
    wanted();

    const input = {
      labels,
      how,
      policy,
      reference,
      imageUser: image.Config?.User ?? '',
      environment: environmentOf(spec, joined.address, {
        ...files.variables,
        ...socket?.variables,
        ...options.debugEnvironment,
      }),
      mounts: [...volumes.mounts, ...files.mounts, ...(socket === undefined ? [] : [socket.mount])],
      door: joined.address,
      network: joined.mode,
      extraHosts: joined.extraHosts,
      hostCpus: facts.cpus,
      isPodman: facts.isPodman,
    };
    const id = await createContainer(engine, name, containerOf(input));
    const container = new Container({
      engine,
      watcher,
      endings,
      kept,
      id,
      labels,
      secrets: [...spec.secrets, ...secretsIn(options.debugEnvironment ?? {})],
      program: [...(image.Config?.Entrypoint ?? []), ...(how.command ?? image.Config?.Cmd ?? [])][0],
      memory: limitsOf(how, policy, facts.cpus).memory,
      now: options.now,
      ...(options.output !== undefined && { output: options.output }),
      release: async () => {
        await joined.leave();
        await socket?.close();
        await this.removeFiles(labels);
      },
    });
    containers.set(id, container);
    undo.add(async () => {
      containers.delete(id);
      await container.discard();
      observer.noted?.({ type: 'docker_container_removed', containerId: id });
    });
    observer.noted?.({ type: 'docker_container_created', containerId: id });
    wanted();

    // L1. The watch on events is opened meanwhile: only the first container has to wait for it.
    const [stream] = await Promise.all([
      engine.stream({
        method: 'POST',
        path: `/containers/${id}/attach`,
        query: { stream: 1, stdout: 1, stderr: 1 },
      }),
      container.begin(),
      giveAway(engine, id, userOf(input), files.sources),
    ]);
    container.follow(stream);
    wanted();
    await joined.appear(id);
    await engine.text({ method: 'POST', path: `/containers/${id}/start` });
    if (signal.aborted)
      throw new LaunchFailure('The launch was given up; the container was started and ended at once.');
    void container.started();
    undo.onlyAlways();
    return container;
  }

  private async writeFiles({ labels, files }: DockerSpec, undo: Undo): Promise<PlacedFiles> {
    this.inUse.add(labels);
    undo.add(() => this.removeFiles(labels));
    try {
      return placeFiles(await this.parts.files.write(labels, files), this.parts.options.filePlace);
    } catch (cause) {
      const what = `The agent's option files could not be written: ${(cause as Error).message}`;
      throw new LaunchFailure(what, true, { cause });
    }
  }

  private async removeFiles(labels: Labels): Promise<void> {
    this.inUse.delete(labels);
    await this.parts.files.remove(labels);
  }
}
