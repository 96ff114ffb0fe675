/** What the Docker runtime is told by whoever composes the server. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DockerPolicy } from '../../domain/docker-policy.ts';
import type { AgentDoors } from '../../ports/agent-doors.ts';
import type { Log } from '../../ports/log.ts';
import type { Living } from '../../ports/runtime.ts';
import type { EngineTls } from './engine.ts';
import type { FilePlace } from './files.ts';
import type { OutputLimits } from '../output-gate.ts';

/** Where session networks take their subnets from when nobody says. */
export const SUBNET_POOL = '10.209.0.0/16';

/** All times in ms. */
export interface DockerRuntimeOptions {
  /** The server's instance id: goes into every label. */
  readonly instance: string;
  /** Wall-clock ms. */
  readonly now: () => number;
  /** Path or URL of the engine; default: as found by `findEndpoint`. */
  readonly endpoint: string;
  /** For an engine that is not on this machine; as found by `findAccess`. */
  readonly access?: EngineAccess;
  /** Where option files and sockets lie, in folders named after the instance. Absolute and short. */
  readonly temporaryFolder: string;
  /** Folder of Docker's own configuration, for registries' credentials. Absolute. */
  readonly dockerConfig: string;
  /** Default: standard profile, nothing beyond it. */
  readonly policy?: DockerPolicy;
  /** Opens listeners for agents that cannot reach the server's own address. Absent: the server's port is reachable. */
  readonly doors?: AgentDoors;
  /** The operator's own answer to where containers reach the server: `HOST` or `HOST:PORT`. */
  readonly address?: string;
  /** The operator's additional variables for every agent; all but CORAL_* win over the agent's own. */
  readonly debugEnvironment?: Readonly<Record<string, string>>;
  /** Where option files stand in containers. */
  readonly filePlace?: FilePlace;
  /** Where session networks take their /28 subnets from. Default `10.209.0.0/16`. */
  readonly subnetPool?: string;
  /** For an answer of the engine, ms. Default 30,000. */
  readonly responseTimeoutMs?: number;
  /** For a ping, ms. Default 5,000. */
  readonly pingTimeoutMs?: number;
  /** Between pings, ms. Default 5,000. */
  readonly pingEveryMs?: number;
  readonly maxConnections?: number;
  /** A whole pull, ms. Default 15 minutes. */
  readonly pullTimeoutMs?: number;
  /** A pull without news, ms. Default 60,000. */
  readonly pullStallMs?: number;
  /** First pause before another try to pull, ms. Default 1,000. */
  readonly pullRetryMs?: number;
  /** Launches under way at once. Default 4. */
  readonly maxLaunches?: number;
  /** Between sweeps, ms. Default 5 minutes; 0: none. */
  readonly sweepEveryMs?: number;
  /** Age below which the sweep leaves things alone, ms. Default 60,000. */
  readonly sweepGraceMs?: number;
  /**
   * What lives, as the journal says: the sweep leaves it alone. Undefined while nobody knows yet: then nothing is
   * swept. Absent: nothing but what this runtime started.
   */
  readonly living?: () => Living | undefined;
  readonly output?: OutputLimits;
  readonly log?: Log;
}

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Where the engine is when nobody says: as `DOCKER_HOST` has it, else the first socket that exists of Docker's and
 * Podman's usual places; Docker's first one when there is none.
 */
export function findEndpoint(environment: Variables, home: string): string {
  const { DOCKER_HOST: host, XDG_RUNTIME_DIR: run } = environment;
  if (host) return host;
  const usual = '/var/run/docker.sock';
  const places = [
    usual,
    ...(run ? [`${run}/docker.sock`] : []),
    `${home}/.docker/run/docker.sock`,
    ...(run ? [`${run}/podman/podman.sock`] : []),
    '/run/podman/podman.sock',
  ];
  return places.find((path) => existsSync(path)) ?? usual;
}

/** How an engine that is not on this machine is reached. */
export interface EngineAccess {
  readonly tls?: EngineTls;
  /** Why it cannot be reached at all, a sentence. */
  readonly problem?: string;
}

/**
 * As Docker's own programs are told to speak TLS: `DOCKER_TLS_VERIFY`, with `ca.pem`, `cert.pem` and `key.pem` in
 * `DOCKER_CERT_PATH`, by default `~/.docker`. Nothing without them.
 */
export function findAccess(environment: Variables, home: string, endpoint: string): EngineAccess {
  const protocol = /^([a-z]+):\/\//.exec(endpoint)?.[1];
  if (protocol !== undefined && !['unix', 'tcp', 'http', 'https'].includes(protocol))
    return {
      problem: `engines are not reached by ${protocol}://; set docker.socket to a socket, for example one that \`ssh -L\` forwards, or to tcp://HOST:PORT.`,
    };
  if (!environment['DOCKER_TLS_VERIFY'] || (protocol !== 'tcp' && protocol !== 'https')) return {};
  const folder = environment['DOCKER_CERT_PATH'] || join(home, '.docker');
  try {
    const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
    return { tls: { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') } };
  } catch (error) {
    return {
      problem: `DOCKER_TLS_VERIFY is set, but ca.pem, cert.pem and key.pem cannot be read in ${folder} (${(error as NodeJS.ErrnoException).code ?? 'unknown'}); set DOCKER_CERT_PATH to their folder.`,
    };
  }
}
