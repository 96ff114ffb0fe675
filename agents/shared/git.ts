/** Asks git, quietly: nothing is locked, nothing of the repository's own configuration runs. */
import { execFile } from 'node:child_process';

/** Longest answer taken, bytes. */
const LIMIT = 512 * 1024 * 1024;

/** What git printed, or undefined when it is not installed, refuses, or takes longer than `timeoutMs`. */
export async function git(
  folder: string,
  args: readonly string[],
  timeoutMs = 60_000,
): Promise<Buffer | undefined> {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_')),
  );
  return await new Promise((resolve) => {
    execFile(
      'git',
      ['-C', folder, '--no-pager', '-c', 'core.fsmonitor=false', ...args],
      {
        encoding: 'buffer',
        maxBuffer: LIMIT,
        timeout: timeoutMs,
        env: { ...environment, LC_ALL: 'C.UTF-8', GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0' },
      },
      (error, stdout) => resolve(error === null ? stdout : undefined),
    );
  });
}

/** The same as text without the last line break. */
export async function gitText(
  folder: string,
  args: readonly string[],
  timeoutMs?: number,
): Promise<string | undefined> {
  return (await git(folder, args, timeoutMs))?.toString('utf8').replace(/\n$/, '');
}

/** Whether git keeps this folder: inside a work tree, and not in a part of it that is ignored. */
export async function isKeptByGit(folder: string): Promise<boolean> {
  if ((await gitText(folder, ['rev-parse', '--is-inside-work-tree'])) !== 'true') return false;
  return (await git(folder, ['check-ignore', '-q', folder])) === undefined;
}
