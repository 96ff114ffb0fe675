/** What git remembers of a folder. */
import { lstat } from 'node:fs/promises';
import { pathTo } from '../scout/files.ts';
import type { History, WhenAnswer } from '../shared/facts.ts';
import { git, gitText, isKeptByGit } from '../shared/git.ts';

/** How many people are named. */
const PEOPLE = 10;
/** One file's history may take this long, ms. */
const PER_FILE = 5_000;

/** The history of what lies below `root`; only `git: false` where there is none. */
export async function historyOf(root: string): Promise<History> {
  const none: History = { kind: 'history', git: false };
  if (!(await isKeptByGit(root))) return none;
  const prefix = await gitText(root, ['rev-parse', '--show-prefix']);
  // The whole repository needs no path, and is much faster without.
  const below = prefix === '' ? [] : ['--', '.'];
  const uncommitted = countStatus(
    await git(root, ['status', '--porcelain', '-z', '--untracked-files=all', '--no-renames', ...below]),
  );
  const last = await gitText(root, ['log', '-1', '--format=%h%x00%cI%x00%aN%x00%s', ...below]);
  if (last === undefined || last === '') return { kind: 'history', git: true, commits: 0, uncommitted };
  const [hash = '', date = '', author = '', subject = ''] = last.split('\0');
  const branch = await gitText(root, ['symbolic-ref', '--quiet', '--short', 'HEAD']);
  const commits = Number(await gitText(root, ['rev-list', '--count', 'HEAD', ...below]));
  const dates = await gitText(root, ['log', '--reverse', '--format=%cI', ...below]);
  const people = peopleIn(await gitText(root, ['shortlog', '-s', '-n', 'HEAD', ...below]));
  const shallow = (await gitText(root, ['rev-parse', '--is-shallow-repository'])) === 'true';
  return {
    kind: 'history',
    git: true,
    ...(branch !== undefined && { branch }),
    commits,
    first: dates?.split('\n')[0] ?? date,
    last: { hash, date, author, subject },
    people: people.slice(0, PEOPLE),
    peopleCount: people.length,
    uncommitted,
    ...(shallow && { shallow }),
  };
}

/** When each file last changed: by its last commit, or by its own time where that is not committed. */
export async function lastChanges(root: string, files: readonly string[]): Promise<WhenAnswer['dates']> {
  const kept = await isKeptByGit(root);
  const dates: { file: string; date: string; how: 'commit' | 'file' }[] = [];
  for (const file of files) {
    const committed = kept ? await committedChange(root, file) : undefined;
    if (committed !== undefined) {
      dates.push({ file, date: committed, how: 'commit' });
      continue;
    }
    const found = await lstat(pathTo(root, file)).catch(() => undefined);
    if (found !== undefined) dates.push({ file, date: found.mtime.toISOString(), how: 'file' });
  }
  return dates;
}

async function committedChange(root: string, file: string): Promise<string | undefined> {
  // A name that is no text cannot be an argument.
  if (/[\udc80-\udcff]/.test(file)) return undefined;
  const status = await git(
    root,
    ['--literal-pathspecs', 'status', '--porcelain', '-z', '--', file],
    PER_FILE,
  );
  if (status === undefined || status.length > 0) return undefined;
  const date = await gitText(
    root,
    ['--literal-pathspecs', 'log', '-1', '--format=%cI', '--', file],
    PER_FILE,
  );
  return date === '' ? undefined : date;
}

function countStatus(status: Buffer | undefined): number {
  if (status === undefined) return 0;
  return status.toString('latin1').split('\0').length - 1;
}

function peopleIn(shortlog: string | undefined): { name: string; commits: number }[] {
  return (shortlog ?? '').split('\n').flatMap((line) => {
    const [, commits, name] = /^\s*(\d+)\t(.*)$/.exec(line) ?? [];
    return commits === undefined || name === undefined ? [] : [{ name, commits: Number(commits) }];
  });
}
