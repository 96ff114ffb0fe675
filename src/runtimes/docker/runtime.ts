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
import type { Attachment, Found, Handle, Observer, Runtime, StopReceipt } from '../../ports/runtime.ts';
import { OptionFiles } from '../option-files.ts';
import { Unclaimed } from '../watch.ts';
import { Container } from './container.ts';
import { attachLater, findEarlier } from './earlier.ts';
import { environmentOf } from './environment.ts';
import { Engine, EngineRefusal, EngineUnreachable } from './engine.ts';
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
import { removeContainer } from './remove.ts';
import { openSocketDoor } from './socket-door.ts';
import { containerOf, LABEL, labelsIn, nameOf, userOf } from './spec.ts';
import { sweep } from './sweep.ts';
import { Undo } from './undo.ts';
import { EngineWatcher } from './watcher.ts';
import { resolveVolumes } from './volumes.ts';

export type { DockerRuntimeOptions } from './options.ts';

const GONE: StopReceipt = { gone: true, left: [] };
const MAX_UNCLAIMED = 256;

/** The port, and what only this runtime does. */
export interface DockerRuntime extends Runtime {
  /** Looks for what a crash left; done by itself now and then. Rejects when the engine cannot be asked. */
  sweep(): Promise<{ readonly containers: readonly string[]; readonly networks: readonly string[] }>;
}

/** Makes the runtime; nothing is asked of the engine yet. Close it to let go of what it holds open. */
export function dockerRuntime(options: DockerRuntimeOptions): DockerRuntime {
  return new Docker(options);
}

type DockerSpec = LaunchSpec & { readonly how: Extract<LaunchSpec['how'], { kind: 'docker' }> };

