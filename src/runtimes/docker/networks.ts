/**
 * The networks that containers join. N1: a session's own network exists while one of its containers does, and is
 * removed with the last; what a crash left is found by label. N2: one thing at a time per network. N3: each network
 * has one address at which its containers reach the server.
 */
import { createHash } from 'node:crypto';
import type { Labels } from '../../domain/launch.ts';
import type { AgentDoor, AgentDoors } from '../../ports/agent-doors.ts';
import { LaunchFailure } from '../../ports/runtime.ts';
import { EngineRefusal, EngineUnreachable, isRefusal } from './engine.ts';
import type { Engine } from './engine.ts';
import { removeNetwork } from './remove.ts';
import { gatewayOf, interfaceBlocks, subnetsOf } from './network-facts.ts';
import type { NetworkFacts } from './network-facts.ts';
import { HOST_NAME } from './place.ts';
import type { Place, Surroundings } from './place.ts';
import { LABEL } from './spec.ts';
import { blockOf, freeSubnets } from './subnets.ts';

/** A network as a container joins it; to be given back with `leave`, once. */
export interface Joined {
  /** For `HostConfig.NetworkMode`. */
  readonly mode: string;
  /** Where the server is reached from inside, `HOST:PORT`; nothing when only a Unix socket is left. */
  readonly address: string | undefined;
  /** `NAME:ADDRESS`. */
  readonly extraHosts: readonly string[];
  /**
   * To be called between a container's creation and its start, with its id: Podman makes a network's address with its
   * first container, and only then a door can be opened there.
   */
  appear(container: string): Promise<void>;
  leave(): Promise<void>;
}

/** The network of a container of an earlier life, counted; to be given back with `leave`, once. */
export interface Rejoined {
  /** Why its containers do not find the server any more, a sentence; absent when they do. */
  readonly lost?: string;
  leave(): Promise<void>;
}

/** What the networks work with. */
export interface NetworksOptions {
  readonly engine: Engine;
  readonly instance: string;
  readonly doors?: AgentDoors;
  /** The operator's own answer: `HOST` or `HOST:PORT`. */
  readonly address?: string;
  /** Where session networks take their subnets from. */
  readonly pool: string;
  readonly surroundings: Surroundings;
}

interface Network {
  readonly id: string;
  readonly host: string;
  /** Where a door for it stands; nothing when the server's own address is reached from it. */
  readonly listen: string | undefined;
  readonly doors: AgentDoor[];
  readonly own: boolean;
  /** The server's own container joined it, too. */
  readonly self: string | undefined;
  users: number;
}

const TRIES = 64;
/** How often an engine that stumbled is asked, and the pause between, ms. */
const ASKED = 10;
const PAUSE = 50;
/** Podman's own API, which has a step between creating and starting. */
const LIBPOD = '/v4.0.0/libpod';
/** What fits into one subnet besides its gateway and the server's own container. */
const ROOM = 12;

/** All networks that containers of this server are in. */
export class Networks {
  private readonly networks = new Map<string, Network>();
  /** N2 */
  private readonly queues = new Map<string, Promise<unknown>>();

  constructor(private readonly options: NetworksOptions) {}

  /** Joins the network that a definition asks for; `port` is the server's. */
  async join(wanted: string, labels: Labels, port: number): Promise<Joined> {
    if (wanted === 'none') {
      const nothing = async (): Promise<void> => undefined;
      return { mode: 'none', address: undefined, extraHosts: [], appear: nothing, leave: nothing };
    }
    await this.checkInternal(wanted);
    const own = wanted === 'session' || wanted === 'internal';
    const base = own ? this.nameFor(labels.session, wanted === 'internal') : wanted;
    const { network, door, name } = await this.inTurn(base, async () => {
      const name = own ? this.withRoom(base) : base;
      const facts = async (): Promise<NetworkFacts> =>
        own ? this.create(name, wanted === 'internal', labels) : this.existing(name);
      const network = this.networks.get(name) ?? (await this.enter(await facts(), own));
      try {
        const door = await this.doorOf(network).catch((error: unknown) => this.postponed(error));
        this.networks.set(name, network);
        network.users += 1;
        return { network, door, name };
      } catch (error) {
        if (network.users === 0) await this.abandon(network);
        throw unreachable(name, error);
      }
    });
    return {
      mode: network.id,
      // A door that is opened later has the server's own port: nobody else can have taken it at an address to come.
      address: this.addressIn(network, door === undefined || door === 'later' ? port : door.port),
      extraHosts: /^[\d.]+$/.test(network.host) ? [`${HOST_NAME}:${network.host}`] : [],
      appear: async (container) => {
        if (door === 'later') await this.inTurn(base, () => this.openLate(network, container, port));
      },
      leave: this.leaving(base, name),
    };
  }

