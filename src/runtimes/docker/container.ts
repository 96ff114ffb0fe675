/**
 * One container that lives, or has ended and was not told of yet. C1: the story ends in this order: it is seen to have
 * ended (by inspecting it; everything else is a hint), its output is read to the end, both are kept where a crash does
 * not reach them, it is removed with its volumes, what it had besides is let go, its ending is told. C2: it waits with
 * that until somebody attached, or asked it to end. C3: an engine that cannot be seen says nothing about it.
 */
import type { IncomingMessage } from 'node:http';
import type { Ending } from '../../domain/exit.ts';
import type { Labels } from '../../domain/launch.ts';
import type { Attachment, Observer, StopReceipt } from '../../ports/runtime.ts';
import { endingOf, LastLines, lost, maskOf, type Mask } from '../ending.ts';
import { DEFAULT_OUTPUT_LIMITS } from '../output-gate.ts';
import { Watch } from '../watch.ts';
import type { ContainerParts } from './container-parts.ts';
import { endingFor, type ContainerState } from './ending.ts';
import { EngineRefusal, isRefusal } from './engine.ts';
import { Grace } from './grace.ts';
import { ContainerOutput } from './output.ts';
import { stopsContainers } from './place.ts';
import { removeContainer } from './remove.ts';
import { resumeFromLogs } from './resume.ts';
import { Unstarted } from './unstarted.ts';
import { REMEMBERED } from './catch-up.ts';
import { within } from './within.ts';

/** A stream that ends while the container lives is looked at after this long: a busy engine says so late. ms */
const SECOND_LOOK = 2_000;
/** Without a byte for this long, the output of a container that has ended is at its end, ms. */
const QUIET = 2_000;
/** An out-of-memory kill may be told of this long after the death, ms. */
const LATE_NEWS = 400;
/** After SIGKILL it has ended within this, or something is wrong, ms. */
const AFTER_KILL = 20_000;
/** The last words of a container that has ended are there within this, or are given up, ms. */
const LAST_WORDS = 20_000;
const SECOND = 1_000;

/** See the top of the file. */
export class Container {
  /** Resolves when it is told, or nobody was there to be told: true when somebody was. */
  readonly concluded: Promise<boolean>;
  private settleConcluded: (told: boolean) => void = () => undefined;
  private readonly watch = new Watch();
  private mask: Mask;
  private lastLines: LastLines;
  private readonly output: ContainerOutput;
  private firstErrorLine: string | undefined;
  private state: ContainerState | 'vanished' | undefined;
  private readonly ended: Promise<void>;
  private settleEnded: () => void = () => undefined;
  private readonly wanted: Promise<void>;
  private settleWanted: () => void = () => undefined;
  private isRemoved = false;
  private looking: Promise<void> | undefined;
  private lookAgain = false;
  private waiting: IncomingMessage | undefined;
  private unwatch: () => void = () => undefined;
  private isUnseen = false;
  /** The engine's streams ended since it was last seen running: it may have been stopped with the engine. */
  private engineWasCut = false;
  private sawOutOfMemory = false;
  private isAbandoned = false;
  /** Of an earlier one it has to be known first what was read of it. */
  private mayRead: boolean;
  private wasAsked = false;
  private readonly unstarted: Unstarted;
  private forsaken: string | undefined;
  private grace: Grace;
  private stopping: Promise<StopReceipt> | undefined;
  private secondLook: NodeJS.Timeout | undefined;

  constructor(private readonly parts: ContainerParts) {
    this.concluded = new Promise((resolve) => (this.settleConcluded = resolve));
    this.ended = new Promise((resolve) => (this.settleEnded = resolve));
    this.wanted = new Promise((resolve) => (this.settleWanted = resolve));
    this.mask = maskOf(parts.secrets);
    this.lastLines = new LastLines(this.mask);
    this.output = new ContainerOutput({
      take: (io, bytes, time, at) => {
        const text = bytes.toString('utf8');
        if (io === 'error') this.firstErrorLine ??= this.mask(text);
        this.lastLines.add(text);
        this.watch.line({ io, text: this.mask(text), time, at });
      },
      dropped: (bytes) => this.watch.dropped(bytes),
      ended: () => this.streamEnded(),
      now: parts.now,
      limits: parts.output ?? DEFAULT_OUTPUT_LIMITS,
    });
    this.unstarted = new Unstarted(parts.engine, parts.id);
    this.grace = new Grace(parts.now);
    this.mayRead = parts.isEarlier !== true;
    void this.story();
  }

  get id(): string {
    return this.parts.id;
  }

  get labels(): Labels {
    return this.parts.labels;
  }

  /** It ended by itself or was ended; it may not have been removed yet. */
  get hasEnded(): boolean {
    return this.state !== undefined;
  }

