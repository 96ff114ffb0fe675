/** Whether the kernel has been killing for want of memory in the server's control group, which its agents share. */
import { readFileSync } from 'node:fs';

/**
 * Returns a question to ask when a process was killed by nobody we know: true once for each kill that the kernel
 * has counted since. A guess, but one that needs no privilege: two such kills at one moment may be swapped.
 * Where there are no control groups the answer is always no.
 */
export function outOfMemoryWitness(): { ask(): boolean; refresh(): void } {
  const file = counterFile();
  let accounted = file === undefined ? 0 : killsIn(file);
  return {
    ask() {
      if (file === undefined || killsIn(file) <= accounted) return false;
      accounted += 1;
      return true;
    },
    /** Nobody of ours is being killed at this moment: earlier kills were others'. */
    refresh() {
      if (file !== undefined) accounted = killsIn(file);
    },
  };
}

function counterFile(): string | undefined {
  const groups = read('/proc/self/cgroup').split('\n');
  const v1 = groups.map((line) => /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/.exec(line)?.[1]).find(isText);
  const v2 = groups.map((line) => /^0::(.*)$/.exec(line)?.[1]).find(isText);
  const candidates = [
    ...(v2 === undefined ? [] : [`/sys/fs/cgroup${v2}/memory.events`, '/sys/fs/cgroup/memory.events']),
    ...(v1 === undefined
      ? []
      : [`/sys/fs/cgroup/memory${v1}/memory.oom_control`, '/sys/fs/cgroup/memory/memory.oom_control']),
  ];
  return candidates.find((path) => /^oom_kill \d+$/m.test(read(path)));
}

function killsIn(file: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(read(file))?.[1] ?? 0);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function isText(text: string | undefined): text is string {
  return text !== undefined;
}