  /**
   * Counts a container of an earlier life among the users of the network it is in. `told`: where it looks for the
   * server; a door is opened there again. `lost` says why that could not be done. Rejects when the engine cannot be asked.
   */
  async rejoin(network: string, told: string | undefined): Promise<Rejoined> {
    const facts = await this.existing(network).catch((error: unknown) => {
      if (error instanceof LaunchFailure) return undefined;
      throw error;
    });
    if (facts === undefined) return { lost: 'Its network is gone.', leave: async () => undefined };
    const { Name: name } = facts;
    const own = facts.Labels?.[LABEL.instance] === this.options.instance;
    const base = own ? name.replace(/^(coral-\w+-[0-9a-f]+)-\d+$/, '$1') : name;
    return this.inTurn(base, async () => {
      const [host, port] = /^(.*):(\d+)$/.exec(told ?? '')?.slice(1) ?? [];
      let lost: string | undefined;
      try {
        const known = this.networks.get(name) ?? (await this.enter(facts, own, host));
        this.networks.set(name, known);
        known.users += 1;
        if (host !== undefined && host !== known.host && this.options.address === undefined)
          throw new Error(`The server's address there is ${known.host} now.`);
        if (port !== undefined) await this.doorOf(known, Number(port));
      } catch (error) {
        if (error instanceof EngineUnreachable) throw error;
        lost = `The server could not be put where it looks for it (${told ?? 'nowhere'}): ${(error as Error).message}`;
      }
      return { ...(lost !== undefined && { lost }), leave: this.leaving(base, name) };
    });
  }

  /** Names or ids of networks in use now: not for the sweep. */
  get inUse(): ReadonlySet<string> {
    return new Set([...this.networks.values()].map(({ id }) => id));
  }

  async close(): Promise<void> {
    await Promise.all([...this.networks.values()].flatMap(({ doors }) => doors.map((door) => door.close())));
    this.networks.clear();
  }

  private addressIn({ host }: Network, port: number): string {
    const { address } = this.options;
    if (address !== undefined) return /:\d+$/.test(address) ? address : `${address}:${port}`;
    return `${host}:${port}`;
  }

  private leaving(base: string, name: string): () => Promise<void> {
    let left: Promise<void> | undefined;
    return () => (left ??= this.leave(base, name));
  }

  private async leave(base: string, name: string): Promise<void> {
    await this.inTurn(base, async () => {
      const network = this.networks.get(name);
      if (network === undefined) return;
      network.users -= 1;
      if (network.users > 0) return;
      this.networks.delete(name);
      await this.abandon(network);
    });
  }

  private async abandon({ id, doors, self, own }: Network): Promise<void> {
    await Promise.all(doors.map((door) => door.close()));
    if (self !== undefined) await this.disconnect(id, self);
    if (own) await removeNetwork(this.options.engine, id).catch(() => undefined); // the sweep's
  }

  /** `told`: the server's address in it, as a container of an earlier life knows it. */
  private async enter(facts: NetworkFacts, own: boolean, told?: string): Promise<Network> {
    try {
      const { host, listen } = await this.hostIn(facts, (await this.options.surroundings.look()).place, told);
      const { address: addressThere, self } = host;
      return { id: facts.Id, host: addressThere, listen, doors: [], own, self, users: 0 };
    } catch (error) {
      if (own && told === undefined)
        await removeNetwork(this.options.engine, facts.Id).catch(() => undefined);
      throw unreachable(facts.Name, error);
    }
  }

  /** The door that a network's containers come in by, opened by the first; with a port, the one that was told of it. */
  private async doorOf(network: Network, port?: number): Promise<AgentDoor | undefined> {
    const { doors: maker, address } = this.options;
    const { doors, listen } = network;
    if (address !== undefined || maker === undefined || listen === undefined) return undefined;
    const known = port === undefined ? doors[0] : doors.find((door) => door.port === port);
    if (known !== undefined) return known;
    const door = await maker.open({ host: listen, ...(port !== undefined && { port }) });
    doors.push(door);
    return door;
  }

  /** From an internal network only its gateway is reached, which must be this machine then. */
  private async checkInternal(wanted: string): Promise<void> {
    if (wanted !== 'internal' || this.options.address !== undefined) return;
    if ((await this.options.surroundings.look()).place.type !== 'elsewhere') return;
    throw new LaunchFailure(
      'From the network "internal" there is no way to this server, which is not on the same side as the engine (rootless Docker, Docker Desktop); use "none" or "session".',
    );
  }

