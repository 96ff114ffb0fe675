/**
 * Control groups of agents: what a limit holds for, and where a process cannot hide. A group is named after the mark of
 * its attempt, so that it is found again without memory.
 *
 * - **C1** An agent that could not be put into a group runs all the same; what does not hold for it is said.
 * - **C2** A group goes with the last of its processes; what a crash left goes with the next sweep.
 * - **C3** A group of another instance, whose state folder may be gone, is removed when nothing was in it at two looks
 *   with some time between: whoever makes one puts its process there in the same turn.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { reasonOf } from '../../domain/reason.ts';
import type { ExecutableResources } from '../../domain/definition.ts';
import { CONTROLLERS, findPlaces, homeIn, prepare, readText } from './control-places.ts';
import type { Controller, Place } from './control-places.ts';

/** µs in which a group may use its share of the CPUs. */
const PERIOD = 100_000;
/** The least the kernel takes as a share of a period, µs. */
const LEAST_QUOTA = 1_000;

const ASKED: Readonly<Record<Controller, keyof ExecutableResources>> = {
  memory: 'memory',
  cpu: 'cpus',
  pids: 'pids',
};

/** One of an attempt's groups. */
interface Member {
  readonly folder: string;
  readonly place: Place;
}

/** One attempt's groups, one in each hierarchy that it needs. */
export class ControlGroup {
  private readonly folders: readonly string[];

  constructor(private readonly members: readonly Member[]) {
    this.folders = members.map(({ folder }) => folder);
  }

  /**
   * Calls `spawn`, which must start its process before it returns, from inside the groups: what it starts is in them
   * from its first moment on. Then this process (of version 1: this thread, which is the one that starts it) goes back
   * to where it was. `trouble`: why that did not work, in words; then nothing may be ended by way of these groups.
   */
  startIn<T>(spawn: () => T): { readonly started: T; readonly trouble?: string } {
    const left: (() => void)[] = [];
    let trouble: string | undefined;
    try {
      for (const { folder, place } of this.members) {
        const home = homeIn(place);
        moveTo(folder, place);
        left.push(() => moveTo(home, place));
      }
    } catch (error) {
      trouble = reasonOf(error);
    }
    let started: T;
    try {
      started = spawn();
    } finally {
      for (const goBack of left) {
        try {
          goBack();
        } catch (error) {
          trouble = reasonOf(error);
        }
      }
    }
    return trouble === undefined ? { started } : { started, trouble };
  }

  /** Sets what it may use; after the start, so that it holds for it alone. Returns what does not hold, a sentence each. */
  limit(resources: ExecutableResources): readonly string[] {
    return this.members.flatMap(({ folder, place: { version, controllers } }) =>
      [...controllers].flatMap((controller) => {
        if (resources[ASKED[controller]] === undefined) return [];
        try {
          setLimit(version, folder, controller, resources);
          return [];
        } catch (error) {
          return [unlimitedBy(controller, reasonOf(error))];
        }
      }),
    );
  }

  /** Pids of what is in them now, the groups they made themselves included. */
  processes(): ReadonlySet<number> {
    const found = new Set<number>();
    for (const folder of this.folders) {
      for (const one of [...below(folder), folder]) {
        for (const pid of readText(join(one, 'cgroup.procs')).split('\n'))
          if (pid !== '') found.add(Number(pid));
      }
    }
    return found;
  }

  /** Ends everything in them at once, where the kernel has that. */
  kill(): void {
    for (const folder of this.folders) {
      const file = join(folder, 'cgroup.kill');
      if (existsSync(file)) writeFileSync(file, '1');
    }
  }

  /** Whether the kernel ended one of its processes because the limit of memory was reached. */
  ranOutOfMemory(): boolean {
    return this.folders.some((folder) =>
      ['memory.events', 'memory.oom_control'].some((file) =>
        /^oom_kill [1-9]/m.test(readText(join(folder, file))),
      ),
    );
  }

  /** Removes what is empty (C2). */
  remove(): void {
    for (const folder of this.folders) for (const one of [...below(folder), folder]) removeEmpty(one);
  }
}

/** All groups of one instance. */
export class ControlGroups {
  private places: readonly Place[] | undefined;

  constructor(
    private readonly instance: string,
    private readonly find: typeof findPlaces = findPlaces,
  ) {}

  /** What cannot be limited here, and why; nothing: all can be. */
  missing(): readonly string[] {
    const can = new Set(this.known().flatMap(({ controllers }) => [...controllers]));
    return CONTROLLERS.filter((one) => !can.has(one)).map((one) => `${NAMES[one]} (${this.why()})`);
  }

