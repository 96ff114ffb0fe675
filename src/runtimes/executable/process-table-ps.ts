/**
 * The process table where there is no /proc (macOS), read with `ps`. It knows less: sessions are not shown, start
 * times have whole seconds, and environments are visible only of processes that the system does not protect. So a
 * descendant that left its process group may be missed there; the group itself is always ended.
 */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { MARK_VARIABLE } from '../mark.ts';
import { sharedScan } from './process-table.ts';
import type { ProcessTable, Seen } from './process-table.ts';

const run = promisify(execFile);
const OPTIONS = {
  encoding: 'utf8',
  env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
  maxBuffer: 64 * 1024 * 1024,
} as const;
const LSTART = String.raw`\w{3} \w{3} +\d+ [\d:]+ \d{4}`;
const ROW = new RegExp(String.raw`^\s*(\d+)\s+(\d+)\s+(\S+)\s+(${LSTART})\s+(.*)$`);

/** A table that asks `ps`, for systems without /proc. */
export function psTable(): ProcessTable {
  return {
    // Start times are dates here and need no boot to be told apart.
    boot: async () => '',
    startOf: (pid) => rowOf(pid)?.start,
    isAlive(pid, start) {
      const row = rowOf(pid);
      return row !== undefined && row.start === start && !row.state.startsWith('Z');
    },
    scan: sharedScan(scan),
  };
}

interface Row {
  readonly pid: number;
  readonly group: number;
  readonly state: string;
  readonly start: string;
  readonly command: string;
}

function rowOf(pid: number): Row | undefined {
  try {
    return rowIn(execFileSync('ps', ['-o', 'pid=,pgid=,stat=,lstart=,comm=', '-p', String(pid)], OPTIONS));
  } catch {
    return undefined; // `ps` fails when there is no such process
  }
}

function rowIn(line: string): Row | undefined {
  const match = ROW.exec(line.trimEnd());
  if (!match) return undefined;
  const [, pid, group, state, start, command] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  return { pid: Number(pid), group: Number(group), state, start: start.replaceAll(/ +/g, ' '), command };
}

async function scan(): Promise<readonly Seen[]> {
  // Marks first: a process that shows one has its group already, a process that has none yet may still get another.
  const marks = await marksByPid();
  const { stdout: rows } = await run('ps', ['-A', '-o', 'pid=,pgid=,stat=,lstart=,comm='], OPTIONS);
  return rows.split('\n').flatMap((line) => {
    const row = rowIn(line);
    if (!row || row.state.startsWith('Z')) return [];
    const mark = marks.get(row.pid);
    return [
      {
        pid: row.pid,
        group: row.group,
        session: 0,
        start: row.start,
        name: row.command,
        ...(mark !== undefined && { mark }),
      },
    ];
  });
}

/** `e` appends each process's environment to its command line; a mark has no blanks, so it is one word of it. */
async function marksByPid(): Promise<Map<number, string>> {
  const { stdout } = await run('ps', ['axeww', '-o', 'pid=,command='], OPTIONS);
  const marks = new Map<number, string>();
  for (const line of stdout.split('\n')) {
    const pid = /^\s*(\d+)\s/.exec(line)?.[1];
    const mark = new RegExp(` ${MARK_VARIABLE}=(\\S+)`).exec(line)?.[1];
    if (pid !== undefined && mark !== undefined) marks.set(Number(pid), mark);
  }
  return marks;
}
