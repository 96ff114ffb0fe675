/**
 * Agents that are nothing but a script: they run for a time, print, fail, ignore, vanish as their definition says, on
 * the host's clock and without a process. The demo, the load generator and the test double; thousands cost little.
 */
import type { ScriptedRuntime as Script } from '../../domain/definition.ts';
import type { Ending } from '../../domain/exit.ts';
import type { Labels, LaunchSpec } from '../../domain/launch.ts';
import type { Host } from '../../ports/host.ts';
import { LaunchFailure } from '../../ports/runtime.ts';
import type { Attachment, Found, Handle, Observer, Runtime, StopReceipt } from '../../ports/runtime.ts';
import { endedBySignal, endingOf, exitedWith, LastLines, lost, maskOf, type Mask } from '../ending.ts';
import { markOf } from '../mark.ts';
import { Unclaimed, Watch } from '../watch.ts';

/** What scripted agents live by: the clock alone. */
export interface ScriptedRuntimeOptions {
  readonly host: Pick<Host, 'now' | 'at'>;
}

/** A runtime whose agents follow their scripts. They end with the server. */
export function scriptedRuntime(options: ScriptedRuntimeOptions): Runtime {
  return new ScriptedRuntime(options.host);
}

const GONE: StopReceipt = { gone: true, left: [] };

class ScriptedRuntime implements Runtime {
  readonly kind = 'scripted';
  private readonly actors = new Map<string, Actor>();
  private readonly unclaimed = new Unclaimed<Actor>();
  private launches = 0;

  constructor(private readonly host: Pick<Host, 'now' | 'at'>) {}

  async unavailable(): Promise<undefined> {
    return undefined;
  }

  async launch(spec: LaunchSpec, signal: AbortSignal): Promise<Handle> {
    const { how, labels } = spec;
    if (how.kind !== 'scripted') throw new LaunchFailure(`A ${how.kind} agent is no script.`);
    if (signal.aborted) throw new LaunchFailure('The launch was given up before it began.');
    if (how.startDelay > 0) await this.pause(how.startDelay, signal);
    if (how.failToStart !== undefined) throw new LaunchFailure(how.failToStart);
    this.launches += 1;
    const id = `${markOf(labels)}#${this.launches}`;
    const actor = new Actor(this.host, labels, how, maskOf(spec.secrets), (told) => {
      this.actors.delete(id);
      if (!told) this.unclaimed.keep(id, actor);
    });
    this.actors.set(id, actor);
    return { runtime: 'scripted', id };
  }

  attach(handle: Handle, observer: Observer): Attachment {
    const actor = this.actors.get(handle.id) ?? this.unclaimed.claim(handle.id);
    if (actor) return actor.attach(observer);
    const nobody = new Watch();
    nobody.end(lost('A scripted agent lives only as long as the server that started it.'));
    return nobody.attach(observer);
  }

  async stop(handle: Handle, graceMs: number): Promise<StopReceipt> {
    await this.actors.get(handle.id)?.stop(graceMs);
    return GONE;
  }

  async list(): Promise<readonly Found[]> {
    return [...this.actors].map(([id, { labels }]) => ({ handle: { runtime: 'scripted', id }, labels }));
  }

  addressOf(port: number): string {
    return `127.0.0.1:${port}`;
  }

  async close(): Promise<void> {
    for (const actor of this.actors.values()) actor.forget();
    this.actors.clear();
    this.unclaimed.clear();
  }

  private pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        cancel();
        reject(new LaunchFailure('The launch was given up while the agent was starting.'));
      };
      const cancel = this.host.at(this.host.now() + ms, () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      });
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }
}

/** Lines printed before other work gets a turn. */
const TURN = 2_000;
const FLOOD_WIDTH = 80;

/**
 * One scripted agent. It prints when somebody attaches first, since nobody could have heard it before; an end that
 * comes while it is still printing is told afterwards.
 */