class Docker implements DockerRuntime {
  readonly kind = 'docker';
  /** The doors on the networks' gateways (and sockets bound in) are this server's; nobody opens them again. */
  readonly cutOffByRestart = true;
  private readonly engine: Engine;
  private readonly policy: DockerPolicy;
  private readonly watcher: EngineWatcher;
  private readonly images: Images;
  private readonly networks: Networks;
  private readonly files: OptionFiles;
  private readonly queue: Places;
  private readonly containers = new Map<string, Container>();
  private readonly unclaimed = new Unclaimed<Container>((container) => container.abandon(), MAX_UNCLAIMED);
  /** Ids and names of what is being made or used without being a container here. */
  private readonly inHand = new Set<string>();
  /** Attempts whose option files are in use. */
  private readonly inUse = new Set<Labels>();
  private known: { readonly facts: EngineFacts; readonly place: Place } | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: DockerRuntimeOptions) {
    const { endpoint, instance, responseTimeoutMs, pingTimeoutMs, maxConnections } = options;
    const { pullTimeoutMs, pullStallMs, pullRetryMs, pingEveryMs, doors, address } = options;
    this.policy = options.policy ?? DEFAULT_POLICY;
    this.engine = new Engine({
      endpoint,
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
    this.queue = new Places(options.maxLaunches ?? 4);
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
    return attachLater(this.adopt(handle), observer);
  }

  async stop(handle: Handle, graceMs: number): Promise<StopReceipt> {
    const known = this.containers.get(handle.id) ?? this.unclaimed.get(handle.id);
    if (known) return known.stop(graceMs);
    try {
      const container = await this.adopt(handle, true);
      if (container === undefined) return GONE;
      return await container.stop(graceMs);
    } catch (error) {
      return { gone: false, left: [`container ${handle.id.slice(0, 12)} (${(error as Error).message})`] };
    }
  }

  async list(): Promise<readonly Found[]> {
    const filters = JSON.stringify({ label: [`${LABEL.instance}=${this.options.instance}`] });
    const listed = await this.engine.json<{ Id: string; State: string; Labels: Record<string, string> }[]>({
      path: '/containers/json',
      query: { all: 1, filters },
    });
    const found: Found[] = [];
    for (const { Id, State, Labels: given } of listed) {
      const labels = labelsIn(given);
      if (labels === undefined || State === 'exited' || State === 'dead' || State === 'removing') continue;
      if (this.inHand.has(nameOf(labels))) continue; // its launch is under way
      found.push({ handle: handleOf(Id), labels });
    }
    await this.files.sweep([...found.map(({ labels }) => labels), ...this.inUse]);
    return found;
  }

  addressOf(port: number): string {
    const { address } = this.options;
    if (address === undefined) return `${HOST_NAME}:${port}`;
    return /:\d+$/.test(address) ? address : `${address}:${port}`;
  }

  async sweep(): ReturnType<typeof sweep> {
    const swept = await sweep({
      engine: this.engine,
      instance: this.options.instance,
      now: this.options.now(),
      graceMs: this.options.sweepGraceMs ?? 60_000,
      isKnown: (id) => this.containers.has(id) || this.inHand.has(id) || this.networks.inUse.has(id),
    });
    if (swept.containers.length + swept.networks.length > 0) {
      this.options.log?.warn('Removed containers and networks that an earlier run had left behind.', {
        ...swept,
      });
    }
    return swept;
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    this.images.close();
    this.watcher.close();
    this.unclaimed.clear();
    for (const container of this.containers.values()) container.abandon();
    this.containers.clear();
    await this.networks.close();
    this.engine.close();
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
    const socket =
      how.network === 'none' && this.options.doors !== undefined
        ? await openSocketDoor(this.options.doors, this.socketFolder, labels)
        : undefined;
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
      network: joined.mode,
      extraHosts: joined.extraHosts,
      hostCpus: facts.cpus,
      isPodman: facts.isPodman,
    };
    const id = await this.create(name, containerOf(input));
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

  /** What a crash left in the way under the same name is removed. */
  private async create(name: string, body: Record<string, unknown>): Promise<string> {
    const { engine } = this;
    const call = { method: 'POST', path: '/containers/create', query: { name }, body } as const;
    try {
      try {
        return (await engine.json<{ Id: string }>(call)).Id;
      } catch (error) {
        if (!(error instanceof EngineRefusal) || !/name .*already in use/i.test(error.reason)) throw error;
        await removeContainer(engine, name);
        return (await engine.json<{ Id: string }>(call)).Id;
      }
    } catch (error) {
      // Without an answer it may have been made all the same.
      if (error instanceof EngineUnreachable) await removeContainer(engine, name).catch(() => undefined);
      throw error;
    }
  }

  /** A container is kept until its ending was told; when nobody listens, as long as there is room. */
  private keep(container: Container): void {
    const { id } = container;
    this.containers.set(id, container);
    void container.concluded.then((told) => {
      if (this.containers.delete(id) && !told) this.unclaimed.keep(id, container);
    });
  }

  /** A container of an earlier life, watched from now on; nothing when it is gone. Rejects when `strict` and unseen. */
  private async adopt(handle: Handle, strict = false): Promise<Container | undefined> {
    const { engine, watcher } = this;
    const earlier = await findEarlier(engine, this.options.instance, handle.id, strict);
    if (earlier === undefined) return undefined;
    const { id, labels, memory, secrets } = earlier;
    const known = this.containers.get(id);
    if (known) return known;
    const { now } = this.options;
    const release = (): Promise<void> => this.files.remove(labels);
    const container = new Container({ engine, watcher, id, labels, secrets, memory, now, release });
    container.resumeFrom(now());
    this.keep(container);
    await container.begin();
    void container.look();
    return container;
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

  private get socketFolder(): string {
    return join(this.options.temporaryFolder, `coral-doors-${this.options.instance}`);
  }

  private scheduleSweep(inMs: number): void {
    const { sweepEveryMs = 5 * 60_000 } = this.options;
    if (sweepEveryMs === 0) return;
    this.timer = setTimeout(() => {
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