  /** Reads what was attached before the start. */
  follow(stream: IncomingMessage): void {
    this.output.follow(stream);
  }

  /** It was there before us: learns what of it is kept already, and what must not be shown. Before `attach`; never rejects. */
  async recall(observer: Observer): Promise<void> {
    const [place, newest, secrets] = await Promise.all([
      observer.resume?.().catch(() => undefined),
      observer.newest?.(REMEMBERED).catch(() => undefined),
      observer.secrets?.(),
    ]);
    this.mask = maskOf([...this.parts.secrets, ...(secrets ?? [])]);
    this.lastLines = new LastLines(this.mask);
    // Its last words may have been said before.
    for (const { text } of newest ?? []) this.lastLines.add(text);
    if (typeof place === 'string') this.output.memory.recall(place, newest ?? []);
  }

  /** It is of no use any more: it is ended by force once somebody watches, and `why` is told. */
  forsake(why: string): void {
    this.forsaken = why;
  }

  /** Hears of the engine's events; to be called before the start, so that none is missed. */
  async begin(): Promise<void> {
    this.unwatch = await this.parts.watcher.add(this.parts.id, {
      hint: () => void this.look(),
      outOfMemory: () => (this.sawOutOfMemory = true),
      seen: (seen, cut) => this.engineSeen(seen, cut),
    });
  }

  /** It runs: waits for its end. */
  async started(): Promise<void> {
    try {
      const stream = await this.parts.engine.stream({ method: 'POST', path: `/containers/${this.id}/wait` });
      if (this.hasEnded || this.isAbandoned) {
        stream.destroy();
        return;
      }
      this.waiting = stream;
      stream.resume();
      // With an answer or without: what it means is looked at.
      stream.once('close', () => {
        if (this.waiting === stream) this.waiting = undefined;
        void this.look();
      });
    } catch {
      void this.look();
    }
  }

  attach(observer: Observer): Attachment {
    const attachment = this.watch.attach(observer);
    this.mayRead = true;
    this.settleWanted();
    // Not before the caller has its attachment: what was held would come in the middle of its own statement.
    queueMicrotask(() => this.output.open());
    if (this.forsaken !== undefined) void this.stop(0);
    return attachment;
  }

  /** A second request joins the first; the shorter grace counts. */
  stop(graceMs: number): Promise<StopReceipt> {
    this.wasAsked = true;
    this.grace.shorten(graceMs);
    this.stopping ??= this.terminate().finally(() => {
      this.stopping = undefined;
      this.grace = new Grace(this.parts.now);
    });
    return this.stopping;
  }

  /** The launch came to nothing: nobody is to be told. Resolves when it is removed; rejects when it cannot be. */
  async discard(): Promise<void> {
    this.abandon();
    await removeContainer(this.parts.engine, this.id);
    await this.parts.release();
  }

  /** Lets go of it without ending it. */
  abandon(): void {
    this.isAbandoned = true;
    clearTimeout(this.secondLook);
    this.unwatch();
    this.output.abandon();
    this.waiting?.destroy();
  }

  /** Inspects it: the only way it is known to have ended. One look at a time; what was asked meanwhile looks again. */
  look(): Promise<void> {
    if (this.hasEnded || this.isAbandoned) return Promise.resolve();
    if (this.looking !== undefined) {
      this.lookAgain = true;
      return this.looking;
    }
    this.looking = this.inspect().finally(() => {
      this.looking = undefined;
      if (this.lookAgain) {
        this.lookAgain = false;
        void this.look();
      }
    });
    return this.looking;
  }

  private async inspect(): Promise<void> {
    const { engine, watcher, id } = this.parts;
    try {
      const { State: state } = await engine.json<{ State: ContainerState }>({
        path: `/containers/${id}/json`,
      });
      if (this.isAbandoned) return;
      const isUnstarted = state.Status === 'created' && this.parts.isEarlier === true;
      if (isUnstarted && !this.wasAsked && !this.unstarted.wasTried) {
        this.lookAgain = await this.unstarted.start();
      } else if (state.Status === 'exited' || state.Status === 'dead' || isUnstarted) {
        this.state = state;
        this.settleEnded();
      } else if (state.Status === 'running' || state.Status === 'paused') {
        this.engineWasCut = false;
        if (this.waiting === undefined) await this.started();
        if (!this.output.isFlowing && this.mayRead) await this.resume();
      }
    } catch (error) {
      if (isRefusal(error, 404)) {
        this.state = 'vanished';
        this.settleEnded();
      } else if (!(error instanceof EngineRefusal)) watcher.doubt(); // C3
    }
  }

  /** Goes on in the logs after the stream was cut. */
  private async resume(follow = true): Promise<void> {
    await resumeFromLogs(this.parts.engine, this.id, this.output, { follow, mask: this.mask });
    if (this.isAbandoned) this.output.abandon();
  }