class Actor {
  private readonly watch = new Watch();
  private readonly cancelEnd: (() => void) | undefined;
  private ending: Ending | undefined;
  /** Lines printed so far; nothing until somebody attached. */
  private printed: number | undefined;
  private stopping: Stopping | undefined;

  constructor(
    private readonly host: Pick<Host, 'now' | 'at'>,
    readonly labels: Labels,
    private readonly script: Script,
    private readonly mask: Mask,
    private readonly gone: (told: boolean) => void,
  ) {
    const { runFor, vanishAfter } = script;
    const vanishes = vanishAfter !== undefined && vanishAfter < (runFor ?? Infinity);
    const after = vanishes ? vanishAfter : runFor;
    if (after !== undefined) {
      this.cancelEnd = host.at(host.now() + after, () => this.end(vanishes ? vanished() : this.finished()));
    }
  }

  attach(observer: Observer): Attachment {
    const attachment = this.watch.attach(observer);
    if (this.printed === undefined) {
      this.printed = 0;
      queueMicrotask(() => this.print());
    }
    return attachment;
  }

  stop(graceMs: number): Promise<void> {
    if (this.ending) return Promise.resolve();
    if (graceMs === 0) this.end(endedBySignal('SIGKILL', this.host.now()));
    else if (!this.script.ignoreStop) this.end(endedBySignal('SIGTERM', this.host.now()));
    if (this.ending) return Promise.resolve();

    this.stopping ??= new Stopping();
    const kill = (): void => this.end(endedBySignal('SIGKILL', this.host.now()));
    this.stopping.notAfter(this.host.now() + graceMs, this.host, kill);
    return this.stopping.done;
  }

  /** The runtime closes: nothing more happens. */
  forget(): void {
    this.cancelEnd?.();
    this.stopping?.over();
  }

  private finished(): Ending {
    const { signal, exitCode } = this.script;
    return signal === undefined
      ? exitedWith(exitCode, this.host.now())
      : endedBySignal(signal, this.host.now());
  }

  private end(ending: Ending): void {
    if (this.ending) return;
    this.ending = ending;
    this.forget();
    this.gone(this.watch.isWatched);
    this.tellWhenPrinted();
  }

  private get lines(): number {
    return this.script.output.length + this.script.flood;
  }

  private lineAt(index: number): string {
    const { output } = this.script;
    if (index < output.length) return output[index]!;
    return `flood ${index - output.length + 1} `.padEnd(FLOOD_WIDTH, '~');
  }

  private print(): void {
    const time = this.host.now();
    const until = Math.min(this.lines, this.printed! + TURN);
    for (; this.printed! < until; this.printed! += 1) {
      this.watch.line({ io: 'out', text: this.mask(this.lineAt(this.printed!)), time });
    }
    if (this.printed! < this.lines) setImmediate(() => this.print());
    else this.tellWhenPrinted();
  }

  private tellWhenPrinted(): void {
    if (!this.ending || this.printed === undefined || this.printed < this.lines) return;
    const lastLines = new LastLines(this.mask);
    for (let i = Math.max(0, this.lines - 20); i < this.lines; i += 1) lastLines.add(this.lineAt(i));
    this.watch.end(endingOf(this.ending, lastLines.read()));
  }
}

/** A request to end that is being ignored, until its time is up. */
class Stopping {
  readonly done: Promise<void>;
  private settleDone: () => void = () => undefined;
  private due = Infinity;
  private cancelKill: () => void = () => undefined;

  constructor() {
    this.done = new Promise((resolve) => (this.settleDone = resolve));
  }

  notAfter(time: number, host: Pick<Host, 'at'>, kill: () => void): void {
    if (time >= this.due) return;
    this.due = time;
    this.cancelKill();
    this.cancelKill = host.at(time, kill);
  }

  over(): void {
    this.cancelKill();
    this.settleDone();
  }
}

function vanished(): Ending {
  return lost('It vanished, as its script says; nobody saw how.');
}
