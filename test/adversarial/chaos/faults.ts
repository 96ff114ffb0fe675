/** Does the faults of a schedule to one server's world, and undoes in the end whatever still lasts. */
import { appendFileSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { MARK_VARIABLE } from '../../../src/runtimes/mark.ts';
import type { OwnEngine } from '../../support/dockerd.ts';
import type { Server } from '../server.ts';
import type { Dice, Fault, Target } from './schedule.ts';

const BALLAST = 'ballast';

/** What is hit. */
export interface Hit {
  readonly server: Server;
  /** The state folder. */
  readonly folder: string;
  readonly engine: OwnEngine | undefined;
}

/** The faults of one run. */
export class Faults {
  /** What was done, in words, with wall-clock ms. */
  readonly done: { readonly time: number; readonly what: string }[] = [];
  /** When a keeper was killed, wall-clock ms. */
  readonly keeperDeaths: number[] = [];
  /** An engine is killed when it is there. */
  private engineUp = Promise.resolve();
  private readonly frozen = new Set<number>();
  private readonly lasting = new Set<Promise<void>>();

  constructor(
    private readonly hit: Hit,
    private readonly dice: Dice,
  ) {}

  /** Begins a fault; one that lasts goes on by itself. */
  begin(fault: Fault): void {
    const doing = this.act(fault).catch((error: unknown) => this.note(`failed: ${String(error)}`));
    this.lasting.add(doing);
    void doing.then(() => this.lasting.delete(doing));
  }

  /** Resolves when every fault is over and nothing of it lasts. */
  async over(): Promise<void> {
    while (this.lasting.size > 0) await Promise.all(this.lasting);
    for (const pid of this.frozen) signal(pid, 'SIGCONT');
    rmSync(join(this.hit.folder, BALLAST), { force: true });
  }

  private async act(fault: Fault): Promise<void> {
    switch (fault.type) {
      case 'kill':
        return this.kill(fault.target);
      case 'freeze':
        return this.freeze(fault.target, fault.for);
      case 'full disk':
        return this.fill(fault.for);
    }
  }

  private async kill(target: Target): Promise<void> {
    if (target === 'docker') {
      this.engineUp = this.engineUp.then(async () => {
        this.note('killed docker');
        await this.hit.engine?.signal('SIGKILL');
        await this.hit.engine?.start();
      });
      return this.engineUp;
    }
    for (const pid of this.pidsOf(target)) {
      if (target.includes('keeper') && pid === this.keeper()) this.keeperDeaths.push(Date.now());
      if (signal(pid, 'SIGKILL')) this.note(`killed ${target} (${pid})`);
    }
  }

  private async freeze(target: Exclude<Target, 'server and keeper'>, ms: number): Promise<void> {
    const pids = target === 'docker' ? [this.hit.engine?.pid ?? -1] : this.pidsOf(target);
    for (const pid of pids) {
      if (!signal(pid, 'SIGSTOP')) continue;
      this.frozen.add(pid);
      this.note(`froze ${target} (${pid}) for ${ms} ms`);
    }
    await pause(ms);
    for (const pid of pids) {
      signal(pid, 'SIGCONT');
      this.frozen.delete(pid);
    }
  }

  private async fill(ms: number): Promise<void> {
    const { bavail, bsize } = statfsSync(this.hit.folder);
    this.note(`filled the disk for ${ms} ms`);
    try {
      appendFileSync(join(this.hit.folder, BALLAST), Buffer.alloc(bavail * bsize));
    } catch {
      // Full.
    }
    await pause(ms);
    rmSync(join(this.hit.folder, BALLAST), { force: true });
  }

  private pidsOf(target: Exclude<Target, 'docker'>): number[] {
    const known = (pid: number | undefined): number[] => (pid === undefined || pid <= 0 ? [] : [pid]);
    switch (target) {
      case 'server':
        return known(this.hit.server.pid);
      case 'keeper':
        return known(this.keeper());
      case 'server and keeper':
        return [...known(this.hit.server.pid), ...known(this.keeper())];
      case 'agent': {
        const agents = this.agents();
        return agents.length === 0 ? [] : [this.dice.one(agents)];
      }
    }
  }

  private keeper(): number | undefined {
    try {
      const file = join(this.hit.folder, 'keeper', 'keeper.json');
      return (JSON.parse(readFileSync(file, 'utf8')) as { pid: number }).pid;
    } catch {
      return undefined;
    }
  }

  private agents(): number[] {
    let instance: string;
    try {
      instance = readFileSync(join(this.hit.folder, 'instance'), 'utf8').trim();
    } catch {
      return [];
    }
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`${MARK_VARIABLE}=${instance}/`);
        } catch {
          return false;
        }
      })
      .map(Number);
  }

  private note(what: string): void {
    this.done.push({ time: Date.now(), what });
  }
}

/** False when there is no such process any more. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    if (pid <= 1) return false;
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}
