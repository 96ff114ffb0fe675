/**
 * Runs agents as functions inside the server: the built-in ones, and others whose authors the operator trusts like
 * the server itself. A function cannot be ended by force and is not walled off: what it throws outside of the promise
 * it returned, the whole server throws. Otherwise it is an agent like any other and talks over MCP.
 */
import { join } from 'node:path';
import type { Ending } from '../../domain/exit.ts';
import type { Labels, LaunchSpec } from '../../domain/launch.ts';
import { LaunchFailure } from '../../ports/runtime.ts';
import type { Attachment, Found, Handle, Line, Observer, Runtime, StopReceipt } from '../../ports/runtime.ts';
import { endingOf, exitedWith, LastLines, lost, maskOf, type Mask } from '../ending.ts';
import { markOf } from '../mark.ts';
import { OptionFiles } from '../option-files.ts';
import { Unclaimed, Watch } from '../watch.ts';
import { loadFunction } from './load.ts';
import type { AgentFunction } from './load.ts';

/** What the function runtime needs to know of its server. */
export interface FunctionRuntimeOptions {
  /** The server's instance id. */
  readonly instance: string;
  /** Wall-clock ms. */
  readonly now: () => number;
  /** Where option files are written, in a folder named after the instance. Absolute. */
  readonly temporaryFolder: string;
  /** The host under which agents reach the server. Default: `127.0.0.1`. */
  readonly address?: string;
}

/** A runtime for functions inside this process. They end with it. */
export function functionRuntime(options: FunctionRuntimeOptions): Runtime {
  return new FunctionRuntime(options);
}

const GONE: StopReceipt = { gone: true, left: [] };

class FunctionRuntime implements Runtime {
  readonly kind = 'function';
  private readonly calls = new Map<string, Call>();
  private readonly unclaimed = new Unclaimed<Call>();
  private readonly files: OptionFiles;
  private launches = 0;

  constructor(private readonly options: FunctionRuntimeOptions) {
    this.files = new OptionFiles(join(options.temporaryFolder, `coral-function-options-${options.instance}`));
  }

  async unavailable(): Promise<undefined> {
    return undefined;
  }

  async launch(spec: LaunchSpec, signal: AbortSignal): Promise<Handle> {
    const { how, labels } = spec;
    if (how.kind !== 'function') throw new LaunchFailure(`A ${how.kind} agent is no function.`);
    const agent = await loadFunction(how, spec.folder);
    if (signal.aborted) throw new LaunchFailure('The launch was given up before the function was called.');
    const paths = await this.files.write(labels, spec.files).catch((error: unknown) => {
      throw new LaunchFailure(`The agent's option files could not be written: ${textOf(error)}`, true, {
        cause: error,
      });
    });
    if (signal.aborted) {
      await this.files.remove(labels);
      throw new LaunchFailure('The launch was given up before the function was called.');
    }
    this.launches += 1;
    const id = `${markOf(labels)}#${this.launches}`;
    const call = new Call(spec, this.options.now);
    this.calls.set(id, call);
    void call.over.then(async (told) => {
      this.calls.delete(id);
      if (!told) this.unclaimed.keep(id, call);
      await this.files.remove(labels);
    });
    call.begin(agent, { ...spec.environment, ...paths });
    return { runtime: 'function', id };
  }

  attach(handle: Handle, observer: Observer): Attachment {
    const call = this.calls.get(handle.id) ?? this.unclaimed.claim(handle.id);
    if (call) return call.attach(observer);
    const nobody = new Watch();
    nobody.end(lost('A function agent lives only as long as the server that called it.'));
    return nobody.attach(observer);
  }

  async stop(handle: Handle, graceMs: number): Promise<StopReceipt> {
    return (await this.calls.get(handle.id)?.stop(graceMs)) ?? GONE;
  }

  async list(): Promise<readonly Found[]> {
    await this.files.sweep([...this.calls.values()].map(({ labels }) => labels));
    return [...this.calls].map(([id, { labels }]) => ({ handle: { runtime: 'function', id }, labels }));
  }

  addressOf(port: number): string {
    return `${this.options.address ?? '127.0.0.1'}:${port}`;
  }

  /** Asks what still runs to end, and does not wait: nothing of it outlives the process anyway. */
  async close(): Promise<void> {
    for (const call of this.calls.values()) call.abandon();
    this.calls.clear();
    this.unclaimed.clear();
  }
}

/** Lines kept for the first who attaches; what a function prints in the turns before that. */
const MAX_EARLY = 1_000;

