/**
 * Runs agents as containers of a Docker Engine. D1: each is seen through by its own `Container`, from its launch
 * (`launch.ts`) to its removal. D2: an ending is kept until somebody has written it down. D3: whatever is in the engine
 * bears a label, and is swept by it when a crash left it. Source: docs/wire.md, "Agent definitions", keys of
 * `runtimes.docker`; the port: ports/runtime.ts.
 */
import { join } from 'node:path';
import { DEFAULT_POLICY, refusalsOf } from '../../domain/docker-policy.ts';
import type { DockerPolicy } from '../../domain/docker-policy.ts';
import type { AgentPlan } from '../../domain/graph.ts';
import type { LaunchSpec } from '../../domain/launch.ts';
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
import type { Container } from './container.ts';
import { Engine } from './engine.ts';
import { whyUnavailable } from './failure.ts';
import { KeptEndings } from './kept-endings.ts';
import { Launcher } from './launch.ts';
import type { DockerSpec } from './launch.ts';
import { Networks } from './networks.ts';
import { SUBNET_POOL, type DockerRuntimeOptions } from './options.ts';
import { HOST_NAME, Surroundings } from './place.ts';
import { Images } from './pulls.ts';
import { Places } from './queue.ts';
import { credentialsFor } from './registry-credentials.ts';
import { SocketDoors } from './socket-door.ts';
import { nameOf } from './spec.ts';
import { containersOf, sweep, type Swept } from './sweep.ts';
import { EngineWatcher } from './watcher.ts';
import { resolveVolumes, type VolumeRules } from './volumes.ts';

export type { DockerRuntimeOptions } from './options.ts';

const GONE: StopReceipt = { gone: true, left: [] };
const NOTHING: Living = { session: () => false, attempt: () => false };
const MAX_UNCLAIMED = 256;
/** Containers that are ended by force, or removed, at once. */
const ENDINGS = 8;
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

class Docker implements DockerRuntime {
  readonly kind = 'docker';
  readonly keepsAddress = true;
  private readonly engine: Engine;
  private readonly policy: DockerPolicy;
  private readonly watcher: EngineWatcher;
  private readonly volumeRules: VolumeRules;
  private readonly images: Images;
  private readonly networks: Networks;
  private readonly files: OptionFiles;
  private readonly sockets: SocketDoors;
  private readonly kept: KeptEndings;
  private readonly launcher: Launcher;
  private readonly adoption: Adoption;
  private readonly containers = new Map<string, Container>();
  private readonly unclaimed = new Unclaimed<Container>((container) => container.abandon(), MAX_UNCLAIMED);
  /** Ids of containers that `ended` told of. */
  private readonly toldOf = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;

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
    const surroundings = new Surroundings(engine);
    this.networks = new Networks({
      engine,
      instance,
      pool: options.subnetPool ?? SUBNET_POOL,
      surroundings,
      ...(doors !== undefined && { doors }),
      ...(address !== undefined && { address }),
    });
    this.files = new OptionFiles(join(options.temporaryFolder, `coral-docker-${instance}`));
    this.sockets = new SocketDoors(doors, join(options.temporaryFolder, `coral-doors-${instance}`));
    this.kept = new KeptEndings(join(options.temporaryFolder, `coral-endings-${instance}`));
    this.volumeRules = {
      roots: this.policy.volumeRoots,
      socket: engine.endpoint.includes('://') ? undefined : engine.endpoint,
    };
    const { watcher, kept, networks, sockets, files, containers } = this;
    const { now, output } = options;
    const shared = { engine, watcher, endings: new Places(ENDINGS), kept, networks, sockets, files };
    const { policy, volumeRules, images } = this;
    this.launcher = new Launcher({
      ...shared,
      ...{ options, policy, volumeRules, surroundings, images, containers },
    });
    this.adoption = new Adoption({
      ...shared,
      ...{ now, instance },
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
    const container = await this.launcher.launch(given as DockerSpec, signal, observer);
    this.keep(container);
    return handleOf(container.id);
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
    const found = await this.labelled((state) => !OVER.has(state));
    const inUse = [...found.map(({ labels }) => labels), ...this.launcher.inUse];
    await this.files.sweep(inUse);
    await this.sockets.sweep(inUse);
    return found.filter(({ state }) => state !== 'created');
  }

  /** Ended, or never started, and nobody here knows: an earlier life's. */
  async ended(): Promise<readonly Found[]> {
    const isKnown = (id: string): boolean => this.containers.has(id) || this.unclaimed.get(id) !== undefined;
    const found = await this.labelled((state) => OVER.has(state) || state === 'created');
    const there = found.filter(({ handle: { id } }) => !isKnown(id));
    for (const { handle } of there) this.toldOf.add(handle.id);
    const removed = (await this.kept.all()).filter(({ id }) => !isKnown(id) && !this.toldOf.has(id));
    return [...there, ...removed.map(({ id, labels }) => ({ handle: handleOf(id), labels }))];
  }

  /** D2 */
  async release(handle: Handle): Promise<void> {
    if (this.toldOf.delete(handle.id)) await this.stop(handle, 0);
    await this.kept.forget(handle.id);
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
      isKnown: (id) => this.containers.has(id) || this.networks.inUse.has(id),
    });
    if (swept.containers.length + swept.networks.length + swept.images.length > 0) {
      this.options.log?.warn('Removed containers, networks or images that an earlier run had left behind.', {
        ...swept,
      });
    }
    return swept;
  }

  async close(): Promise<void> {
    this.isClosed = true;
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

  private async labelled(isWanted: (state: string) => boolean): Promise<(Found & { state: string })[]> {
    const containers = await containersOf(this.engine, this.options.instance);
    return containers.flatMap(({ id, state, labels }) => {
      if (labels === undefined || state === 'removing' || !isWanted(state)) return [];
      if (this.launcher.underWay.has(nameOf(labels))) return []; // its launch is under way
      return [{ handle: handleOf(id), labels, state }];
    });
  }

  /** A container is kept until its ending was told; when nobody listens, as long as there is room. */
  private keep(container: Container): void {
    const { id } = container;
    this.containers.set(id, container);
    void container.concluded.then((told) => {
      if (this.containers.delete(id) && !told) this.unclaimed.keep(id, container);
    });
  }

  private scheduleSweep(inMs: number): void {
    const { sweepEveryMs = 5 * 60_000, living } = this.options;
    if (sweepEveryMs === 0 || this.isClosed) return;
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
