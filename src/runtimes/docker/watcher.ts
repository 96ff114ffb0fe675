/**
 * Watches the engine on behalf of all containers that live: its events, and a ping. W1: an engine that cannot be
 * reached, or hangs, is not seen: members are told once, and told once when it is back. W2: nothing is held open
 * while there is no member.
 */
import type { IncomingMessage } from 'node:http';
import type { Engine } from './engine.ts';
import { LABEL } from './spec.ts';

/** Who wants to know of one container. */
export interface Member {
  /** Something happened to it: look. */
  hint(): void;
  outOfMemory(): void;
  /** The engine cannot be seen any more (`false`), or is seen again (`true`); `cut`: its streams ended in between. */
  seen(seen: boolean, cut: boolean): void;
}

/** What the watcher works with. */
export interface WatcherOptions {
  readonly engine: Engine;
  readonly instance: string;
  /** Between pings while all is well, ms. Default 5,000. */
  readonly pingEveryMs?: number;
  /** Between pings while it is away, ms. Default 500. */
  readonly retryEveryMs?: number;
}

interface EngineEvent {
  readonly Action?: string;
  readonly Actor?: { readonly ID?: string };
}

/** Events after which a container may be other than it was. */
const TELLING = new Set(['die', 'destroy', 'stop', 'kill']);

/** One for each engine; see the top of the file. */
export class EngineWatcher {
  private readonly members = new Map<string, Member>();
  private events: IncomingMessage | undefined;
  private opening: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isAway = false;
  private isLooking = false;
  private isClosed = false;

  constructor(private readonly options: WatcherOptions) {}

  /** Watches for one container until the returned function is called; resolves once its events are heard. */
  async add(id: string, member: Member): Promise<() => void> {
    this.members.set(id, member);
    await this.open().catch(() => this.look());
    if (this.timer === undefined) this.schedule();
    return () => {
      if (this.members.get(id) === member) this.members.delete(id);
      if (this.members.size === 0) this.rest();
    };
  }

  /** Somebody failed to reach the engine: looks now instead of later. */
  doubt(): void {
    void this.look();
  }

  get isEngineAway(): boolean {
    return this.isAway;
  }

  close(): void {
    this.isClosed = true;
    this.members.clear();
    this.rest();
  }

  private rest(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isAway = false;
    const { events } = this;
    this.events = undefined;
    events?.destroy();
  }

  private open(): Promise<void> {
    if (this.events !== undefined) return Promise.resolve();
    this.opening ??= this.listen().finally(() => (this.opening = undefined));
    return this.opening;
  }

  private async listen(): Promise<void> {
    const filters = { type: ['container'], label: [`${LABEL.instance}=${this.options.instance}`] };
    const stream = await this.options.engine.stream({
      path: '/events',
      query: { filters: JSON.stringify(filters) },
      deadlineMs: 5_000,
    });
    if (this.isClosed || this.members.size === 0) {
      stream.destroy();
      return;
    }
    this.events = stream;
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') this.hear(line);
    });
    stream.once('close', () => {
      if (this.events !== stream) return;
      this.events = undefined;
      void this.look();
    });
  }

  private hear(line: string): void {
    let event: EngineEvent;
    try {
      event = JSON.parse(line) as EngineEvent;
    } catch {
      return;
    }
    const member = this.members.get(event.Actor?.ID ?? '');
    if (member === undefined) return;
    if (event.Action === 'oom') member.outOfMemory();
    else if (TELLING.has(event.Action ?? '')) member.hint();
  }

  private schedule(): void {
    clearTimeout(this.timer);
    if (this.isClosed || this.members.size === 0) return;
    const { pingEveryMs = 5_000, retryEveryMs = 500 } = this.options;
    this.timer = setTimeout(() => void this.look(), this.isAway ? retryEveryMs : pingEveryMs);
    this.timer.unref();
  }

  /** Pings, opens the events again where they ended, and tells what changed. */
  private async look(): Promise<void> {
    if (this.isLooking || this.isClosed || this.members.size === 0) return;
    this.isLooking = true;
    const hadEvents = this.events !== undefined;
    try {
      await this.options.engine.ping();
      await this.open();
      const wasAway = this.isAway;
      this.isAway = false;
      for (const member of [...this.members.values()]) {
        if (!wasAway && hadEvents) continue;
        member.seen(true, !hadEvents);
        member.hint(); // events were missed
      }
    } catch {
      if (!this.isAway && !this.isClosed) {
        this.isAway = true;
        for (const member of [...this.members.values()]) member.seen(false, false);
      }
    } finally {
      this.isLooking = false;
      this.schedule();
    }
  }
}
