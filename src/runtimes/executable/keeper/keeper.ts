/**
 * The agents of a keeper: started, spooled, ended, each with its folder. K1: an agent that runs has a folder that says
 * what it is before anybody hears of its launch. K2: its end is on disk, after all it printed, before anybody hears of
 * the end. K3: what an earlier keeper left is taken over from the folders alone.
 */
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ending } from '../../../domain/exit.ts';
import type { LaunchSpec } from '../../../domain/launch.ts';
import { failpoint } from '../../../ports/failpoint.ts';
import type { Handle, Observer, StopReceipt } from '../../../ports/runtime.ts';
import type { EnvironmentParts, ExecutableRuntime } from '../runtime.ts';
import { readHandle } from '../handle.ts';
import { lost } from '../../ending.ts';
import { AGENTS_FOLDER } from './protocol.ts';
import { readExit, readSpoolHandle, spoolKey, SpoolWriter, writeExit, writeHandle } from './spool.ts';
import type { SpoolLimits } from './spool.ts';

/** Lines that wait are written at once beyond this, bytes. */
const WRITE_AT = 128 * 1024;
/** Pause before an ending that the disk did not take is written again, ms. */
const AGAIN = 1_000;

/** What a keeper's agents are made of. */
export interface KeeperOptions {
  /** The keeper's folder; absolute. */
  readonly folder: string;
  readonly runtime: ExecutableRuntime;
  readonly limits?: SpoolLimits;
  /** Whether the disk has room for what agents print. Default: always. */
  readonly hasRoom?: () => boolean;
  /** Something was printed by the agent with this key. */
  readonly grown: (key: string) => void;
  readonly ended: (key: string, ending: Ending) => void;
}

interface Kept {
  readonly handle: Handle;
  readonly spool: SpoolWriter;
  ending?: Ending;
}

/** What runs under one keeper (K1 to K3). */
export class Keeper {
  private readonly agents = new Map<string, Kept>();
  private readonly launching = new Set<Promise<unknown>>();

  constructor(private readonly options: KeeperOptions) {}

  /** K3. */
  takeOver(): void {
    let names: string[] = [];
    try {
      names = readdirSync(join(this.options.folder, AGENTS_FOLDER));
    } catch {
      return; // none yet
    }
    for (const name of names) {
      const folder = join(this.options.folder, AGENTS_FOLDER, name);
      if (readExit(folder) !== undefined) continue;
      const handle = readSpoolHandle(folder);
      if (handle !== undefined) this.keep(handle);
      else void rm(folder, { recursive: true, force: true }).catch(() => undefined);
    }
  }

  /** Agents that run, and launches under way. */
  get busy(): number {
    return this.running + this.launching.size;
  }

  get running(): number {
    let running = 0;
    for (const { ending } of this.agents.values()) if (ending === undefined) running += 1;
    return running;
  }

  /** Rejects with LaunchFailure. */
  async launch(spec: LaunchSpec, parts: EnvironmentParts, signal: AbortSignal): Promise<Handle> {
    const launched = this.options.runtime.launchWith(spec, parts, signal).then((handle) => {
      failpoint('spawned'); // keeper 1
      this.keep(handle);
      failpoint('recorded'); // keeper 2
      return handle;
    });
    this.launching.add(launched);
    try {
      return await launched;
    } finally {
      this.launching.delete(launched);
    }
  }

  /** How a thing ended; undefined while it has not. From now on `ended` tells of it. */
  watch(handle: Handle): Ending | undefined {
    const known = this.agents.get(spoolKey(handle));
    if (known !== undefined) return known.ending;
    const ending = readExit(this.folderOf(spoolKey(handle)));
    if (ending !== undefined) return ending;
    if (readHandle(handle) === undefined) return lost('Nobody knows this process.');
    this.keep(handle);
    return undefined;
  }

  stop(handle: Handle, graceMs: number): Promise<StopReceipt> {
    return this.options.runtime.stop(handle, graceMs);
  }

  /** Everything alive, after the launches under way have come to something. */
  async list(): Promise<readonly Handle[]> {
    await Promise.allSettled(this.launching);
    return (await this.options.runtime.list()).map(({ handle }) => handle);
  }

  /** Ends everything that bears the instance's mark; resolves with what is left. */
  async endAll(graceMs: number): Promise<readonly string[]> {
    return this.end(await this.list(), graceMs);
  }

  /** Ends what this keeper started or took over, and nothing else; resolves with what is left. */
  async endOwn(graceMs: number): Promise<readonly string[]> {
    await Promise.allSettled(this.launching);
    const own = [...this.agents.values()].filter(({ ending }) => ending === undefined);
    return this.end(
      own.map(({ handle }) => handle),
      graceMs,
    );
  }

  private async end(handles: readonly Handle[], graceMs: number): Promise<readonly string[]> {
    const receipts = await Promise.all(handles.map((handle) => this.stop(handle, graceMs)));
    return receipts.flatMap(({ left }) => left);
  }

  private folderOf(key: string): string {
    return join(this.options.folder, AGENTS_FOLDER, key);
  }

  private keep(handle: Handle): void {
    const key = spoolKey(handle);
    const folder = this.folderOf(key);
    try {
      writeHandle(folder, handle); // K1
    } catch {
      // A full disk: it runs all the same, and is found by its mark. Its end will not be noted without it.
    }
    const spool = new SpoolWriter(folder, this.options.limits, this.options.hasRoom);
    const kept: Kept = { handle, spool };
    this.agents.set(key, kept);
    let due = false;
    const write = (): void => {
      due = false;
      spool.flush();
      this.options.grown(key);
    };
    const written = (): void => {
      if (spool.waiting > WRITE_AT) write();
      else if (!due) {
        due = true;
        setImmediate(write);
      }
    };
    const observer: Observer = {
      line: ({ io, time, text }) => {
        spool.line(io, time, text);
        written();
      },
      dropped: (bytes) => {
        spool.dropped(bytes);
        written();
      },
    };
    void this.options.runtime.attach(handle, observer).ended.then((ending) => this.note(key, kept, ending));
  }

  /** K2. */
  private note(key: string, kept: Kept, ending: Ending): void {
    kept.spool.close();
    kept.ending = ending;
    failpoint('ended'); // keeper 3
    try {
      // Nobody could tell whose end it is, and let go of it.
      if (readSpoolHandle(kept.spool.folder) === undefined) writeHandle(kept.spool.folder, kept.handle);
      writeExit(kept.spool.folder, ending);
      failpoint('end recorded'); // keeper 4
      this.agents.delete(key);
    } catch {
      // Known here for as long as this keeper lives, and written as soon as the disk takes it.
      setTimeout(() => this.note(key, kept, ending), AGAIN).unref();
    }
    this.options.ended(key, ending);
  }
}
