/**
 * What runs on this machine, as far as ending an agent's processes needs it. T1: a scan shows what was alive at some
 * moment after it was asked for (concurrent callers share one). T2: a pid names a process only together with its
 * start. T3: processes that are dead but not yet waited for (zombies) are not alive.
 */

/** One living process, as a scan saw it. */
export interface Seen {
  readonly pid: number;
  readonly group: number;
  readonly session: number;
  /** When it started, in the table's own spelling; unique for the pid within one boot. */
  readonly start: string;
  /** Its program, for people. */
  readonly name: string;
  readonly mark?: string;
}

/** What runs on this machine (T1 to T3). */
export interface ProcessTable {
  /** Names this run of the machine, so that pids of an earlier one mean nothing. */
  boot(): Promise<string>;
  /** When a process started (also of a zombie), or nothing when there is none. */
  startOf(pid: number): string | undefined;
  isAlive(pid: number, start: string): boolean;
  scan(): Promise<readonly Seen[]>;
}

/** Shares one scan among callers without ever giving a caller one that began before it asked (T1). */
export function sharedScan(scan: () => Promise<readonly Seen[]>): () => Promise<readonly Seen[]> {
  let running: Promise<unknown> | undefined;
  let next: Promise<readonly Seen[]> | undefined;
  return () => {
    next ??= (async () => {
      await running?.catch(() => undefined);
      const mine = scan();
      running = mine;
      next = undefined;
      return mine;
    })();
    return next;
  };
}
