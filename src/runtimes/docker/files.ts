/**
 * Option files inside a container: each bound in read-only under the container's folder for temporary things, readable
 * by the container's user alone where the server can give it away (it is root), else 0444 in a folder of its own.
 */
import { chmod, chown } from 'node:fs/promises';
import { basename, delimiter } from 'node:path';
import { isRefusal } from './engine.ts';
import type { Engine } from './engine.ts';
import type { Mount } from './spec.ts';

/** Option files as a container sees them. */
export interface PlacedFiles {
  readonly mounts: readonly Mount[];
  /** Paths inside the container, by variable. */
  readonly variables: Readonly<Record<string, string>>;
  /** On this machine. */
  readonly sources: readonly string[];
}

/** Where files stand in a container, and how its paths are written. */
export interface FilePlace {
  /** Default `/tmp`. */
  readonly folder?: string;
  /** Between the names of a path. Default `/`. */
  readonly nameSeparator?: string;
  /** Between the paths of a list. Default `:`. */
  readonly pathSeparator?: string;
}

/** From the variables of files that were written on this machine to those of the container. */
export function placeFiles(
  written: Readonly<Record<string, string>>,
  { folder = '/tmp', nameSeparator = '/', pathSeparator = ':' }: FilePlace = {},
): PlacedFiles {
  const into = folder.endsWith(nameSeparator) ? folder : folder + nameSeparator;
  const mounts: Mount[] = [];
  const variables: Record<string, string> = {};
  for (const [variable, paths] of Object.entries(written)) {
    const targets = paths.split(delimiter).map((source) => {
      const target = `${into}coral-${basename(source)}`;
      mounts.push({ source, target, readOnly: true });
      return target;
    });
    variables[variable] = targets.join(pathSeparator);
  }
  return { mounts, variables, sources: mounts.map(({ source }) => source) };
}

/** Gives the files to the user a created container will run as: `USER[:GROUP]`, by number or name. */
export async function giveAway(
  engine: Engine,
  id: string,
  user: string,
  files: readonly string[],
): Promise<void> {
  if (files.length === 0) return;
  const owner = process.getuid?.() === 0 ? await uidOf(engine, id, user) : undefined;
  for (const file of files) {
    if (owner === undefined) await chmod(file, 0o444);
    else await chown(file, owner, 0);
  }
}

/** The number of a user; a name is looked up in the container's own list. */
async function uidOf(engine: Engine, id: string, user: string): Promise<number | undefined> {
  const name = user.split(':')[0]!;
  if (name === '' || name === 'root') return 0;
  if (/^\d+$/.test(name)) return Number(name);
  try {
    const tar = await engine.bytes({ path: `/containers/${id}/archive`, query: { path: '/etc/passwd' } });
    const size = parseInt(tar.subarray(124, 136).toString('latin1'), 8);
    const line = tar
      .subarray(512, 512 + size)
      .toString('utf8')
      .split('\n')
      .find((one) => one.startsWith(`${name}:`));
    const number = Number(line?.split(':')[2]);
    return Number.isInteger(number) ? number : undefined;
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}
