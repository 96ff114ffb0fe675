/** Does the faults of a schedule to one server's world, and undoes in the end whatever still lasts. */
import { appendFileSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { kill } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { isAlive, startTimeOf, type ProcessIdentity } from '../../../src/process-identity.ts';
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

/** Who is hit; `signal` is false when it lives no more. */
interface Victim {
  readonly name: string;
  signal(name: NodeJS.Signals): boolean;
}

/** The faults of one run. */
export class Faults {
  /** What was done, in words, with wall-clock ms. */
  readonly done: { readonly time: number; readonly what: string }[] = [];
  /** When a keeper was killed, wall-clock ms. */
  readonly keeperDeaths: number[] = [];
  /** The same of the container engine. */
  readonly engineDeaths: number[] = [];
  /** An engine is killed when it is there. */
  private engineUp = Promise.resolve();
  private readonly frozen = new Set<Victim>();
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
    for (const one of this.frozen) one.signal('SIGCONT');
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
        this.engineDeaths.push(Date.now());
        await this.hit.engine?.signal('SIGKILL');
        await this.hit.engine?.start();
      });
      return this.engineUp;
    }
    for (const one of this.victims(target)) {
      if (one.name === 'keeper') this.keeperDeaths.push(Date.now());
      if (one.signal('SIGKILL')) this.note(`killed ${one.name}`);
    }
  }

  private async freeze(target: Exclude<Target, 'server and keeper'>, ms: number): Promise<void> {
    const victims = this.victims(target).filter((one) => one.signal('SIGSTOP'));
    for (const one of victims) {
      this.frozen.add(one);
      this.note(`froze ${one.name} for ${ms} ms`);
    }
    await pause(ms);
    for (const one of victims) {
      one.signal('SIGCONT');
      this.frozen.delete(one);
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

  private victims(target: Target): Victim[] {
    const { server, engine } = this.hit;
    switch (target) {
      case 'server':
        return [{ name: 'server', signal: (name) => server.signal(name) }];
      case 'keeper':
        return this.keeper();
      case 'server and keeper':
        return [...this.victims('server'), ...this.keeper()];
      case 'agent': {
        const agents = this.agents();
        return agents.length === 0 ? [] : [process('agent', this.dice.one(agents))];
      }
      case 'docker':
        return engine === undefined ? [] : [process('docker', engine.pid)];
    }
  }

  /** The one that its file names, and no other process that has got its number since. */
  private keeper(): Victim[] {
    try {
      const file = join(this.hit.folder, 'keeper', 'keeper.json');
      const keeper = JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
      return isAlive(keeper) ? [process('keeper', keeper.pid)] : [];
    } catch {
      return [];
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

/** The process that has this number now. */
function process(name: string, pid: number): Victim {
  const startTime = startTimeOf(pid);
  return {
    name,
    signal: (signal) => {
      if (startTime === undefined || !isAlive({ pid, startTime })) return false;
      try {
        return kill(pid, signal);
      } catch {
        return false;
      }
    },
  };
}
