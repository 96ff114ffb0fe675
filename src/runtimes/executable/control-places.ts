/**
 * Where on this machine control groups can be made: in the unified hierarchy (version 2), and for each controller that
 * is not there in a hierarchy of its own (version 1). Groups are made below the server's own where it may (so that what
 * holds for the server holds for its agents), else below the one above it (systemd: `Delegate=yes` with
 * `DelegateSubgroup=`), else at the top.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** What can be limited. */
export type Controller = 'memory' | 'cpu' | 'pids';
export const CONTROLLERS: readonly Controller[] = ['memory', 'cpu', 'pids'];

/** A folder in which groups can be made. */
export interface Place {
  readonly version: 1 | 2;
  /** Absolute; there only while `prepare` has made it. */
  readonly folder: string;
  /** Where the hierarchy is mounted. */
  readonly root: string;
  /** What groups in it can limit. */
  readonly controllers: ReadonlySet<Controller>;
}

interface Mount {
  readonly version: 1 | 2;
  readonly at: string;
  readonly options: readonly string[];
}

/**
 * All there are for groups of this name; every agent is in a group of the first. `read`: in place of reading files, for
 * tests. Into a group of version 1 a thread goes at once, into one of version 2 only a whole process, for which the
 * kernel waits some 10 ms until every CPU took notice: version 1 comes first where there is both.
 */
export function findPlaces(name: string, read: (file: string) => string = readText): readonly Place[] {
  const places: Place[] = [];
  const missing = new Set(CONTROLLERS);
  const mounts = mountsIn(read('/proc/self/mountinfo'));
  const own = ownGroups(read('/proc/self/cgroup'));
  const unified = mounts.find(({ version }) => version === 2);
  if (unified !== undefined) {
    const place = unifiedPlace(unified.at, own.get('') ?? '/', name);
    if (place !== undefined) places.push(place);
    for (const controller of place?.controllers ?? []) missing.delete(controller);
  }
  // Processes first: a group that counts them costs the kernel least.
  for (const controller of [...missing].reverse()) {
    const mount = mounts.find(({ version, options }) => version === 1 && options.includes(controller));
    if (mount === undefined) continue;
    const folder = candidates(mount.at, own.get(controller) ?? '/')
      .map((above) => join(above, name))
      .find(canMake);
    if (folder !== undefined)
      places.push({ version: 1, folder, root: mount.at, controllers: new Set([controller]) });
  }
  const older = places.filter(({ version }) => version === 1);
  const newer = places.filter(({ version, controllers }) => version === 2 && controllers.size > 0);
  return older.length > 0 ? [...older, ...newer] : places;
}

/** Makes the folder of a place, and hands its controllers down to the groups in it. Throws as the file system does. */
export function prepare(place: Place): void {
  mkdirSync(place.folder, { recursive: true });
  if (place.version === 2) hand(place.folder, [...place.controllers]);
}

/** The group in which this thread is now, in the hierarchy of a place. */
export function homeIn({ version, root, controllers }: Place): string {
  const [controller = ''] = version === 2 ? [''] : controllers;
  const home = join(root, ownGroups(readText('/proc/thread-self/cgroup')).get(controller) ?? '/');
  return existsSync(home) ? home : root;
}

function unifiedPlace(root: string, own: string, name: string): Place | undefined {
  let best: Place | undefined;
  for (const above of candidates(root, own)) {
    const folder = join(above, name);
    const was = existsSync(folder);
    if (!canMake(folder)) continue;
    try {
      hand(above, CONTROLLERS);
      mkdirSync(folder, { recursive: true });
      const offered = readText(join(folder, 'cgroup.controllers')).trim().split(' ');
      const controllers = new Set(CONTROLLERS.filter((one) => offered.includes(one)));
      if (best === undefined || controllers.size > best.controllers.size)
        best = { version: 2, folder, root, controllers };
    } catch {
      continue;
    } finally {
      if (!was) remove(folder);
    }
  }
  return best;
}

/** Offers controllers to the groups below; those that are not there, or may not be, are not. */
function hand(folder: string, controllers: readonly Controller[]): void {
  for (const controller of controllers) {
    try {
      writeFileSync(join(folder, 'cgroup.subtree_control'), `+${controller}`);
    } catch {
      // Not delegated, or processes are in this very group: another place may do.
    }
  }
}

function candidates(root: string, own: string): readonly string[] {
  const here = join(root, own);
  const all = existsSync(here) ? [here, ...(here === root ? [] : [dirname(here)]), root] : [root];
  return [...new Set(all)];
}

function canMake(folder: string): boolean {
  try {
    accessSync(existsSync(folder) ? folder : dirname(folder), constants.W_OK);
    if (existsSync(folder)) return true;
    mkdirSync(folder);
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

function remove(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Somebody made a group in it meanwhile.
  }
}

function mountsIn(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [type = '', , options = ''] = after.split(' ');
    const at = before.split(' ')[4];
    if (at === undefined || !type.startsWith('cgroup')) return [];
    return [{ version: type === 'cgroup2' ? (2 as const) : (1 as const), at, options: options.split(',') }];
  });
}

/** This process's groups by controller; '' is the unified hierarchy. */
function ownGroups(text: string): ReadonlyMap<string, string> {
  const groups = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path !== undefined) for (const one of (controllers ?? '').split(',')) groups.set(one, path);
  }
  return groups;
}

/** Empty when it cannot be read. */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
