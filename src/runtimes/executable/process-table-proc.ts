/** The process table read from /proc (Linux). */
import { readFileSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { uptime } from 'node:os';
import { MARK_VARIABLE } from '../mark.ts';
import { sharedScan } from './process-table.ts';
import type { ProcessTable, Seen } from './process-table.ts';

/** Processes looked at before other work of the server gets a turn. */
const TURN = 64;
/** Environments read at once. */
const READERS = 8;
/** A process this old (seconds) has long done its first exec; before that it shows its parent's environment. */
const SETTLED_AFTER = 5;
/** Longest environment searched, bytes. */
const MAX_ENVIRONMENT = 4 * 1024 * 1024;

interface Stat {
  readonly name: string;
  readonly state: string;
  readonly group: number;
  readonly session: number;
  readonly start: string;
}

/** A table that reads /proc; only what is new is read in full. */
export class ProcTable implements ProcessTable {
  readonly scan = sharedScan(() => this.look());
  /** What environments of settled processes said, by pid; forgotten as soon as a scan misses the process. */
  private known = new Map<number, { start: string; mark: string | undefined }>();
  private bootId: string | undefined;

  async boot(): Promise<string> {
    this.bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return this.bootId;
  }

  startOf(pid: number): string | undefined {
    return statOf(pid)?.start;
  }

  isAlive(pid: number, start: string): boolean {
    const stat = statOf(pid);
    return stat !== undefined && stat.start === start && !isDead(stat);
  }

  private async look(): Promise<readonly Seen[]> {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
    const found: { pid: number; stat: Stat }[] = [];
    for (const [i, pid] of pids.entries()) {
      if (i % TURN === TURN - 1) await new Promise((resolve) => setImmediate(resolve));
      const stat = statOf(pid);
      if (stat && !isDead(stat)) found.push({ pid, stat });
    }

    const known = new Map<number, { start: string; mark: string | undefined }>();
    const seen: Seen[] = [];
    const queue = found.values();
    const reader = async (): Promise<void> => {
      for (const { pid, stat } of queue) {
        const before = this.known.get(pid);
        const mark = before?.start === stat.start ? before.mark : await markIn(pid);
        if (isSettled(stat)) known.set(pid, { start: stat.start, mark });
        // A process that was just being made was still in its maker's group when it was first looked at; one that
        // shows a mark has left that.
        const settled = mark === undefined || isSettled(stat) ? stat : statOf(pid);
        if (!settled || settled.start !== stat.start || isDead(settled)) continue;
        const { name, group, session, start } = settled;
        seen.push({ pid, name, group, session, start, ...(mark !== undefined && { mark }) });
      }
    };
    await Promise.all(Array.from({ length: READERS }, reader));
    this.known = known;
    return seen;
  }
}

/** Fields of /proc/PID/stat. The name may hold blanks and brackets, so everything is counted from its last `)`. */
function statOf(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const close = text.lastIndexOf(')');
  const fields = text.slice(close + 2).split(' ');
  return {
    name: text.slice(text.indexOf('(') + 1, close),
    state: fields[0]!,
    group: Number(fields[2]),
    session: Number(fields[3]),
    start: fields[19]!, // field 22 of the whole line, in clock ticks since boot
  };
}

function isDead(stat: Stat): boolean {
  return stat.state === 'Z' || stat.state === 'X';
}

function isSettled(stat: Stat): boolean {
  // Linux shows start times in hundredths of a second on every platform Node runs on.
  return uptime() - Number(stat.start) / 100 > SETTLED_AFTER;
}

const BEFORE_MARK = Buffer.from(`\0${MARK_VARIABLE}=`);

/**
 * The mark in a process's environment, as it was at its last exec. Nothing when it has none, is gone, or belongs to
 * another user (whose processes are not ours to end).
 */
async function markIn(pid: number): Promise<string | undefined> {
  try {
    const file = await open(`/proc/${pid}/environ`);
    try {
      let text = Buffer.from([0]); // so that the first variable, too, follows a NUL
      const chunk = Buffer.alloc(8 * 1024);
      while (text.length < MAX_ENVIRONMENT) {
        const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
        text = Buffer.concat([text, chunk.subarray(0, bytesRead)]);
        const at = text.indexOf(BEFORE_MARK);
        const end = at < 0 ? -1 : text.indexOf(0, at + BEFORE_MARK.length);
        if (end >= 0) return text.toString('utf8', at + BEFORE_MARK.length, end);
        if (bytesRead === 0) break;
      }
      return undefined;
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}