  private streamEnded(): void {
    if (this.hasEnded || this.isAbandoned) return;
    // The container's end, as a rule, which the wait tells at once. If nothing does, the stream was cut.
    clearTimeout(this.secondLook);
    this.secondLook = setTimeout(() => void this.look(), SECOND_LOOK);
  }

  private engineSeen(seen: boolean, cut: boolean): void {
    if (this.hasEnded) return;
    if (cut) this.engineWasCut = true;
    if (this.isUnseen === !seen) return;
    this.isUnseen = !seen;
    this.watch.visible(seen);
  }

  private async story(): Promise<void> {
    await this.ended;
    clearTimeout(this.secondLook);
    this.waiting?.destroy();
    await this.wanted; // C2
    this.output.open();
    const { id, labels, kept } = this.parts;
    const ending = endingOf(await this.endingNow(), this.lastLines.read());
    if (this.isUnseen) this.watch.visible(true);
    await this.watch.kept();
    await kept.keep(id, { labels, ending });
    await this.parts.endings.run(() => this.remove());
    await this.parts.release();
    this.unwatch();
    const told = this.watch.isWatched;
    this.watch.end(ending);
    this.settleConcluded(told);
  }

  private async endingNow(): Promise<Ending> {
    const { engine, watcher, id, program, memory, now } = this.parts;
    if (this.state === 'vanished' || this.state === undefined) {
      await this.output.finish();
      return lost('The container was removed by somebody else; nobody saw how it ended.');
    }
    let state = this.state;
    if (state.Status === 'created') return this.unstarted.ending;
    const wasCut = this.engineWasCut || watcher.isEngineAway;
    const engineStoppedIt = wasCut && !this.wasAsked && (await stopsContainers(engine));
    // Its stream may have been cut before its last words, or never begun.
    if ((wasCut || this.parts.isEarlier === true) && !this.output.isFlowing)
      await within(
        this.resume(false).catch(() => undefined),
        LAST_WORDS,
      );
    await this.output.drained(QUIET);
    await this.output.finish();
    if (this.forsaken !== undefined) return lost(this.forsaken);
    if (state.ExitCode === 137 && !this.wasAsked && state.OOMKilled !== true && !this.sawOutOfMemory) {
      await new Promise((resolve) => setTimeout(resolve, LATE_NEWS));
      const again = await engine
        .json<{ State: ContainerState }>({ path: `/containers/${id}/json` })
        .catch(() => undefined);
      if (again !== undefined) state = again.State;
    }
    return endingFor(state, {
      sawOutOfMemory: this.sawOutOfMemory,
      wasAsked: this.wasAsked,
      engineStoppedIt,
      firstErrorLine: this.firstErrorLine,
      program,
      memory,
      now: now(),
    });
  }

  /** Removes it and says so. When that fails now, a later `stop` or the sweep does it. */
  private async remove(): Promise<void> {
    if (this.isRemoved) return;
    try {
      if (this.state !== 'vanished') await removeContainer(this.parts.engine, this.id);
      this.isRemoved = true;
      this.watch.noted({ type: 'docker_container_removed', containerId: this.id });
    } catch {
      // Left to the sweep.
    }
  }

  private async terminate(): Promise<StopReceipt> {
    const { engine, watcher, endings, id } = this.parts;
    this.settleWanted();
    try {
      if (!this.hasEnded) {
        if (!this.grace.isOver) await this.signal('SIGTERM');
        await this.grace.wait(this.ended);
        if (!this.hasEnded) {
          await endings.run(async () => {
            await this.signal('SIGKILL');
            await within(this.ended, AFTER_KILL, () => void this.look());
          });
        }
        if (!this.hasEnded)
          return { gone: false, left: [`container ${id.slice(0, 12)}, which SIGKILL did not end`] };
      }
      // With its network and files, in its turn. Each step has its end: only who is away is not waited for.
      while (!(await within(this.concluded, SECOND))) {
        if (!watcher.isEngineAway) continue;
        const what = `container ${id.slice(0, 12)}, which has ended and is not removed yet`;
        return { gone: false, left: [what] };
      }
      if (!this.isRemoved) {
        await removeContainer(engine, id);
        this.isRemoved = true;
      }
      return { gone: true, left: [] };
    } catch (error) {
      watcher.doubt();
      return { gone: false, left: [`container ${id.slice(0, 12)} (${(error as Error).message})`] };
    }
  }

  private async signal(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    try {
      await this.parts.engine.text({
        method: 'POST',
        path: `/containers/${this.id}/kill`,
        query: { signal },
      });
    } catch (error) {
      // Gone, or not running any more: that is what was wanted. Podman says so with 500.
      if (!(error instanceof EngineRefusal)) throw error;
      await this.look();
      if (!this.hasEnded && signal === 'SIGKILL') throw error;
    }
  }
}
