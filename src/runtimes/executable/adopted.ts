/**
 * Processes that an earlier life of the server started. They are no children of this one: their output is gone with
 * the pipes, nobody can learn their exit code, and their end is noticed by looking.
 */
import type { StopReceipt } from '../../ports/runtime.ts';
import { GroupEnd } from './group-end.ts';
import type { Target } from './group-end.ts';
import type { ProcessTable } from './process-table.ts';

/** Pause between two looks at whether they live, ms. */
const LOOK_EVERY = 250;

/** Watches and ends processes that are no children of this server. */
export class AdoptedProcesses {
  private readonly watched = new Map<object, { readonly target: Target; readonly gone: () => void }>();
  private readonly ending = new Map<string, GroupEnd>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly table: ProcessTable) {}

  /** Calls `gone` once the leader is seen to be gone; returns what stops looking. */
  watch(target: Target, gone: () => void): () => void {
    const key = {};
    this.watched.set(key, { target, gone });
    this.timer ??= setInterval(() => this.look(), LOOK_EVERY).unref();
    queueMicrotask(() => this.look());
    return () => this.forget(key);
  }

  /** A second request joins the first; the shorter grace counts. */
  async end(target: Target, graceMs: number): Promise<StopReceipt> {
    const running = this.ending.get(target.mark);
    running?.hurry(graceMs);
    const end = running ?? new GroupEnd(target, this.table, graceMs);
    this.ending.set(target.mark, end);
    try {
      return await end.done;
    } finally {
      if (this.ending.get(target.mark) === end) this.ending.delete(target.mark);
      this.look();
    }
  }

  close(): void {
    this.watched.clear();
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    for (const [key, { target, gone }] of this.watched) {
      if (target.start !== '' && this.table.isAlive(target.pid, target.start)) continue;
      this.forget(key);
      gone();
    }
  }

  private forget(key: object): void {
    this.watched.delete(key);
    if (this.watched.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
