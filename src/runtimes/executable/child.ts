/**
 * One attempt that this server started and still hears of. C1: the story ends in this order: the leader exits, the
 * rest of its processes are ended, the pipes are read to their end, the option files are removed, the ending is
 * told. C2: it waits with the telling until somebody attached.
 */
import type { ChildProcessByStdio } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import type { Ending } from '../../domain/exit.ts';
import type { LaunchSpec } from '../../domain/launch.ts';
import type { Attachment, Observer, StopReceipt } from '../../ports/runtime.ts';
import { endedBySignal, endingOf, exitedWith, LastLines, maskOf, type Mask } from '../ending.ts';
import { Watch } from '../watch.ts';
import { GroupEnd } from './group-end.ts';
import type { Target } from './group-end.ts';
import { OutputGate } from '../output-gate.ts';
import type { OutputLimits } from '../output-gate.ts';
import type { ProcessTable } from './process-table.ts';
import { Pump } from './pump.ts';

/** A child with nothing to read and both outputs piped. */
export type ChildHandle = ChildProcessByStdio<null, Readable, Readable>;

/** What a child needs of its runtime. */
export interface ChildContext {
  readonly table: ProcessTable;
  readonly now: () => number;
  readonly output: OutputLimits;
  /** Between SIGTERM and SIGKILL for what an agent that ended by itself left running, ms. */
  readonly leftoverGraceMs: number;
  /** Whether the kernel ended a process for want of memory that was just killed by nobody we know, and of whose memory. */
  readonly outOfMemory: () => 'limit' | 'machine' | undefined;
  /** Removes what the attempt had besides processes. */
  readonly cleanUp: () => Promise<void>;
}

/** Without a byte for this long, pipes that somebody still holds open are given up, ms. */
const QUIET = 250;
const DETAIL = {
  limit:
    'The kernel killed it because it used up its memory; give it more (runtimes.executable.resources.memory), or less to do.',
  machine: 'The kernel killed it because memory ran out; give the machine more, or the agent less to do.',
} as const;
/** Pipes held open by what cannot be found are read this long at most, ms. */
const LONGEST_DRAIN = 5_000;

/** One attempt, from its start to the telling of its end (C1, C2). Made in the turn in which it was started. */
export class Child {
  /** Resolves when nothing of it is left but what it said. */
  readonly gone: Promise<void>;
  /** Resolves when the ending is settled: true when somebody was told (C1). */
  readonly concluded: Promise<boolean>;
  readonly target: Target;
  private readonly watch = new Watch();
  private readonly mask: Mask;
  private readonly lastLines: LastLines;
  private readonly gate: OutputGate;
  private readonly pumps: readonly Pump[];
  private readonly attached: Promise<void>;
  private announceAttached: () => void = () => undefined;
  private end: GroupEnd | undefined;
  private wasAsked = false;

  constructor(
    private readonly process: ChildHandle,
    spec: LaunchSpec,
    identity: Omit<Target, 'exited'>,
    private readonly context: ChildContext,
  ) {
    this.mask = maskOf(spec.secrets);
    this.lastLines = new LastLines(this.mask);
    const dropped = (bytes: number): void => this.watch.dropped(bytes);
    this.gate = new OutputGate(
      context.output,
      context.now,
      (io, bytes, time) => {
        const text = bytes.toString('utf8');
        this.lastLines.add(text);
        this.watch.line({ io, text: this.mask(text), time });
      },
      (_io, bytes) => dropped(bytes.length + 1),
    );
    const { now } = context;
    this.pumps = [
      new Pump(process.stdout, 'out', this.gate, dropped, now),
      new Pump(process.stderr, 'error', this.gate, dropped, now),
    ];
    this.attached = new Promise((resolve) => (this.announceAttached = resolve));
    const exited = new Promise<Ending>((resolve) => {
      process.once('exit', (code, signal) => resolve(this.endingFor(code, signal)));
    });
    this.target = { ...identity, exited };
    this.gone = exited.then(() => this.endTheRest());
    this.concluded = Promise.all([exited, this.gone]).then(([ending]) => this.conclude(ending));
  }

  attach(observer: Observer): Attachment {
    const attachment = this.watch.attach(observer);
    this.announceAttached();
    // Not before the caller has its attachment: what was held would come in the middle of its own statement.
    queueMicrotask(() => this.pumps.forEach((pump) => pump.open()));
    return attachment;
  }

  /** A second request joins the first; the shorter grace counts. */
  async stop(graceMs: number): Promise<StopReceipt> {
    this.wasAsked = true;
    if (this.end) this.end.hurry(graceMs);
    return this.endGroup(graceMs);
  }

  get isWatched(): boolean {
    return this.watch.isWatched;
  }

  /** The server goes: the process lives on, unheard. */
  abandon(): void {
    for (const pump of this.pumps) pump.giveUp();
    this.gate.clear();
    this.process.unref();
  }

  private async endGroup(graceMs: number): Promise<StopReceipt> {
    const end = (this.end ??= new GroupEnd(this.target, this.context.table, graceMs));
    const receipt = await end.done;
    // What was left may be gone the next time somebody asks.
    if (!receipt.gone && this.end === end) this.end = undefined;
    return receipt;
  }

  private async endTheRest(): Promise<void> {
    await this.endGroup(this.context.leftoverGraceMs);
    await this.context.cleanUp();
  }

  private async conclude(ending: Ending): Promise<boolean> {
    await this.attached;
    await this.drained();
    await this.gate.finish();
    const told = this.watch.isWatched;
    this.watch.end(endingOf(ending, this.lastLines.read()));
    return told;
  }

  private async drained(): Promise<void> {
    let open = true;
    const closed = Promise.all(this.pumps.map((pump) => pump.closed)).then(() => {
      open = false;
    });
    const quietLooks = Math.ceil(LONGEST_DRAIN / QUIET);
    for (let look = 0, seen = -1; open && look < quietLooks; look += 1) {
      await Promise.race([closed, afterQuiet()]);
      const received = this.pumps.reduce((sum, pump) => sum + pump.received, 0);
      if (received === seen) break;
      seen = received;
    }
    if (open) for (const pump of this.pumps) pump.giveUp();
    await closed;
  }

  private endingFor(code: number | null, signal: NodeJS.Signals | null): Ending {
    const time = this.context.now();
    // A shell tells of a child that was killed by a code.
    const isKilled = signal === 'SIGKILL' || code === 128 + constants.signals.SIGKILL;
    const whose = isKilled && !this.wasAsked ? this.context.outOfMemory() : undefined;
    if (whose === 'limit' || (whose === 'machine' && signal !== null))
      return { kind: 'out_of_memory', signal: 'SIGKILL', detail: DETAIL[whose], time };
    return signal === null ? exitedWith(code ?? 0, time) : endedBySignal(signal, time);
  }
}

/** A pause that also lets the event loop read what had come by its end: a busy machine is not a quiet pipe. */
function afterQuiet(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(() => setImmediate(() => setImmediate(resolve)), QUIET);
  });
}
