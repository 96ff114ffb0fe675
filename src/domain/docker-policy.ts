/**
 * What a container may have: the operator's profile and policy against what a definition asks for. Pure; what needs a
 * look at the file system (where a volume really lies) is the runtime's. Source: docs/wire.md, "Agent definitions",
 * keys of `runtimes.docker`.
 */
import type { DockerRuntime } from './definition.ts';

/** How hard every container is shut in. */
export type DockerProfile = 'standard' | 'strict';

/** What the operator allows. Absent figures: no limit. */
export interface DockerPolicy {
  readonly profile: DockerProfile;
  /** Bytes. */
  readonly maxMemory?: number;
  readonly maxCpus?: number;
  readonly maxPids?: number;
  /** Folders of this machine; only what lies in one of them may be mounted. */
  readonly volumeRoots: readonly string[];
  /** Beyond the profile's. */
  readonly capabilities: readonly string[];
  /** Existing networks that definitions may name. */
  readonly networks: readonly string[];
  readonly gpus: boolean;
}

export const DEFAULT_POLICY: DockerPolicy = {
  profile: 'standard',
  volumeRoots: [],
  capabilities: [],
  networks: [],
  gpus: false,
};

const MiB = 1024 ** 2;
/** What a definition gets that does not say. */
export const DOCKER_DEFAULTS = { memory: 1024 * MiB, cpus: 1, pids: 512, shm: 64 * MiB } as const;

/** Networks that are not somebody else's: always allowed. */
export const OWN_NETWORKS: readonly string[] = ['session', 'internal', 'none', 'bridge'];

/** What common entrypoints need to change to a lesser user. */
const STANDARD_CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SETGID', 'SETUID'] as const;

/** The figures of one container. */
export interface DockerLimits {
  /** Bytes; swap is the same, which means none. */
  readonly memory: number;
  readonly cpus: number;
  readonly pids: number;
  /** Bytes. */
  readonly shm: number;
}

/** What the container gets: as asked, else the default or the policy's limit, whichever is less; never more CPUs than there are. */
export function limitsOf(how: DockerRuntime, policy: DockerPolicy, hostCpus: number): DockerLimits {
  const { memory, cpus, pids, shm } = how.resources;
  return {
    memory: memory ?? Math.min(DOCKER_DEFAULTS.memory, policy.maxMemory ?? Infinity),
    cpus: Math.min(cpus ?? Math.min(DOCKER_DEFAULTS.cpus, policy.maxCpus ?? Infinity), hostCpus),
    pids: pids ?? Math.min(DOCKER_DEFAULTS.pids, policy.maxPids ?? Infinity),
    shm: shm ?? DOCKER_DEFAULTS.shm,
  };
}

/** The capabilities a container keeps: the profile's and what the definition asks for, without `CAP_`. */
export function capabilitiesOf(how: DockerRuntime, policy: DockerPolicy): string[] {
  const base: readonly string[] = policy.profile === 'standard' ? STANDARD_CAPABILITIES : [];
  return [...new Set([...base, ...how.capabilities.map(capability)])];
}

/** Every way in which a definition asks for more than the operator allows, each a sentence with both figures. */
export function refusalsOf(how: DockerRuntime, policy: DockerPolicy): string[] {
  const refusals: string[] = [];
  const refuse = (asked: string, allowed: string, key: string): void => {
    refusals.push(`It asks for ${asked}; this server allows ${allowed} (docker.policy.${key}).`);
  };
  const { memory, cpus, pids, gpus, shm } = how.resources;
  const { maxMemory, maxCpus, maxPids } = policy;
  if (memory !== undefined && maxMemory !== undefined && memory > maxMemory)
    refuse(`${bytes(memory)} of memory`, bytes(maxMemory), 'maxMemory');
  if (shm !== undefined && maxMemory !== undefined && shm > maxMemory)
    refuse(`${bytes(shm)} of shared memory`, bytes(maxMemory), 'maxMemory');
  if (cpus !== undefined && maxCpus !== undefined && cpus > maxCpus)
    refuse(`${cpus} CPUs`, String(maxCpus), 'maxCpus');
  if (pids !== undefined && maxPids !== undefined && pids > maxPids)
    refuse(`${pids} processes`, String(maxPids), 'maxPids');
  if (gpus !== undefined && gpus !== 0 && !policy.gpus)
    refuse(gpus === 'all' ? 'all GPUs' : `${gpus} GPU${gpus === 1 ? '' : 's'}`, 'none', 'gpus');

  const allowed = new Set(policy.capabilities.map(capability));
  const more = how.capabilities.map(capability);
  const base = capabilitiesOf({ ...how, capabilities: [] }, policy);
  for (const name of more) {
    if (!allowed.has(name) && !base.includes(name))
      refuse(`the capability ${name}`, listed([...base, ...allowed]), 'capabilities');
  }

  const { network } = how;
  if (network === 'host' || network.startsWith('container:'))
    refusals.push(
      `It asks for the network "${network}", which would put it into another's network namespace; no server allows that. Use ${OWN_NETWORKS.join(', ')} or a network's name.`,
    );
  else if (!OWN_NETWORKS.includes(network) && !policy.networks.includes(network))
    refuse(`the network "${network}"`, listed([...OWN_NETWORKS, ...policy.networks]), 'networks');

  if (how.volumes.length > 0 && policy.volumeRoots.length === 0)
    refuse(`the volume ${how.volumes[0]!.host}`, 'no volumes', 'volumeRoots');
  if (policy.profile === 'strict' && isRoot(how.user))
    refusals.push(
      `It asks for the user "${how.user}"; the profile "strict" runs nothing as root (docker.profile).`,
    );
  return refusals;
}

/** Whether a user as `USER[:GROUP]` is root by name or number. */
export function isRoot(user: string | undefined): boolean {
  const name = user?.split(':')[0];
  return name === 'root' || (name !== undefined && /^0+$/.test(name));
}

function capability(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '');
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}

function bytes(value: number): string {
  for (const [unit, size] of [
    ['GiB', 1024 ** 3],
    ['MiB', MiB],
    ['KiB', 1024],
  ] as const) {
    if (value >= size) return `${Number((value / size).toFixed(2))} ${unit}`;
  }
  return `${value} bytes`;
}
