/**
 * Finds the files below a folder: what git keeps or would keep where there is a work tree, else a walk that leaves
 * out what people never mean (version control, dependencies, caches). Symbolic links are counted, never followed.
 */
import type { Dirent } from 'node:fs';
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { git, isKeptByGit } from '../shared/git.ts';
import { nameFromBytes, nameToBytes } from '../shared/names.ts';

/** Folders that a walk leaves out wherever they are. */
const LEFT_OUT = new Set([
  '.git', '.hg', '.svn', '.jj', 'node_modules', 'bower_components', '.venv', 'venv', '__pycache__', '.mypy_cache',
  '.pytest_cache', '.ruff_cache', '.tox', '.gradle', '.cache', '.coral',
]); // prettier-ignore

/** The most files a survey takes. */
export const MOST_FILES = 200_000;

export interface Listing {
  readonly how: 'git' | 'walk';
  /** Names relative to the root, `/` between folders, sorted; regular files only. */
  readonly names: readonly string[];
  readonly links: number;
  readonly unreadable: readonly string[];
  readonly leftOut: readonly string[];
  readonly cut: boolean;
}

/** The folder a path means, with every link resolved. Throws one sentence when it is no folder that can be read. */
export async function rootOf(path: string): Promise<string> {
  let root: string;
  try {
    root = await realpath(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'it does not exist' : (error as Error).message;
    throw new Error(`${path} cannot be surveyed: ${why}.`, { cause: error });
  }
  if (!(await stat(root)).isDirectory()) {
    throw new Error(`${path} cannot be surveyed: it is not a folder.`);
  }
  try {
    await readdir(root);
  } catch (error) {
    throw new Error(`${path} cannot be surveyed: it cannot be read (${(error as Error).message}).`, {
      cause: error,
    });
  }
  return root;
}

/** Lists the files below `root` but for `except`, an absolute path. */
export async function listFiles(root: string, except?: string, most = MOST_FILES): Promise<Listing> {
  const kept = (await isKeptByGit(root)) ? await namesFromGit(root) : undefined;
  const listing = kept === undefined ? await walk(root, most) : await sortOut(root, kept, most);
  const own = except === undefined ? undefined : relative(root, except).split(sep).join('/');
  return own === undefined ? listing : { ...listing, names: listing.names.filter((name) => name !== own) };
}

async function namesFromGit(root: string): Promise<string[] | undefined> {
  const output = await git(root, ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  if (output === undefined) return undefined;
  const names = new Set<string>();
  for (let start = 0; start < output.length;) {
    const end = output.indexOf(0, start);
    names.add(nameFromBytes(output.subarray(start, end)));
    start = end + 1;
  }
  return [...names];
}

/** Of what git names: what is there, and what it is. */
async function sortOut(root: string, names: readonly string[], most: number): Promise<Listing> {
  const files: string[] = [];
  const leftOut: string[] = [];
  let links = 0;
  for (const name of names) {
    const found = await lstat(pathTo(root, name)).catch(() => undefined);
    if (found === undefined) continue; // Deleted, and git has not been told yet.
    if (found.isSymbolicLink()) links += 1;
    else if (found.isDirectory())
      leftOut.push(name.endsWith('/') ? name : `${name}/`); // A repository of its own.
    else if (found.isFile()) files.push(name);
    if (files.length > most) break;
  }
  const cut = files.length > most;
  return {
    how: 'git',
    names: sorted(files.slice(0, most)),
    links,
    unreadable: [],
    leftOut: sorted(leftOut),
    cut,
  };
}

async function walk(root: string, most: number): Promise<Listing> {
  const files: string[] = [];
  const leftOut: string[] = [];
  const unreadable: string[] = [];
  let links = 0;
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined && files.length <= most; folder = folders.pop()) {
    let entries: Dirent<Buffer>[];
    try {
      entries = await readdir(pathTo(root, folder), { withFileTypes: true, encoding: 'buffer' });
    } catch {
      unreadable.push(`${folder}/`);
      continue;
    }
    for (const entry of entries) {
      const own = nameFromBytes(entry.name);
      const name = folder === '' ? own : `${folder}/${own}`;
      if (entry.isSymbolicLink()) links += 1;
      else if (entry.isFile()) files.push(name);
      else if (entry.isDirectory()) {
        if (LEFT_OUT.has(own)) leftOut.push(`${name}/`);
        else folders.push(name);
      }
    }
  }
  const cut = files.length > most;
  return {
    how: 'walk',
    names: sorted(files.slice(0, most)),
    links,
    unreadable: sorted(unreadable),
    leftOut: sorted(leftOut),
    cut,
  };
}

/** A path that reaches the file whatever its bytes are. */
export function pathTo(root: string, name: string): string | Buffer {
  const bytes = nameToBytes(name);
  const path = bytes.toString();
  if (Buffer.from(path).equals(bytes)) return join(root, path);
  return Buffer.concat([Buffer.from(`${root}/`), bytes]);
}

/** By code units: the same order everywhere. */
function sorted(names: string[]): string[] {
  return names.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}
