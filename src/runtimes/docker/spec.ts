/**
 * From a launch and the operator's policy to what the engine is asked for: a pure function. S1: nothing secret in name
 * or labels. S2: no host namespace, device, socket of the engine or privilege. S3: everything bounded.
 */
import { createHash } from 'node:crypto';
import type { DockerRuntime } from '../../domain/definition.ts';
import { capabilitiesOf, limitsOf, isRoot } from '../../domain/docker-policy.ts';
import type { DockerPolicy } from '../../domain/docker-policy.ts';
import type { Labels } from '../../domain/launch.ts';
import { markOf } from '../mark.ts';

/** Names of the labels on containers and networks. */
export const LABEL = {
  instance: 'coral.instance',
  session: 'coral.session',
  agent: 'coral.agent',
  attempt: 'coral.attempt',
  /** `HOST:PORT` at which the container was told to reach the server; on containers that have a network. */
  door: 'coral.door',
} as const;

/** A file or folder of this machine, and where it stands in the container. Absolute paths. */
export interface Mount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** What a container is made from. */
export interface ContainerInput {
  readonly labels: Labels;
  readonly how: DockerRuntime;
  readonly policy: DockerPolicy;
  /** Image with tag. */
  readonly reference: string;
  /** The user that the image names; empty: root. */
  readonly imageUser: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Volumes as resolved, and option files. */
  readonly mounts: readonly Mount[];
  /** `HOST:PORT` of the server, as the container is told; nothing without a network. */
  readonly door: string | undefined;
  /** What `HostConfig.NetworkMode` says: a network's name or id, `none`. */
  readonly network: string;
  readonly extraHosts: readonly string[];
  readonly hostCpus: number;
  /** Podman has log drivers of its own. */
  readonly isPodman: boolean;
}

/** One file of a container's output may grow to this; there are two. Bytes. */
export const LOG_FILE = 16 * 1024 * 1024;
export const LOG_FILES = 2;
/** What runs as nobody it names, under the profile that forbids root. */
const NOBODY = '65534:65534';
const TMPFS = 'rw,nosuid,nodev,mode=1777,size=256m';

/** The body of `POST /containers/create`. */
export function containerOf(input: ContainerInput): Record<string, unknown> {
  const { how, policy, labels } = input;
  const limits = limitsOf(how, policy, input.hostCpus);
  const strict = policy.profile === 'strict';
  const user = userOf(input);
  const { gpus } = how.resources;
  return {
    Image: input.reference,
    ...(how.command !== undefined && { Cmd: how.command }),
    ...(user !== '' && { User: user }),
    Env: Object.entries(input.environment).map(([name, value]) => `${name}=${value}`),
    Labels: { ...labelsOf(labels), ...(input.door !== undefined && { [LABEL.door]: input.door }) },
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: false,
    Tty: false, // one stream for both outputs otherwise
    HostConfig: {
      Init: true,
      Memory: limits.memory,
      MemorySwap: limits.memory,
      NanoCpus: Math.round(limits.cpus * 1e9),
      PidsLimit: limits.pids,
      ShmSize: limits.shm,
      CapDrop: ['ALL'],
      CapAdd: capabilitiesOf(how, policy),
      SecurityOpt: ['no-new-privileges'],
      ReadonlyRootfs: strict || how.readOnly,
      ...((strict || how.readOnly) && { Tmpfs: { '/tmp': TMPFS } }),
      Privileged: false,
      AutoRemove: false, // loses exit codes: we remove it ourselves
      RestartPolicy: { Name: 'no' },
      IpcMode: 'private',
      PublishAllPorts: false,
      NetworkMode: input.network,
      ExtraHosts: input.extraHosts,
      ...(!input.isPodman && {
        LogConfig: {
          Type: 'json-file',
          Config: { 'max-size': String(LOG_FILE), 'max-file': String(LOG_FILES) },
        },
      }),
      // Never `Binds`: they make named volumes of relative paths, and folders of the host that were missing.
      Mounts: input.mounts.map(({ source, target, readOnly }) => ({
        Type: 'bind',
        Source: source,
        Target: target,
        ReadOnly: readOnly,
      })),
      ...(gpus !== undefined &&
        gpus !== 0 && {
          DeviceRequests: [{ Count: gpus === 'all' ? -1 : gpus, Capabilities: [['gpu']] }],
        }),
    },
  };
}

/** `USER[:GROUP]` the container runs as; empty: root. */
export function userOf(input: Pick<ContainerInput, 'how' | 'policy' | 'imageUser'>): string {
  const { how, policy, imageUser } = input;
  if (how.user !== undefined) return how.user;
  const isRootImage = imageUser === '' || isRoot(imageUser);
  return policy.profile === 'strict' && isRootImage ? NOBODY : imageUser;
}

/** The labels as a container bears them. */
export function labelsOf(labels: Labels): Record<string, string> {
  return {
    [LABEL.instance]: labels.instance,
    [LABEL.session]: labels.session,
    [LABEL.agent]: labels.agent,
    [LABEL.attempt]: String(labels.attempt),
  };
}

/** The labels of one of our containers; nothing when they are not all there. */
export function labelsIn(given: Readonly<Record<string, string>> | null | undefined): Labels | undefined {
  const instance = given?.[LABEL.instance];
  const session = given?.[LABEL.session];
  const agent = given?.[LABEL.agent];
  const attempt = given?.[LABEL.attempt];
  if (instance === undefined || session === undefined || agent === undefined) return undefined;
  return attempt !== undefined && /^\d+$/.test(attempt)
    ? { instance, session, agent, attempt: Number(attempt) }
    : undefined;
}

/** Readable, and the same for the same attempt: what a crash left in the way is found by it. */
export function nameOf(labels: Labels): string {
  const readable = labels.agent.replaceAll(/[^a-zA-Z0-9_.-]+/g, '-').slice(0, 40);
  const digest = createHash('sha256').update(markOf(labels)).digest('hex').slice(0, 12);
  return `coral-${readable}-${labels.attempt}-${digest}`;
}
