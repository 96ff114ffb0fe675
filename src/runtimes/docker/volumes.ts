/**
 * Where a definition's volumes really lie. Only what lies in a folder the operator named may be mounted, after every
 * symlink is resolved; never the engine's own socket, nor a folder above it.
 */
import { realpath, stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import type { DockerRuntime } from '../../domain/definition.ts';
import type { Mount } from './spec.ts';

/** What may be mounted. */
export interface VolumeRules {
  /** Absolute. */
  readonly roots: readonly string[];
  /** Path of the engine's socket, when it is one. */
  readonly socket: string | undefined;
}

/** Volumes that may be mounted, and why others may not. */
export interface ResolvedVolumes {
  readonly mounts: readonly Mount[];
  /** A sentence each. */
  readonly refusals: readonly string[];
}

/** Resolves the volumes of a definition; relative ones start at its folder. */
export async function resolveVolumes(
  how: DockerRuntime,
  folder: string,
  rules: VolumeRules,
): Promise<ResolvedVolumes> {
  const mounts: Mount[] = [];
  const refusals: string[] = [];
  const roots = await Promise.all(rules.roots.map((root) => realpath(root).catch(() => undefined)));
  const socket =
    rules.socket === undefined ? undefined : await realpath(rules.socket).catch(() => rules.socket);
  for (const { host, container, readOnly } of how.volumes) {
    const asked = resolve(folder, host);
    const source = await realpath(asked).catch(() => undefined);
    if (source === undefined) {
      refusals.push(`It asks for the volume ${asked}, which is not there; create it.`);
      continue;
    }
    const told = source === asked ? asked : `${asked} (which is ${source})`;
    if (!roots.some((root) => root !== undefined && isIn(source, root))) {
      const allowed = rules.roots.length === 0 ? 'no volumes' : `what lies in ${rules.roots.join(', ')}`;
      refusals.push(
        `It asks for the volume ${told}; this server allows ${allowed} (docker.policy.volumeRoots).`,
      );
    } else if ((socket !== undefined && isIn(socket, source)) || (await stat(source)).isSocket())
      refusals.push(
        `It asks for the volume ${told}, with which it could rule this machine; no server allows that.`,
      );
    else mounts.push({ source, target: container, readOnly });
  }
  return { mounts, refusals };
}

function isIn(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
