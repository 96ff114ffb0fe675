/**
 * Agents that somebody starts by hand, under a debugger for instance: nothing is launched; the environment the agent
 * would have got is told in one output line that is sensitive, and from then on the agent counts as running until it
 * is asked to stop. `withManual` puts this in front of a runtime, so that options, addresses and CORAL_* are the very
 * ones of that runtime. Source: docs/wire.md, "Agents started by hand".
 */
import type { Ending } from '../domain/exit.ts';
import type { AgentPlan } from '../domain/graph.ts';
import type { Labels, LaunchSpec } from '../domain/launch.ts';
import { LaunchFailure } from '../ports/runtime.ts';
import type { Attachment, Found, Handle, Observer, Runtime, StopReceipt } from '../ports/runtime.ts';
import { endedBySignal, lost } from './ending.ts';
import { markOf } from './mark.ts';
import { OptionFiles } from './option-files.ts';
import { Unclaimed, Watch } from './watch.ts';

/** How the output line begins; the rest is the JSON text of a `ManualStart`. */
export const MANUAL_LINE = 'Start this agent by hand: ';

/** What it takes to start the agent. */
export interface ManualStart {
  /** Options and CORAL_*; nothing is inherited. Option files lie where it says until the agent is stopped. */
  readonly environment: Readonly<Record<string, string>>;
  /** Its working directory. */
  readonly folder: string;
  /** Program and arguments, where the definition names them. */
  readonly command?: readonly string[];
}

/** What the wrapper works with. */
export interface ManualOptions {
  /** Wall-clock ms. */
  readonly now: () => number;
  /** Where option files are written; this server's alone. Absolute. */
  readonly optionFolder: string;
}

/** The runtime, but for agents whose plan says `manual`. */
export function withManual(inner: Runtime, options: ManualOptions): Runtime {
  return new ManualRuntime(inner, options);
}

const GONE: StopReceipt = { gone: true, left: [] };

interface Held {
  readonly labels: Labels;
  readonly watch: Watch;
  /** Told to the first who watches. */
  line: string | undefined;
}

class ManualRuntime implements Runtime {
  private readonly held = new Map<string, Held>();
  private readonly unclaimed = new Unclaimed<Held>();
  private readonly files: OptionFiles;

  constructor(
    private readonly inner: Runtime,
    private readonly options: ManualOptions,
  ) {
    this.files = new OptionFiles(options.optionFolder);
  }

  get keepsAddress(): boolean {
    return this.inner.keepsAddress ?? false;
  }

  get kind(): Runtime['kind'] {
    return this.inner.kind;
  }

  unavailable(): Promise<string | undefined> {
    return this.inner.unavailable();
  }

  async refuses(plan: AgentPlan): Promise<readonly string[]> {
    return (await this.inner.refuses?.(plan)) ?? [];
  }

  async launch(spec: LaunchSpec, signal: AbortSignal, observer: Observer): Promise<Handle> {
    if (spec.how.manual !== true) return this.inner.launch(spec, signal, observer);
    if (signal.aborted) throw new LaunchFailure('The launch was given up.');
    const variables = await this.files.write(spec.labels, spec.files);
    const start: ManualStart = {
      environment: { ...spec.environment, ...variables },
      folder: spec.folder,
      ...(spec.how.kind === 'executable' && { command: [spec.how.path, ...spec.how.arguments] }),
    };
    const id = `manual:${markOf(spec.labels)}`;
    this.held.set(id, {
      labels: spec.labels,
      watch: new Watch(),
      line: MANUAL_LINE + JSON.stringify(start),
    });
    return { runtime: this.kind, id, manual: true };
  }

  attach(handle: Handle, observer: Observer): Attachment {
    if (handle['manual'] !== true) return this.inner.attach(handle, observer);
    const held = this.held.get(handle.id) ?? this.unclaimed.claim(handle.id);
    if (held === undefined) {
      const ended: Promise<Ending> = Promise.resolve(
        lost('It was started by hand and the server has restarted since.'),
      );
      return { ended, detach: () => undefined };
    }
    const attachment = held.watch.attach(observer);
    if (held.line !== undefined) {
      const line = { io: 'out', text: held.line, time: this.options.now(), sensitive: true } as const;
      held.line = undefined;
      held.watch.line(line);
    }
    return attachment;
  }

  async stop(handle: Handle, graceMs: number): Promise<StopReceipt> {
    if (handle['manual'] !== true) return this.inner.stop(handle, graceMs);
    const held = this.held.get(handle.id);
    if (held === undefined) return GONE;
    this.held.delete(handle.id);
    await this.files.remove(held.labels);
    if (!held.watch.isWatched) this.unclaimed.keep(handle.id, held);
    held.watch.end(endedBySignal('SIGTERM', this.options.now()));
    return GONE;
  }

  async list(): Promise<readonly Found[]> {
    const own = [...this.held].map(([id, { labels }]) => ({
      handle: { runtime: this.kind, id, manual: true },
      labels,
    }));
    return [...(await this.inner.list()), ...own];
  }

  async ended(): Promise<readonly Found[]> {
    return (await this.inner.ended?.()) ?? [];
  }

  async release(handle: Handle): Promise<void> {
    if (handle['manual'] !== true) await this.inner.release?.(handle);
  }

  addressOf(port: number): string {
    return this.inner.addressOf(port);
  }

  async close(): Promise<void> {
    await this.files.sweep([]);
    await this.inner.close();
  }
}