  /** Podman's bridge comes with the first container. */
  private async postponed(error: unknown): Promise<'later'> {
    const isToCome = (error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL';
    if (isToCome && (await this.options.surroundings.look()).facts.isPodman) return 'later';
    throw error;
  }

  /** Makes what a container needs before it is started, its network among it, and opens the door there. */
  private async openLate(network: Network, container: string, port: number): Promise<void> {
    try {
      await this.options.engine.text({ method: 'POST', path: `${LIBPOD}/containers/${container}/init` });
      await this.doorOf(network, port);
    } catch (error) {
      throw unreachable(network.id, error);
    }
  }

  /** N3: under which address, and where a listener is to stand for it. */
  private async hostIn(
    facts: NetworkFacts,
    place: Place,
    told: string | undefined,
  ): Promise<{ host: { address: string; self?: string }; listen: string | undefined }> {
    switch (place.type) {
      case 'elsewhere':
        return { host: { address: place.address }, listen: place.listen };
      case 'container': {
        const self = place.id;
        const { engine } = this.options;
        const connected = async (): Promise<string | undefined> => {
          const now = await this.ask<NetworkFacts>(`/networks/${facts.Id}`);
          return now.Containers?.[self]?.IPv4Address?.split('/')[0];
        };
        let address = await connected();
        const wasThere = address !== undefined;
        if (!wasThere) {
          await engine.text({
            method: 'POST',
            path: `/networks/${facts.Id}/connect`,
            body: {
              Container: self,
              ...(told !== undefined && { EndpointConfig: { IPAMConfig: { IPv4Address: told } } }),
            },
          });
          address = await connected();
        }
        if (address === undefined) throw new Error("The server's own container could not join it.");
        // A server that was started again in the same container is in it already, and leaves it all the same.
        const isOurs = facts.Labels?.[LABEL.instance] === this.options.instance;
        return { host: { address, ...((!wasThere || isOurs) && { self }) }, listen: address };
      }
      case 'host': {
        const gateway = gatewayOf(facts);
        if (gateway === undefined) throw new Error('It has no gateway that is an IPv4 address.');
        const address = gateway.split('/')[0]!;
        return { host: { address }, listen: address };
      }
    }
  }

  /** Podman stumbles over containers that are being made or removed just then: it is asked again. */
  private async ask<T>(path: string): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.options.engine.json<T>({ path });
      } catch (error) {
        if (!isRefusal(error, 500) || tries === ASKED) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  private async existing(name: string): Promise<NetworkFacts> {
    try {
      return await this.ask<NetworkFacts>(`/networks/${encodeURIComponent(name)}`);
    } catch (error) {
      if (!isRefusal(error, 404)) throw error;
      throw new LaunchFailure(`There is no Docker network "${name}"; create it, or use "session".`);
    }
  }

  private async create(name: string, internal: boolean, labels: Labels): Promise<NetworkFacts> {
    const { engine, instance, pool } = this.options;
    const existing = await this.ask<NetworkFacts[]>('/networks');
    const block = blockOf(pool);
    if (block === undefined) throw new LaunchFailure(`docker.subnetPool ${pool} is no IPv4 network.`);
    // A server before this one made it; containers of that time may still be in it.
    const left = existing.find((network) => network.Name === name);
    if (left !== undefined) return this.ask<NetworkFacts>(`/networks/${left.Id}`);
    const taken = [...existing.flatMap(subnetsOf), ...interfaceBlocks()];
    const digest = createHash('sha256').update(`${instance}/${labels.session}`).digest();
    let tries = 0;
    for (const Subnet of freeSubnets(block, taken, digest.readUInt32BE(0) / 2 ** 32)) {
      if ((tries += 1) > TRIES) break;
      try {
        const { Id } = await engine.json<{ Id: string }>({
          method: 'POST',
          path: '/networks/create',
          body: {
            Name: name,
            CheckDuplicate: true,
            Driver: 'bridge',
            Internal: internal,
            IPAM: { Config: [{ Subnet }] },
            Labels: { [LABEL.instance]: instance, [LABEL.session]: labels.session },
          },
        });
        return await this.ask<NetworkFacts>(`/networks/${Id}`);
      } catch (error) {
        // Another program was faster, or a network that is being removed still holds its subnet.
        if (!(error instanceof EngineRefusal) || !/overlap|already (in use|used)/i.test(error.reason))
          throw error;
      }
    }
    throw new LaunchFailure(
      `There is no free subnet left in ${pool} for the session's network; remove networks that are no longer used, or set docker.subnetPool.`,
      true,
    );
  }

  private async disconnect(network: string, self: string): Promise<void> {
    const call = {
      method: 'POST',
      path: `/networks/${network}/disconnect`,
      body: { Container: self, Force: true },
    } as const;
    await this.options.engine.text(call).catch(() => undefined);
  }

  private nameFor(session: string, internal: boolean): string {
    const digest = createHash('sha256')
      .update(`${this.options.instance}/${session}`)
      .digest('hex')
      .slice(0, 16);
    return `coral-${internal ? 'internal' : 'session'}-${digest}`;
  }

  /** A session with more containers than a subnet holds gets another one. */
  private withRoom(base: string): string {
    for (let n = 1; ; n += 1) {
      const name = n === 1 ? base : `${base}-${n}`;
      if ((this.networks.get(name)?.users ?? 0) < ROOM) return name;
    }
  }

  private inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.queues.get(name) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine
      .catch(() => undefined)
      .finally(() => {
        if (this.queues.get(name) === settled) this.queues.delete(name);
      });
    this.queues.set(name, settled);
    return mine;
  }
}

function unreachable(name: string, error: unknown): Error {
  if (error instanceof LaunchFailure || error instanceof EngineRefusal || error instanceof EngineUnreachable)
    return error;
  return new LaunchFailure(
    `The server cannot be reached from the network ${name}: ${(error as Error).message} Set docker.address to an address that containers reach it at.`,
    false,
    { cause: error },
  );
}
