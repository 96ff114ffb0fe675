/**
 * Runs agents as processes of this machine by way of a keeper (docs/decisions/keeper.md): the server asks it to start
 * and stop them, reads what they print from their spools, and can be killed and started again without any of them noticing.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ending } from '../../../domain/exit.ts';
import type { AgentPlan } from '../../../domain/graph.ts';
import type { LaunchSpec } from '../../../domain/launch.ts';
import { reasonOf } from '../../../domain/reason.ts';
import { failpoint } from '../../../ports/failpoint.ts';
import { LaunchFailure } from '../../../ports/runtime.ts';
import type { Attachment, Found, Handle, Observer, Runtime, StopReceipt } from '../../../ports/runtime.ts';
import { lost } from '../../ending.ts';
import { markOf } from '../../mark.ts';
import { Share } from '../../share.ts';
import { Watch } from '../../watch.ts';
import { inherited } from '../environment.ts';
import { readHandle } from '../handle.ts';
import { withinPolicy } from '../policy.ts';
import { executableRuntime } from '../runtime.ts';
import type { ExecutableRuntime, ExecutableRuntimeOptions } from '../runtime.ts';
import { KeeperLink, KeeperLost } from './link.ts';
import type { LinkOptions } from './link.ts';
import { AGENTS_FOLDER, GONE_FOLDER, toWire } from './protocol.ts';
import { readExit, readSpoolHandle, spoolKey } from './spool.ts';
import { PIECE, SpoolReader } from './spool-reader.ts';
import type { SpoolListener } from './spool-reader.ts';

/** What the runtime needs: that of a runtime without keeper, and where the keeper is. */
export interface KeptRuntimeOptions extends ExecutableRuntimeOptions {
  readonly keeper: Pick<LinkOptions, 'folder' | 'entry' | 'isAlive' | 'orphanTimeout' | 'heartbeat'>;
}

/** A launch that takes longer than this is given up, ms. */
const LAUNCH_DEADLINE = 30_000;
/** What a stop may take beyond its grace, ms. */
const STOP_DEADLINE = 20_000;
/** Pause before a keeper that could not be reached is tried again, ms. */
const RETRY = 500;
/** A stop is asked again of a new keeper when the old one is lost over it. */
const STOP_TRIES = 3;

/** A runtime whose agents outlive the server. */
export function keptExecutableRuntime(options: KeptRuntimeOptions): Runtime {
  return new KeptRuntime(options);
}

class KeptRuntime implements Runtime {
  readonly kind = 'executable';
  private readonly link: KeeperLink;
  /** Looks at the machine while there is no keeper; starts nothing. */
  private readonly direct: ExecutableRuntime;
  private readonly things = new Map<string, Thing>();
  /** What all agents print is worked on in a third of the time. */
  private readonly reading = new Share(2, PIECE);
  private isClosed = false;
  /** What an earlier server was deleting when it was killed is deleted. */
  private readonly tidied: Promise<void>;

  constructor(private readonly options: KeptRuntimeOptions) {
    const { instance, temporaryFolder, keeper } = options;
    this.link = new KeeperLink({ instance, temporaryFolder, ...keeper });
    this.direct = executableRuntime(options);
    this.tidied = rm(this.gone, { recursive: true, force: true }).catch(() => undefined);
  }

  unavailable(): Promise<string | undefined> {
    return this.direct.unavailable();
  }

  refuses(plan: AgentPlan): Promise<readonly string[]> {
    return this.direct.refuses!(plan);
  }

  async launch(spec: LaunchSpec, signal: AbortSignal): Promise<Handle> {
    const { how } = spec;
    if (how.kind !== 'executable') throw new LaunchFailure(`A ${how.kind} agent is no executable.`);
    if (signal.aborted) throw new LaunchFailure('The launch was given up before the program was started.');
    const ask = {
      spec: toWire(withinPolicy(spec, this.options.policy)),
      inherited: inherited(this.options.environment, how.inheritEnvironment),
      debug: this.options.debugEnvironment ?? {},
    };
    try {
      const { handle } = await this.link.call('launch', ask, { signal, deadline: LAUNCH_DEADLINE });
      return handle;
    } catch (error) {
      if (error instanceof LaunchFailure) throw error;
      // Whether it was started is not known: it bears its mark if it was.
      const started = await this.startedAs(markOf(spec.labels));
      if (started !== undefined) return started;
      const message = reasonOf(error);
      throw new LaunchFailure(message, true, { cause: error });
    }
  }

  attach(handle: Handle, observer: Observer): Attachment {
    const key = spoolKey(handle);
    let thing = this.things.get(key);
    if (thing === undefined) {
      thing = new Thing(handle, this.folderOf(key), this.link, this.reading, () => this.isClosed);
      this.things.set(key, thing);
    }
    const known = thing;
    const attachment = known.attach(observer);
    void known.over.then(() => {
      if (this.things.get(key) === known) this.things.delete(key);
    });
    return attachment;
  }

