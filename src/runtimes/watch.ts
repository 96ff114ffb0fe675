/**
 * Who watches one running thing. W1: an attachment's `ended` resolves at most once, and never after `detach`.
 * W2: an observer hears nothing after its `ended` resolved or after it detached.
 */
import type { Ending } from '../domain/exit.ts';
import type { Attachment, Line, Observer, RuntimeFact } from '../ports/runtime.ts';

interface Watcher {
  readonly observer: Observer;
  readonly resolve: (ending: Ending) => void;
}

/** The observers of one thing, told in the order in which they came (W1, W2). */
export class Watch {
  private watchers: readonly Watcher[] = [];
  private ending: Ending | undefined;

  /** Every observer hears what comes from now on; after the end, `ended` is resolved already. */
  attach(observer: Observer): Attachment {
    if (this.ending) return { ended: Promise.resolve(this.ending), detach: () => undefined };
    let resolve: (ending: Ending) => void = () => undefined;
    const ended = new Promise<Ending>((settle) => (resolve = settle));
    const watcher: Watcher = { observer, resolve };
    this.watchers = [...this.watchers, watcher];
    return {
      ended,
      detach: () => {
        this.watchers = this.watchers.filter((other) => other !== watcher);
      },
    };
  }

  line(line: Line): void {
    for (const { observer } of this.watchers) observer.line(line);
  }

  dropped(bytes: number): void {
    for (const { observer } of this.watchers) observer.dropped?.(bytes);
  }

  visible(seen: boolean): void {
    for (const { observer } of this.watchers) observer.visible?.(seen);
  }

  noted(fact: RuntimeFact): void {
    for (const { observer } of this.watchers) observer.noted?.(fact);
  }

  /** Resolves when all lines told so far are kept, as far as that can be done. Never rejects. */
  async kept(): Promise<void> {
    await Promise.allSettled(this.watchers.map(async ({ observer }) => observer.kept?.()));
  }

  end(ending: Ending): void {
    if (this.ending) return;
    this.ending = ending;
    const watchers = this.watchers;
    this.watchers = [];
    for (const { resolve } of watchers) resolve(ending);
  }

  get isWatched(): boolean {
    return this.watchers.length > 0;
  }
}

/** Keeps things that ended while nobody watched until somebody asks; bounded, the oldest forgotten first. */
export class Unclaimed<T> {
  private readonly things = new Map<string, T>();

  constructor(
    private readonly forget: (thing: T) => void = () => undefined,
    private readonly limit = 1_000,
  ) {}

  keep(id: string, thing: T): void {
    this.things.set(id, thing);
    if (this.things.size <= this.limit) return;
    const [oldest, gone] = this.things.entries().next().value!;
    this.things.delete(oldest);
    this.forget(gone);
  }

  get(id: string): T | undefined {
    return this.things.get(id);
  }

  claim(id: string): T | undefined {
    const thing = this.things.get(id);
    this.things.delete(id);
    return thing;
  }

  clear(): void {
    for (const thing of this.things.values()) this.forget(thing);
    this.things.clear();
  }
}