  /**
   * A group for an attempt about to be started; undefined where there can be none. `unlimited`: what was asked for and
   * cannot hold, a sentence each.
   */
  make(
    mark: string,
    resources: ExecutableResources,
  ): { readonly group?: ControlGroup; readonly unlimited: readonly string[] } {
    const unlimited: string[] = [];
    const members: Member[] = [];
    const places = this.known();
    for (const [at, place] of places.entries()) {
      const asked = [...place.controllers].filter((one) => resources[ASKED[one]] !== undefined);
      // The first is made for every agent: nothing that it starts gets out of it.
      if (at > 0 && asked.length === 0) continue;
      const folder = join(place.folder, keyOf(mark));
      try {
        prepare(place);
        mkdirSync(folder, { recursive: true });
        members.push({ folder, place });
      } catch (error) {
        for (const one of asked) unlimited.push(unlimitedBy(one, reasonOf(error)));
      }
    }
    for (const one of CONTROLLERS) {
      const can = places.some(({ controllers }) => controllers.has(one));
      if (!can && resources[ASKED[one]] !== undefined) unlimited.push(unlimitedBy(one, this.why()));
    }
    return { ...(members.length > 0 && { group: new ControlGroup(members) }), unlimited };
  }

  /** The group of an attempt that was started before; undefined when there is none. */
  of(mark: string): ControlGroup | undefined {
    const members = this.known()
      .map((place) => ({ place, folder: join(place.folder, keyOf(mark)) }))
      .filter(({ folder }) => existsSync(folder));
    return members.length > 0 ? new ControlGroup(members) : undefined;
  }

  /** Removes the groups that are empty and of none of these attempts (C2). */
  sweep(marks: Iterable<string>): void {
    const used = new Set(Array.from(marks, keyOf));
    for (const place of this.known()) {
      for (const one of childrenOf(place.folder)) {
        if (!used.has(one)) new ControlGroup([{ place, folder: join(place.folder, one) }]).remove();
      }
      if (used.size === 0) removeEmpty(place.folder);
    }
  }

  /**
   * Looks at the groups of other instances beside ours; returns those in which nothing is, and removes what an earlier
   * look returned (C3).
   */
  sweepStrangers(before: ReadonlySet<string>): ReadonlySet<string> {
    const empty = new Set<string>();
    for (const { folder: ours } of this.known()) {
      const beside = dirname(ours);
      for (const name of childrenOf(beside)) {
        const theirs = join(beside, name);
        if (theirs === ours || !OF_AN_INSTANCE.test(name)) continue;
        for (const one of [...below(theirs), theirs]) {
          if (readText(join(one, 'cgroup.procs')) !== '') continue;
          // Told from another of its name, made since.
          const known = `${one} ${statSync(one, { throwIfNoEntry: false })?.ino}`;
          if (before.has(known)) removeEmpty(one);
          else empty.add(known);
        }
      }
    }
    return empty;
  }

  private known(): readonly Place[] {
    this.places ??= process.platform === 'linux' ? this.find(groupOf(this.instance)) : [];
    return this.places;
  }

  private why(): string {
    if (process.platform !== 'linux') return 'this system has no control groups';
    return 'the server may make no control groups for it here; run it as root, or let systemd delegate them (Delegate=yes)';
  }
}

const OF_AN_INSTANCE = /^coral-[0-9a-f]{24}$/;

/** The name of the group that holds all those of an instance. */
export function groupOf(instance: string): string {
  return `coral-${keyOf(instance)}`;
}

const NAMES: Readonly<Record<Controller, string>> = { memory: 'memory', cpu: 'CPUs', pids: 'processes' };

function unlimitedBy(controller: Controller, why: string): string {
  return `Its ${NAMES[controller]} are not limited: ${why}.`.replace('Its memory are', 'Its memory is');
}

/** Version 1: this thread alone. Version 2: this process, with all its threads. */
function moveTo(folder: string, { version }: Place): void {
  writeFileSync(join(folder, version === 1 ? 'tasks' : 'cgroup.procs'), '0');
}

function setLimit(
  version: 1 | 2,
  folder: string,
  controller: Controller,
  resources: ExecutableResources,
): void {
  const set = (file: string, value: number | string): void =>
    writeFileSync(join(folder, file), String(value));
  const { memory = 0, cpus = 0, pids = 0 } = resources;
  switch (controller) {
    case 'memory':
      set(version === 2 ? 'memory.max' : 'memory.limit_in_bytes', memory);
      try {
        // Without this, what is over the limit goes to the swap and all gets slow.
        if (version === 2) set('memory.swap.max', 0);
        else set('memory.memsw.limit_in_bytes', memory);
      } catch {
        // A kernel that does not count swap.
      }
      return;
    case 'cpu': {
      const quota = Math.max(LEAST_QUOTA, Math.round(cpus * PERIOD));
      if (version === 2) return set('cpu.max', `${quota} ${PERIOD}`);
      set('cpu.cfs_period_us', PERIOD);
      return set('cpu.cfs_quota_us', quota);
    }
    case 'pids':
      return set('pids.max', pids);
  }
}

/** A name the kernel takes, from a mark that may be long and hold anything. */
function keyOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24);
}

/** Groups in a group, the deepest first. */
function below(folder: string): readonly string[] {
  return childrenOf(folder).flatMap((one) => [...below(join(folder, one)), join(folder, one)]);
}

function childrenOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Somebody is in it, or it is gone.
  }
}