  async stop(handle: Handle, graceMs: number): Promise<StopReceipt> {
    if (readHandle(handle) === undefined) return { gone: true, left: [] };
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.link.call('stop', { handle, graceMs }, { deadline: graceMs + STOP_DEADLINE });
      } catch (error) {
        if (!(error instanceof KeeperLost)) throw error;
        // Without any keeper it is ended all the same: by its mark.
        if (tries >= STOP_TRIES) return this.direct.stop(handle, graceMs);
      }
    }
  }

  async list(): Promise<readonly Found[]> {
    const answer = await this.link.callIfAlive('list', {}).catch((error: unknown) => {
      if (error instanceof KeeperLost) return undefined;
      throw error;
    });
    if (answer === undefined) return this.direct.list();
    return answer.handles.flatMap((handle) => foundOf(handle));
  }

  async ended(): Promise<readonly Found[]> {
    const folder = join(this.options.keeper.folder, AGENTS_FOLDER);
    const names = await readdir(folder).catch(() => []);
    return names.flatMap((name) => {
      const handle = readSpoolHandle(join(folder, name));
      if (handle === undefined || readExit(join(folder, name)) === undefined) return [];
      return foundOf(handle);
    });
  }

  async release(handle: Handle): Promise<void> {
    const key = spoolKey(handle);
    this.things.delete(key);
    // While nobody noted how it ended, it is the keeper's.
    if (readExit(this.folderOf(key)) === undefined) return;
    await this.tidied;
    const gone = join(this.gone, key);
    await mkdir(this.gone, { recursive: true, mode: 0o700 });
    await rename(this.folderOf(key), gone);
    failpoint('releasing'); // exit 3
    await rm(gone, { recursive: true, force: true });
  }

  addressOf(port: number): string {
    return this.direct.addressOf(port);
  }

  /** Hangs up; the keeper lives on with the agents that still run, and ends when there is none. */
  async close(): Promise<void> {
    this.isClosed = true;
    for (const thing of this.things.values()) thing.close();
    this.things.clear();
    await this.link.close();
    await this.direct.close();
    await this.tidied;
  }

  private get gone(): string {
    return join(this.options.keeper.folder, GONE_FOLDER);
  }

  private folderOf(key: string): string {
    return join(this.options.keeper.folder, AGENTS_FOLDER, key);
  }

  private async startedAs(mark: string): Promise<Handle | undefined> {
    const found = await this.list().catch(() => []);
    const kept = await this.ended();
    return [...found, ...kept].map(({ handle }) => handle).find((handle) => handle['mark'] === mark);
  }
}

function foundOf(handle: Handle): readonly Found[] {
  const ours = readHandle(handle);
  return ours === undefined ? [] : [{ handle, labels: ours.labels }];
}

/** One agent as this server sees it: its spool read while somebody watches, its end told after all it printed. */
class Thing {
  /** Resolves when its end was told, or nobody wants to know any more. */
  readonly over: Promise<void>;
  private readonly watch = new Watch();
  private readonly observers = new Set<Observer>();
  private reader: SpoolReader | undefined;
  private conclude: (ending: Ending) => void = () => undefined;
  private readonly ending = new Promise<Ending>((resolve) => (this.conclude = resolve));
  private finish: () => void = () => undefined;
  private unhear: () => void = () => undefined;
  private hasBegun = false;
  private isOver = false;
  private seen = true;

  constructor(
    private readonly handle: Handle,
    private readonly folder: string,
    private readonly link: KeeperLink,
    private readonly share: Share,
    private readonly isClosed: () => boolean,
  ) {
    this.over = new Promise((resolve) => (this.finish = resolve));
  }

  attach(observer: Observer): Attachment {
    const attachment = this.watch.attach(observer);
    this.observers.add(observer);
    if (!this.hasBegun) {
      this.hasBegun = true;
      void this.begin(observer);
    } else void this.reader?.read();
    return {
      ended: attachment.ended,
      detach: () => {
        this.observers.delete(observer);
        attachment.detach();
      },
    };
  }

  close(): void {
    this.isOver = true;
    this.unhear();
    this.reader?.stop();
    this.finish();
  }

  private async begin(first: Observer): Promise<void> {
    const kept = await first.resume?.().catch(() => undefined);
    const place = typeof kept === 'number' ? kept : 0;
    const listener: SpoolListener = {
      line: (line) => this.watch.line(line),
      dropped: (bytes) => this.watch.dropped(bytes),
      kept: async () => {
        await Promise.all([...this.observers].map(async (observer) => observer.kept?.()));
      },
    };
    this.reader = new SpoolReader(this.folder, place, listener, this.share);
    this.unhear = this.link.hear(spoolKey(this.handle), (ending) => {
      if (ending !== undefined) this.conclude(ending);
      else if (this.watch.isWatched) void this.reader?.read();
    });
    const unwatch = this.link.watch((seen) => this.sight(seen));
    void this.subscribe();
    const ending = await this.ending;
    unwatch();
    if (this.isOver) return;
    await this.reader.read();
    this.unhear();
    this.isOver = true;
    this.watch.end(ending);
    this.finish();
  }

  private sight(seen: boolean): void {
    if (this.seen === seen || this.isOver) return;
    this.seen = seen;
    this.watch.visible(seen);
  }

  /** Hears from whatever keeper there is, until the end. */
  private async subscribe(): Promise<void> {
    while (!this.isOver && !this.isClosed()) {
      try {
        const { ending } = await this.link.call('watch', { handle: this.handle });
        if (ending !== undefined) return this.conclude(ending);
        this.sight(true);
        if (this.watch.isWatched) void this.reader?.read();
        await this.link.lost();
      } catch (error) {
        if (!(error instanceof KeeperLost)) {
          return this.conclude(lost(reasonOf(error)));
        }
        this.sight(false);
        await new Promise((resolve) => setTimeout(resolve, RETRY).unref());
      }
    }
  }
}
