/**
 * What outlives the servers of a story: the clock, the disk, the agents that run and how those ended that nobody took
 * note of, and who is told of it over webhooks. Nothing here knows what a session is.
 */
import type { Ending } from '../../src/domain/exit.ts';
import type { Labels, LaunchSpec } from '../../src/domain/launch.ts';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import { openMemoryVault } from '../../src/journal/vault-memory.ts';
import { openMemoryOutput } from '../../src/output/memory.ts';
import { JournalError } from '../../src/ports/journal.ts';
import { LaunchFailure } from '../../src/ports/runtime.ts';
import type { Handle, Observer, StopReceipt } from '../../src/ports/runtime.ts';
import { markOf } from '../../src/runtimes/mark.ts';
import type { Report } from '../adversarial/history.ts';
import { HandHost } from '../support/engine-world.ts';

/** How an agent takes it when it is told to end. */
export type Manner = 'leaves' | 'ignores' | 'sticks';

/** How a launch goes. */
export type Launching = 'at once' | 'slowly' | 'not at all';

/** How long a slow launch takes, and how long nothing ends what sticks, ms. */
const SLOW = 70;
const STUCK = 3_000;

/** An agent that runs or ran. */
export class Thing {
  ending: Ending | undefined;
  isSeen = true;
  readonly watchers = new Set<Observer>();
  readonly ended: Promise<Ending>;
  private tell: (ending: Ending) => void = () => undefined;

  get secret(): string {
    return this.environment['CORAL_AGENT_SECRET'] ?? '';
  }

  constructor(
    readonly handle: Handle,
    readonly labels: Labels,
    readonly environment: LaunchSpec['environment'],
    readonly manner: Manner,
    readonly since: number,
  ) {
    this.ended = new Promise((resolve) => (this.tell = resolve));
  }

  /** Nobody is told while it cannot be seen. */
  end(ending: Ending): void {
    if (this.ending !== undefined) return;
    this.ending = ending;
    if (this.isSeen) this.tell(ending);
  }

  see(seen: boolean): void {
    if (this.isSeen === seen) return;
    this.isSeen = seen;
    for (const watcher of this.watchers) watcher.visible?.(seen);
    if (seen && this.ending !== undefined) this.tell(this.ending);
  }
}

/** One machine, over a whole story. */
export class Machine {
  readonly clock = new HandHost();
  readonly journal = openMemoryJournal();
  readonly vault = openMemoryVault();
  readonly output = openMemoryOutput();
  /** What runs, and what ended and was not let go of. */
  readonly things = new Map<string, Thing>();
  /** Everything that ever ran. */
  readonly ran: Thing[] = [];
  readonly reports: Report[] = [];
  launching: Launching = 'at once';
  manner: Manner = 'leaves';
  isFull = false;
  private readonly underWay = new Set<Promise<unknown>>();
  private posts = 0;

  get alive(): readonly Thing[] {
    return [...this.things.values()].filter(({ ending }) => ending === undefined);
  }

  /** Throws while the disk is full. */
  write(): void {
    if (this.isFull) throw new JournalError('full', 'The disk of this story is full.');
  }

  /** A launch that was begun goes on, whoever asked for it. */
  async launch(spec: LaunchSpec, signal: AbortSignal): Promise<Handle> {
    const { launching, manner } = this;
    if (launching === 'at once') return this.start(spec, manner);
    const launched = this.pause(SLOW).then(() => {
      if (launching === 'not at all') throw new LaunchFailure('It cannot be started in this story.');
      if (signal.aborted) throw new LaunchFailure('It was given up.');
      return this.start(spec, manner);
    });
    const over = launched.catch(() => undefined).finally(() => this.underWay.delete(over));
    this.underWay.add(over);
    return launched;
  }

  async list(): Promise<readonly Thing[]> {
    await Promise.all(this.underWay);
    return this.alive;
  }

  async stop(thing: Thing, graceMs: number): Promise<StopReceipt> {
    if (thing.manner === 'sticks' && this.clock.now() < thing.since + STUCK)
      return { gone: false, left: ['a process that sticks'] };
    const deaf = thing.manner === 'ignores' && graceMs > 0;
    if (deaf) await Promise.race([this.pause(graceMs), thing.ended]);
    const signal = deaf || graceMs === 0 ? 'SIGKILL' : 'SIGTERM';
    thing.end({ kind: 'signalled', signal, detail: 'Ended.', time: this.clock.now() });
    return { gone: true, left: [] };
  }

  /** It ends by itself. */
  exit(thing: Thing, exitCode: number): void {
    if (thing.ending !== undefined) return;
    thing.end({ kind: 'exited', exitCode, detail: 'Left.', time: this.clock.now() });
  }

  /** Takes every other report of an end. */
  post(delivery: string, body: string): number {
    this.posts += 1;
    const { sessionState } = JSON.parse(body) as { sessionState: { state: { id: string } } };
    this.reports.push({ session: sessionState.state.id, delivery, body });
    return this.posts % 2 === 0 ? 204 : 503;
  }

  private start(spec: LaunchSpec, manner: Manner): Handle {
    const handle: Handle = { runtime: 'scripted', id: `${markOf(spec.labels)}#${this.ran.length}` };
    const thing = new Thing(handle, spec.labels, spec.environment, manner, this.clock.now());
    this.things.set(handle.id, thing);
    this.ran.push(thing);
    return handle;
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.at(this.clock.now() + ms, resolve));
  }
}
