/**
 * Runs agents as containers of a Docker Engine. D1: create, attach, start, wait, inspect, remove, in this order: no
 * byte of output and no exit of a short run is missed. D2: what was begun and is not wanted any more is removed before
 * anybody is told that there is nothing. D3: whatever is in the engine bears a label, and is swept by it when a crash
 * left it. Source: docs/wire.md, "Agent definitions", keys of `runtimes.docker`; the port: ports/runtime.ts.
 */
import { join } from 'node:path';
import { DEFAULT_POLICY, limitsOf, refusalsOf } from '../../domain/docker-policy.ts';
import type { DockerPolicy } from '../../domain/docker-policy.ts';
import type { AgentPlan } from '../../domain/graph.ts';
import type { Labels, LaunchSpec } from '../../domain/launch.ts';
import { secretsIn } from '../../domain/sealed.ts';
import { LaunchFailure } from '../../ports/runtime.ts';
import type {
  Attachment,
  Found,
  Handle,
  Living,
  Observer,
  Runtime,
  StopReceipt,
} from '../../ports/runtime.ts';
import { OptionFiles } from '../option-files.ts';
import { Unclaimed } from '../watch.ts';
import { Adoption } from './adoption.ts';
import { Container } from './container.ts';
import { createContainer } from './create.ts';
import { environmentOf } from './environment.ts';
import { Engine } from './engine.ts';
import { failureOf, whyUnavailable } from './failure.ts';
import { giveAway, placeFiles } from './files.ts';
import { referenceOf } from './image.ts';
import { Networks } from './networks.ts';
import { SUBNET_POOL, type DockerRuntimeOptions } from './options.ts';
import { factsOf, findPlace, HOST_NAME } from './place.ts';
import type { EngineFacts, Place } from './place.ts';
import { Images } from './pulls.ts';
import { Places } from './queue.ts';
import { credentialsFor } from './registry-credentials.ts';
import { SocketDoors } from './socket-door.ts';
import { containerOf, nameOf, userOf } from './spec.ts';
import { containersOf, sweep, type Swept } from './sweep.ts';
import { Undo } from './undo.ts';
import { EngineWatcher } from './watcher.ts';
import { resolveVolumes } from './volumes.ts';

export type { DockerRuntimeOptions } from './options.ts';

const GONE: StopReceipt = { gone: true, left: [] };
const NOTHING: Living = { session: () => false, attempt: () => false };
const MAX_UNCLAIMED = 256;
/** States of containers that run no more. */
const OVER: ReadonlySet<string> = new Set(['exited', 'dead']);
/** Until it is known which attempts live, ms. */
const SWEEP_LATER = 1_000;

/** The port, and what only this runtime does. */
export interface DockerRuntime extends Runtime {
  /** Looks for what a crash left; done by itself now and then. Rejects when the engine cannot be asked. */
  sweep(): Promise<Swept>;
}

/** Makes the runtime; nothing is asked of the engine yet. Close it to let go of what it holds open. */
export function dockerRuntime(options: DockerRuntimeOptions): DockerRuntime {
  return new Docker(options);
}

type DockerSpec = LaunchSpec & { readonly how: Extract<LaunchSpec['how'], { kind: 'docker' }> };

