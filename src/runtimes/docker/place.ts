/**
 * Where the server runs, as seen from the engine: on the engine's own host (then a network's gateway is the server's),
 * in a container of that engine (then it joins the networks itself), or elsewhere: a virtual machine's other side
 * (Docker Desktop), outside a user's network namespace (rootless), another machine.
 */
import { existsSync, readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { EngineRefusal } from './engine.ts';
import type { Engine } from './engine.ts';

/** The host's name inside containers. */
export const HOST_NAME = 'host.docker.internal';

/** See the top of the file. */
export type Place =
  | { readonly type: 'host' }
  | { readonly type: 'container'; readonly id: string }
  /** `listen`: where a listener must stand for it. */
  | { readonly type: 'elsewhere'; readonly address: string; readonly listen?: string };

/** What is asked of an engine once. */
export interface EngineFacts {
  readonly isPodman: boolean;
  readonly cpus: number;
  readonly liveRestore: boolean;
  readonly operatingSystem: string;
  readonly rootless: boolean;
}

/** What an engine is and where this process runs, as seen from it: asked once, and after a failure again. */
export class Surroundings {
  private known: Promise<{ readonly facts: EngineFacts; readonly place: Place }> | undefined;

  constructor(private readonly engine: Engine) {}

  look(): Promise<{ readonly facts: EngineFacts; readonly place: Place }> {
    this.known ??= this.ask().catch((error: unknown) => {
      this.known = undefined;
      throw error;
    });
    return this.known;
  }

  private async ask(): Promise<{ readonly facts: EngineFacts; readonly place: Place }> {
    const facts = await factsOf(this.engine);
    return { facts, place: await findPlace(this.engine, facts) };
  }
}

interface Info {
  readonly NCPU?: number;
  readonly LiveRestoreEnabled?: boolean;
  readonly OperatingSystem?: string;
  readonly SecurityOptions?: readonly string[] | null;
}

interface Version {
  readonly Components?: readonly { readonly Name?: string }[] | null;
}

/** Asks an engine what it is. */
async function factsOf(engine: Engine): Promise<EngineFacts> {
  const [info, version] = await Promise.all([
    engine.json<Info>({ path: '/info' }),
    engine.json<Version>({ path: '/version' }),
  ]);
  return {
    isPodman: version.Components?.some(({ Name }) => /podman/i.test(Name ?? '')) ?? false,
    cpus: info.NCPU ?? 1,
    liveRestore: info.LiveRestoreEnabled === true,
    operatingSystem: info.OperatingSystem ?? '',
    rootless: info.SecurityOptions?.some((option) => option.includes('rootless')) ?? false,
  };
}

/** True for an engine that takes its containers with it when it goes away; false also when it does not answer. */
export async function stopsContainers(engine: Engine): Promise<boolean> {
  const info = await engine.json<Info>({ path: '/info' }).catch(() => undefined);
  return info?.LiveRestoreEnabled === false;
}

/** Finds where this process runs, as seen from an engine. */
async function findPlace(engine: Engine, facts: EngineFacts): Promise<Place> {
  const self = await ownContainer(engine);
  if (self !== undefined) return { type: 'container', id: self };
  if (process.platform !== 'linux' || facts.operatingSystem.includes('Docker Desktop'))
    return { type: 'elsewhere', address: HOST_NAME, listen: '127.0.0.1' };
  if (facts.rootless) {
    const address = outsideAddress();
    if (address !== undefined) return { type: 'elsewhere', address, listen: address };
  }
  return { type: 'host' };
}

/** The mount of a file that an engine makes for each container, from the folder named after its id. */
const OWN_FILE = /containers\/([0-9a-f]{64})\/\S* \/etc\/(?:hostname|hosts|resolv\.conf) /;

/** The id of the container whose network this process has, when it is one of this engine's. */
async function ownContainer(engine: Engine): Promise<string | undefined> {
  if (!existsSync('/.dockerenv') && !existsSync('/run/.containerenv')) return undefined;
  // Its host name is its id unless somebody chose another; the files that the engine mounted into it name it always.
  const [, mounted] = OWN_FILE.exec(mounts()) ?? [];
  for (const name of [mounted, hostname()]) {
    if (name === undefined) continue;
    try {
      const { Id, HostConfig } = await engine.json<{ Id: string; HostConfig?: { NetworkMode?: string } }>({
        path: `/containers/${encodeURIComponent(name)}/json`,
      });
      const mode = HostConfig?.NetworkMode ?? '';
      if (mode === 'host') return undefined;
      return /^container:(.+)$/.exec(mode)?.[1] ?? Id;
    } catch (error) {
      if (!(error instanceof EngineRefusal)) throw error;
    }
  }
  return undefined;
}

function mounts(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return '';
  }
}

function outsideAddress(): string | undefined {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !/^(docker|br-|veth|cni|podman)/.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}