/** One call of a function. It is over when the function has returned, or was given up. */
class Call {
  /** Resolves when it is over: true when somebody was told. */
  readonly over: Promise<boolean>;
  readonly labels: Labels;
  private readonly watch = new Watch();
  private readonly abort = new AbortController();
  private readonly mask: Mask;
  private readonly lastLines: LastLines;
  private announceOver: (told: boolean) => void = () => undefined;
  /** Lines from before anybody attached; nothing afterwards. */
  private early: Line[] | undefined = [];
  private ending: Ending | undefined;
  private stopping:
    { readonly done: Promise<StopReceipt>; readonly hurry: (graceMs: number) => void } | undefined;

  constructor(
    spec: LaunchSpec,
    private readonly now: () => number,
  ) {
    this.labels = spec.labels;
    this.mask = maskOf(spec.secrets);
    this.lastLines = new LastLines(this.mask);
    this.over = new Promise((resolve) => (this.announceOver = resolve));
  }

  /** Calls the function in a later turn, so that who launched it hears of the launch first. */
  begin(agent: AgentFunction, environment: Readonly<Record<string, string>>): void {
    setImmediate(() => {
      const { signal } = this.abort;
      const log = (text: string, how: { io?: Line['io']; sensitive?: boolean } = {}): void =>
        this.print(text, how.io ?? 'out', how.sensitive ?? false);
      void (async () => {
        await agent({ environment, signal, log });
      })().then(
        () => this.end(exitedWith(0, this.now())),
        (error: unknown) => this.fail(error),
      );
    });
  }

  attach(observer: Observer): Attachment {
    const attachment = this.watch.attach(observer);
    queueMicrotask(() => {
      const early = this.early;
      this.early = undefined;
      for (const line of early ?? []) this.watch.line(line);
      this.tell();
    });
    return attachment;
  }

  /** A second request joins the first; the shorter grace counts. */
  stop(graceMs: number): Promise<StopReceipt> {
    if (this.ending) return Promise.resolve(GONE);
    this.abort.abort();
    this.stopping ??= this.waitForReturn();
    this.stopping.hurry(graceMs);
    return this.stopping.done;
  }

  abandon(): void {
    this.abort.abort();
  }

  private waitForReturn(): { done: Promise<StopReceipt>; hurry: (graceMs: number) => void } {
    let timer: NodeJS.Timeout | undefined;
    let due = Infinity;
    let giveUp: () => void = () => undefined;
    const done = new Promise<StopReceipt>((resolve) => {
      void this.over.then(() => {
        clearTimeout(timer);
        resolve(GONE);
      });
      giveUp = () => {
        const left = `the function of agent "${this.labels.agent}", which did not return when it was asked to end`;
        resolve({ gone: false, left: [left] });
        this.end(
          lost(`It did not return when it was asked to end, and a function cannot be ended by force.`),
        );
      };
    });
    const hurry = (graceMs: number): void => {
      const time = performance.now() + graceMs;
      if (time >= due) return;
      due = time;
      clearTimeout(timer);
      // A function that returns as soon as it hears of the request gets the turn it needs for that.
      timer = setTimeout(() => setImmediate(giveUp), Math.min(graceMs, 0x7fff_ffff));
    };
    return { done, hurry };
  }

  private fail(error: unknown): void {
    // An agent that ends by throwing the abort it was sent has done as it was asked.
    if (this.abort.signal.aborted && isAbort(error)) return this.end(exitedWith(0, this.now()));
    this.print(textOf(error), 'error', false);
    this.end(exitedWith(1, this.now()));
  }

  private print(text: string, io: Line['io'], sensitive: boolean): void {
    if (this.ending) return;
    for (const one of text.replace(/\n$/, '').split('\n')) {
      // Sensitive lines are for those who ask for them, as they are; the rest is shown to everybody.
      const shown = sensitive ? one : this.mask(one);
      const line: Line = { io, text: shown, time: this.now(), ...(sensitive && { sensitive: true }) };
      if (!sensitive) this.lastLines.add(one);
      if (!this.early) this.watch.line(line);
      else if (this.early.length < MAX_EARLY) this.early.push(line);
    }
  }

  private end(ending: Ending): void {
    if (this.ending) return;
    this.ending = endingOf(ending, this.lastLines.read());
    this.announceOver(this.watch.isWatched);
    this.tell();
  }

  private tell(): void {
    if (this.ending && !this.early) this.watch.end(this.ending);
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