class Docker implements DockerRuntime {
  readonly kind = 'docker';
  readonly keepsAddress = true;
  private readonly engine: Engine;
  private readonly policy: DockerPolicy;
  private readonly watcher: EngineWatcher;
  private readonly images: Images;
  private readonly networks: Networks;
  private readonly files: OptionFiles;
  private readonly sockets: SocketDoors;
  private readonly adoption: Adoption;
  private readonly queue: Places;
  private readonly containers = new Map<string, Container>();
  private readonly unclaimed = new Unclaimed<Container>((container) => container.abandon(), MAX_UNCLAIMED);
  /** Ids and names of what is being made or used without being a container here. */
  private readonly inHand = new Set<string>();
  /** Ids that `ended` told of. */
  private readonly kept = new Set<string>();
  /** Attempts whose option files are in use. */
  private readonly inUse = new Set<Labels>();
  private known: { readonly facts: EngineFacts; readonly place: Place } | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: DockerRuntimeOptions) {
    const { endpoint, access, instance, responseTimeoutMs, pingTimeoutMs, maxConnections } = options;
    const { pullTimeoutMs, pullStallMs, pullRetryMs, pingEveryMs, doors, address } = options;
    this.policy = options.policy ?? DEFAULT_POLICY;
    this.engine = new Engine({
      endpoint,
      ...access,
      ...(responseTimeoutMs !== undefined && { responseTimeoutMs }),
      ...(pingTimeoutMs !== undefined && { pingTimeoutMs }),
      ...(maxConnections !== undefined && { maxConnections }),
    });
    const { engine } = this;
    this.watcher = new EngineWatcher({ engine, instance, ...(pingEveryMs !== undefined && { pingEveryMs }) });
    this.images = new Images({
      engine,
      credentials: (registry) => credentialsFor(registry, options.dockerConfig),
      ...(pullTimeoutMs !== undefined && { totalMs: pullTimeoutMs }),
      ...(pullStallMs !== undefined && { stallMs: pullStallMs }),
      ...(pullRetryMs !== undefined && { retryMs: pullRetryMs }),
    });
    this.networks = new Networks({
      engine,
      instance,
      pool: options.subnetPool ?? SUBNET_POOL,
      place: async () => (await this.circumstances()).place,
      ...(doors !== undefined && { doors }),
      ...(address !== undefined && { address }),
    });
    this.files = new OptionFiles(join(options.temporaryFolder, `coral-docker-${instance}`));
    this.sockets = new SocketDoors(doors, join(options.temporaryFolder, `coral-doors-${instance}`));
    this.queue = new Places(options.maxLaunches ?? 4);
    const { watcher, networks, sockets, files } = this;
    const { now, output } = options;
    this.adoption = new Adoption({
      ...{ engine, watcher, networks, sockets, files, now, instance },
      ...(output !== undefined && { output }),
      known: (id) => this.containers.get(id) ?? this.unclaimed.get(id),
      keep: (container) => this.keep(container),
    });
    this.scheduleSweep(0);
  }

  async unavailable(): Promise<string | undefined> {
    return whyUnavailable(this.engine);
  }

  async refuses(plan: AgentPlan): Promise<readonly string[]> {
    const { runtime: how, folder } = plan;
    if (how.kind !== 'docker') return [];
    const refusals = refusalsOf(how, this.policy);
    if (refusals.length > 0) return refusals;
    return (await resolveVolumes(how, folder, this.volumeRules)).refusals;
  }

  async launch(given: LaunchSpec, signal: AbortSignal, observer: Observer): Promise<Handle> {
    if (given.how.kind !== 'docker') throw new LaunchFailure(`A ${given.how.kind} agent is no container.`);
    const spec = given as DockerSpec;
    const undo = new Undo();
    try {
      return await this.run(spec, signal, observer, undo);
    } catch (error) {
      await undo.all();
      throw failureOf(error, signal, nameOf(spec.labels));
    }
  }

  attach(handle: Handle, observer: Observer): Attachment {
    const container = this.containers.get(handle.id) ?? this.unclaimed.claim(handle.id);
    if (container) return container.attach(observer);
    return this.adoption.attach(handle.id, observer);
  }

  async stop(handle: Handle, graceMs: number): Promise<StopReceipt> {
    const known = this.containers.get(handle.id) ?? this.unclaimed.get(handle.id);
    if (known) return known.stop(graceMs);
    try {
      const container = await this.adoption.take(handle.id);
      if (container === undefined) return GONE;
      return await container.stop(graceMs);
    } catch (error) {
      return { gone: false, left: [`container ${handle.id.slice(0, 12)} (${(error as Error).message})`] };
    }
  }

  async list(): Promise<readonly Found[]> {
    const found = await this.labelled((state) => !OVER.has(state) && state !== 'created');
    const inUse = [...found.map(({ labels }) => labels), ...this.inUse];
    await this.files.sweep(inUse);
    await this.sockets.sweep(inUse);
    return found;
  }

  /** Ended, or never started, and nobody here knows: an earlier life's. */
  async ended(): Promise<readonly Found[]> {
    const found = await this.labelled((state) => OVER.has(state) || state === 'created');
    const earlier = found.filter(({ handle: { id } }) => !this.containers.has(id) && !this.unclaimed.get(id));
    for (const { handle } of earlier) this.kept.add(handle.id);
    return earlier;
  }

  /** All others are removed before their end is told. */
  async release(handle: Handle): Promise<void> {
    if (this.kept.delete(handle.id)) await this.stop(handle, 0);
  }

  addressOf(port: number): string {
    const { address } = this.options;
    if (address === undefined) return `${HOST_NAME}:${port}`;
    return /:\d+$/.test(address) ? address : `${address}:${port}`;
  }

  async sweep(): Promise<Swept> {
    const { living: known = () => NOTHING } = this.options;
    const living = known();
    if (living === undefined) return { containers: [], networks: [], images: [] };
    const swept = await sweep({
      engine: this.engine,
      instance: this.options.instance,
      now: this.options.now(),
      living,
      graceMs: this.options.sweepGraceMs ?? 60_000,
      isKnown: (id) => this.containers.has(id) || this.inHand.has(id) || this.networks.inUse.has(id),
    });
    if (swept.containers.length + swept.networks.length + swept.images.length > 0) {
      this.options.log?.warn('Removed containers, networks or images that an earlier run had left behind.', {
        ...swept,
      });
    }
    return swept;
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    this.images.close();
    this.adoption.close();
    this.watcher.close();
    this.unclaimed.clear();
    for (const container of this.containers.values()) container.abandon();
    this.containers.clear();
    await this.networks.close();
    this.engine.close();
  }

  private async labelled(isWanted: (state: string) => boolean): Promise<Found[]> {
    const containers = await containersOf(this.engine, this.options.instance);
    return containers.flatMap(({ id, state, labels }) => {
      if (labels === undefined || state === 'removing' || !isWanted(state)) return [];
      if (this.inHand.has(nameOf(labels))) return []; // its launch is under way
      return [{ handle: handleOf(id), labels }];
    });
  }

  private async run(spec: DockerSpec, signal: AbortSignal, observer: Observer, undo: Undo): Promise<Handle> {
    const { how, labels } = spec;
    const { engine } = this;
    const wanted = (): void => {
      if (signal.aborted)
        throw new LaunchFailure('The launch was given up before the container was started.');
    };
    const tell = (text: string): void => observer.noted?.({ type: 'progress', text });
    wanted();
    const refusals = refusalsOf(how, this.policy);
    const volumes = await resolveVolumes(how, spec.folder, this.volumeRules);
    const [refusal] = [...refusals, ...volumes.refusals];
    if (refusal !== undefined) throw new LaunchFailure(refusal);

    const reference = referenceOf(how.image, spec.version);
    const image = await this.images.ensure(reference, how.pull, signal, tell);
    const { facts } = await this.circumstances();
    wanted();

    const giveBack = await this.queue.take(signal, (before) =>
      tell(`Waiting for other containers to be launched first: ${before + 1} in the queue.`),
    );
    undo.always(giveBack);
    wanted();

    const name = nameOf(labels);
    this.inHand.add(name);
    undo.always(() => void this.inHand.delete(name));

    this.inUse.add(labels);
    undo.add(async () => {
      this.inUse.delete(labels);
      await this.files.remove(labels);
    });
    const written = await this.files.write(labels, spec.files).catch((cause: unknown) => {
      throw new LaunchFailure(
        `The agent's option files could not be written: ${(cause as Error).message}`,
        true,
        { cause },
      );
    });
    const { containerTemporaryFolder = '/tmp', containerPathSeparator = ':' } = this.options;
    const files = placeFiles(written, containerTemporaryFolder, containerPathSeparator);

    const port = Number(/:(\d+)$/.exec(spec.address ?? '')?.[1] ?? 0);
    const joined = await this.networks.join(how.network, labels, port);
    undo.add(() => joined.leave());
    const socket = how.network === 'none' ? await this.sockets.open(labels) : undefined;
    if (socket !== undefined) undo.add(() => socket.close());
    wanted();

    const input = {
      labels,
      how,
      policy: this.policy,
      reference,
      imageUser: image.Config?.User ?? '',
      environment: environmentOf(spec, joined.address, {
        ...files.variables,
        ...socket?.variables,
        ...this.options.debugEnvironment,
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
      watcher: this.watcher,
      id,
      labels,
      secrets: [...spec.secrets, ...secretsIn(this.options.debugEnvironment ?? {})],
      memory: limitsOf(how, this.policy, facts.cpus).memory,
      now: this.options.now,
      ...(this.options.output !== undefined && { output: this.options.output }),
      release: async () => {
        await joined.leave();
        await socket?.close();
        this.inUse.delete(labels);
        await this.files.remove(labels);
      },
    });
    this.containers.set(id, container);
    undo.add(async () => {
      this.containers.delete(id);
      await container.discard();
      observer.noted?.({ type: 'docker_container_removed', containerId: id });
    });
    observer.noted?.({ type: 'docker_container_created', containerId: id });
    wanted();

    // D1. The watch on events is opened meanwhile: only the first container has to wait for it.
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
    await engine.text({ method: 'POST', path: `/containers/${id}/start` });
    if (signal.aborted)
      throw new LaunchFailure('The launch was given up; the container was started and ended at once.');
    void container.started();
    this.keep(container);
    undo.onlyAlways();
    return handleOf(id);
  }

  /** A container is kept until its ending was told; when nobody listens, as long as there is room. */
  private keep(container: Container): void {
    const { id } = container;
    this.containers.set(id, container);
    void container.concluded.then((told) => {
      if (this.containers.delete(id) && !told) this.unclaimed.keep(id, container);
    });
  }

  /** Asked once: what an engine is does not change while it runs; after a failure it is asked again. */
  private async circumstances(): Promise<{ readonly facts: EngineFacts; readonly place: Place }> {
    if (this.known === undefined) {
      const facts = await factsOf(this.engine);
      this.known = { facts, place: await findPlace(this.engine, facts) };
    }
    return this.known;
  }

  private get volumeRules(): { roots: readonly string[]; socket: string | undefined } {
    const { endpoint } = this.engine;
    return { roots: this.policy.volumeRoots, socket: endpoint.includes('://') ? undefined : endpoint };
  }

  private scheduleSweep(inMs: number): void {
    const { sweepEveryMs = 5 * 60_000, living } = this.options;
    if (sweepEveryMs === 0) return;
    this.timer = setTimeout(() => {
      if (living !== undefined && living() === undefined) return this.scheduleSweep(SWEEP_LATER);
      void this.sweep()
        .catch(() => undefined) // no engine, nothing to sweep
        .finally(() => this.scheduleSweep(sweepEveryMs));
    }, inMs);
    this.timer.unref();
  }
}

function handleOf(id: string): Handle {
  return { runtime: 'docker', id };
}
