/** The Docker runtime that a configuration describes. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import type { AgentDoors } from '../ports/agent-doors.ts';
import type { Host } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import type { Registry } from '../ports/registry.ts';
import { findEndpoint, findAccess } from '../runtimes/docker/options.ts';
import { checkDocker, type SelfCheck, type SelfCheckOptions } from '../runtimes/docker/self-check.ts';
import { dockerRuntime, type DockerRuntime, type DockerRuntimeOptions } from '../runtimes/docker/runtime.ts';

/** What of the server the runtime needs. */
export interface DockerParts {
  readonly instance: string;
  /** Where option files and sockets lie. Absolute. */
  readonly folder: string;
  readonly host: Host;
  /** The server's own: where Docker's programs are told of engine and configuration. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly doors?: AgentDoors;
  /** What lives, once that is known. */
  readonly living?: DockerRuntimeOptions['living'];
  readonly log?: Log;
}

/** Asks nothing of the engine yet. */
export function openConfiguredDocker(config: Config, parts: DockerParts): DockerRuntime {
  return dockerRuntime(dockerOptions(config, parts));
}

/**
 * Whether containers will reach this server; never rejects. `port` is the server's, 0 when none runs; `name` tells
 * checks apart that run at once.
 */
export function checkConfiguredDocker(
  config: Config,
  parts: DockerParts,
  how: Omit<SelfCheckOptions, 'runtime'>,
): Promise<SelfCheck> {
  return checkDocker({ ...how, runtime: dockerOptions(config, parts) });
}

/**
 * Checks in the background and logs what it finds; it says nothing when no agent runs in a container. Resolves, when
 * called, with everything of the check gone.
 */
export function logDockerCheck(
  config: Config,
  parts: DockerParts,
  { port, registry }: { readonly port: number; readonly registry: Registry },
): () => Promise<void> {
  const { log, instance } = parts;
  if (log === undefined || !usesDocker(registry)) return async () => undefined;
  const abort = new AbortController();
  const done = checkConfiguredDocker(config, parts, {
    port,
    name: `start ${instance}`,
    signal: abort.signal,
  }).then(({ engine, address, reached, problems, notes }) => {
    if (abort.signal.aborted) return;
    for (const problem of problems) log.warn(problem);
    for (const note of notes) log.info(note);
    if (reached) log.info(`Containers reach this server at ${address ?? ''} (${engine ?? ''}).`);
  });
  return () => {
    abort.abort();
    return done;
  };
}

/** Whether a definition of the registry can run as a container. */
export function usesDocker(registry: Registry): boolean {
  return registry.agents().some(({ definition }) => definition.runtimes.docker !== undefined);
}

function dockerOptions(config: Config, parts: DockerParts): DockerRuntimeOptions {
  const { instance, host, environment, doors, living, log } = parts;
  const { docker, debug, folder } = config;
  const endpoint = docker.socket ?? findEndpoint(environment, homedir());
  const access = findAccess(environment, homedir(), endpoint);
  const { maxMemory, maxCpus, maxPids, volumeRoots, capabilities, networks, gpus } = docker.policy;
  return {
    instance,
    now: () => host.now(),
    endpoint,
    access,
    temporaryFolder: parts.folder,
    dockerConfig: environment['DOCKER_CONFIG'] ?? join(homedir(), '.docker'),
    policy: {
      profile: docker.profile,
      volumeRoots: volumeRoots.map((root) => resolve(folder, root)),
      capabilities,
      networks,
      gpus,
      ...(maxMemory !== undefined && { maxMemory }),
      ...(maxCpus !== undefined && { maxCpus }),
      ...(maxPids !== undefined && { maxPids }),
    },
    ...(doors !== undefined && { doors }),
    ...(living !== undefined && { living }),
    ...(docker.address !== undefined && { address: docker.address }),
    debugEnvironment: debug.additionalDockerEnvironment,
    filePlace: {
      folder: docker.containerTemporaryDirectory,
      nameSeparator: docker.containerNameSeparator,
      pathSeparator: docker.containerPathSeparator,
    },
    subnetPool: docker.subnetPool,
    responseTimeoutMs: docker.responseTimeout,
    pingTimeoutMs: Math.min(docker.connectionTimeout, 5_000),
    maxConnections: docker.maxConnections,
    pullTimeoutMs: docker.pullTimeout,
    pullStallMs: docker.pullStallTimeout,
    ...(log !== undefined && { log }),
  };
}
