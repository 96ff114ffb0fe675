/**
 * Ends all processes of one attempt: its process group, whatever else stayed in its session, and what left both but
 * still bears its mark or is in its control group. G1: it is over only when a look at the machine shows nothing alive, or when it has to be
 * said what is left. G2: a signal goes only to processes that are certainly the attempt's. The group's number is
 * when the leader is a child of this server (its end is noticed at once, and the kernel gives a pid to nobody while a
 * group bears it), or when the leader or a marked member of the group is seen alive; everything else needs the mark.
 */
import { performance } from 'node:perf_hooks';
import type { StopReceipt } from '../../ports/runtime.ts';
import type { ProcessTable, Seen } from './process-table.ts';

/** Whose processes are to be ended. */
export interface Target {
  /** The leader's pid: also the group's and the session's number. */
  readonly pid: number;
  readonly start: string;
  readonly mark: string;
  /** Resolves when the leader is gone. Only of a child of this process; any other leader is looked for. */
  readonly exited?: Promise<unknown>;
  /** Where none of its processes can get out of; absent: the mark has to do. */
  readonly group?: { processes(): ReadonlySet<number>; kill(): void };
}

const NOBODY: ReadonlySet<number> = new Set();
/** Pauses between two looks, ms. */
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 100;
/** Pause between two looks at a leader that is no child of ours, ms. */
const LEADER_PAUSE = 50;
/** How long after the kill something may take to disappear before it is said to be left, ms. */
const CONFIRM = 5_000;

/** One request to end an attempt, from the first signal to the receipt. Begins at once. */
export class GroupEnd {
  readonly done: Promise<StopReceipt>;
  /** On the monotonic clock, ms. */
  private deadline: number;
  private groupIsOurs = false;
  private wake: () => void = () => undefined;

  constructor(
    private readonly target: Target,
    private readonly table: ProcessTable,
    graceMs: number,
  ) {
    this.deadline = performance.now() + graceMs;
    this.done = this.run();
  }

  /** Another request while this one is under way: the shorter grace counts. */
  hurry(graceMs: number): void {
    this.deadline = Math.min(this.deadline, performance.now() + graceMs);
    this.wake();
  }

  private async run(): Promise<StopReceipt> {
    let members = await this.members();
    if (members.length > 0 && !this.isDue()) {
      this.signal(members, 'SIGTERM');
      await this.leaderGoneOrDue();
      members = await this.members();
    }
    let pause = FIRST_PAUSE;
    while (members.length > 0 && !this.isDue()) {
      await this.sleep(Math.min(pause, this.deadline - performance.now()));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
      members = await this.members();
    }

    pause = FIRST_PAUSE;
    const giveUp = performance.now() + CONFIRM;
    while (members.length > 0) {
      // Again in every round: a process that was just forking is caught by the next look.
      this.signal(members, 'SIGKILL');
      if (performance.now() > giveUp) return { gone: false, left: members.map(describe) };
      await this.sleep(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
      members = await this.members();
    }
    return { gone: true, left: [] };
  }

  private async members(): Promise<readonly Seen[]> {
    const seen = await this.table.scan();
    const inside = this.target.group?.processes() ?? NOBODY;
    const { processes, groupIsOurs } = membersOf(this.target, seen, inside);
    this.groupIsOurs = groupIsOurs;
    return processes;
  }

  private signal(members: readonly Seen[], signal: 'SIGTERM' | 'SIGKILL'): void {
    const inGroup = (member: Seen): boolean => this.groupIsOurs && member.group === this.target.pid;
    if (members.some(inGroup)) send(-this.target.pid, signal);
    for (const member of members) if (!inGroup(member)) send(member.pid, signal);
    if (signal === 'SIGKILL') this.target.group?.kill();
  }

  private async leaderGoneOrDue(): Promise<void> {
    let gone = false;
    void this.target.exited?.then(() => {
      gone = true;
      this.wake();
    });
    while (!gone && !this.isDue() && this.table.isAlive(this.target.pid, this.target.start)) {
      const left = this.deadline - performance.now();
      await this.sleep(this.target.exited ? left : Math.min(left, LEADER_PAUSE));
    }
  }

  private isDue(): boolean {
    return performance.now() >= this.deadline;
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, Math.min(ms, 0x7fff_ffff)));
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** What lives of an attempt (G2). */
export interface Members {
  readonly processes: readonly Seen[];
  /** Whether the group of the leader's number is the attempt's, and may be sent signals as one. */
  readonly groupIsOurs: boolean;
}

/** Picks an attempt's processes from what a scan saw. The server and its own group and session never are. */
export function membersOf(
  target: Target,
  seen: readonly Seen[],
  inside: ReadonlySet<number> = NOBODY,
): Members {
  const { pid, start, mark } = target;
  const isLeader = (one: Seen): boolean => one.pid === pid && one.start === start;
  const isMarked = (one: Seen): boolean => one.mark === mark;
  // Once all of its group are gone the number is free: who has it then has it rightly.
  const isTaken = start !== '' && seen.some((one) => one.pid === pid && one.start !== start);
  const isChild = target.exited !== undefined && !isTaken;
  const server = seen.find((one) => one.pid === process.pid);
  const isProven = (number: (one: Seen) => number): boolean =>
    (!server || number(server) !== pid) &&
    (isChild || seen.some((one) => isLeader(one) || (number(one) === pid && isMarked(one))));
  const groupIsOurs = isProven((one) => one.group);
  const sessionIsOurs = isProven((one) => one.session);
  const processes = seen.filter(
    (one) =>
      one !== server &&
      (isLeader(one) ||
        isMarked(one) ||
        inside.has(one.pid) ||
        (groupIsOurs && one.group === pid) ||
        (sessionIsOurs && one.session === pid)),
  );
  // Forked since the scan; no pid of a group's is anybody else's.
  const known = new Set(seen.map((one) => one.pid));
  const fresh = [...inside].filter((one) => !known.has(one) && one !== process.pid);
  const added = fresh.map((one): Seen => ({
    pid: one,
    group: -1,
    session: -1,
    start: '',
    name: 'just begun',
  }));
  return { processes: [...processes, ...added], groupIsOurs };
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone since the look (ESRCH), or another user's (EPERM): the next look tells which.
  }
}

function describe(one: Seen): string {
  return `process ${one.pid} (${one.name})`;
}
