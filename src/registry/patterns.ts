/**
 * Patterns that name definition and team files: a file, a folder that holds one, or either with `*` (within a name),
 * `?` and `**` (any folders between). Names that begin with a dot are matched only where the pattern says the dot.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, parse, resolve, sep } from 'node:path';

/** What is looked for in a folder that a pattern names, and which files a `*` means. */
export interface Kind {
  /** Would a file of this name in a matched folder be one of ours? */
  inFolder(name: string): boolean;
  /** Could a file that a wildcard matched be one of ours? */
  byWildcard(name: string): boolean;
}

/** A file that a pattern means. */
export interface Found {
  /** Absolute. */
  readonly path: string;
  /** Its name or the pattern says what it is; otherwise only what stands in it can tell. */
  readonly sure: boolean;
}

const isDefinition = (name: string): boolean => /^coral-agent\.(toml|yaml|yml)$/i.test(name);
const isDocument = (name: string): boolean => /^[^.].*\.(toml|yaml|yml)$/i.test(name);

/** `coral-agent.toml` or `.yaml` in folders; by wildcard any document, which has to look like one. */
export const DEFINITIONS: Kind = { inFolder: isDefinition, byWildcard: isDocument };
/** Any YAML or TOML document. */
export const TEAMS: Kind = { inFolder: isDocument, byWildcard: isDocument };

/** A pattern of the configuration, taken apart. */
export interface Pattern {
  readonly kind: Kind;
  /** As the configuration has it. */
  readonly written: string;
  /** Absolute. */
  readonly path: string;
  /** Absolute path in parts, the file system's root first. */
  readonly parts: readonly string[];
  /** No wildcard in it: what it names should be there. */
  readonly literal: boolean;
  /** The folder to watch below: the parent of the part without wildcards. */
  readonly base: string;
}

/** `written` is absolute, or relative to `base`; `~/` means `home` where that is known. */
export function compile(written: string, kind: Kind, base: string, home?: string): Pattern {
  const path = resolve(
    base,
    home !== undefined && /^~[/\\]/.test(written) ? join(home, written.slice(2)) : written,
  );
  const { root } = parse(path);
  const parts = [
    root,
    ...path
      .slice(root.length)
      .split(sep)
      .filter((part) => part !== ''),
  ];
  const wild = parts.findIndex(isWild);
  const fixed = wild < 0 ? parts : parts.slice(0, wild);
  return {
    kind,
    written,
    path,
    parts,
    literal: wild < 0,
    base: dirname(join(...fixed)),
  };
}

/** Every file the pattern means, in the order of their paths. */
export async function findFiles(pattern: Pattern): Promise<Found[]> {
  const found = new Map<string, Found>();
  const add = (path: string, sure: boolean): void => void found.set(path, { path, sure });
  for (const match of await expand(pattern.parts[0] ?? sep, pattern.parts.slice(1))) {
    const facts = await statOf(match);
    const name = basename(match);
    if (facts?.isDirectory() === true) {
      for (const inside of await namesIn(match))
        if (pattern.kind.inFolder(inside)) add(join(match, inside), true);
    } else if (facts?.isFile() === true && (pattern.literal || pattern.kind.byWildcard(name)))
      add(match, pattern.literal || pattern.kind.inFolder(name));
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** True when a change at `path` may change what the pattern finds: on the way to a match, or in it. */
export function concerns(pattern: Pattern, path: string): boolean {
  const { root } = parse(path);
  const parts = [
    root,
    ...path
      .slice(root.length)
      .split(sep)
      .filter((part) => part !== ''),
  ];
  return along(pattern.parts, parts, pattern.kind);
}

function along(pattern: readonly string[], path: readonly string[], kind: Kind): boolean {
  const [wanted, ...later] = pattern;
  const [part, ...rest] = path;
  if (part === undefined) return true;
  if (wanted === undefined) return rest.length === 0 && kind.inFolder(part);
  if (wanted === '**') return along(later, path, kind) || (isWalked(part) && along(pattern, rest, kind));
  return matches(wanted, part) && along(later, rest, kind);
}

async function expand(at: string, parts: readonly string[]): Promise<string[]> {
  const [part, ...rest] = parts;
  if (part === undefined) return [at];
  if (part === '**') {
    const below = (await namesIn(at)).filter(isWalked).map((name) => join(at, name));
    const deeper = await Promise.all(
      below.map(async (folder) => ((await isRealFolder(folder)) ? expand(folder, parts) : [])),
    );
    return [...(await expand(at, rest)), ...deeper.flat()];
  }
  if (!isWild(part)) {
    const next = join(at, part);
    return rest.length > 0 || (await statOf(next)) !== undefined ? expand(next, rest) : [];
  }
  const matched = (await namesIn(at)).filter((name) => matches(part, name));
  return (await Promise.all(matched.map((name) => expand(join(at, name), rest)))).flat();
}

function isWild(part: string): boolean {
  return /[*?]/.test(part);
}

function isWalked(name: string): boolean {
  return !name.startsWith('.') && name !== 'node_modules';
}

function matches(wanted: string, name: string): boolean {
  if (!isWild(wanted)) return wanted === name;
  if (name.startsWith('.') && !wanted.startsWith('.')) return false;
  const source = wanted
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(name);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch {
    return [];
  }
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch {
    return undefined;
  }
}

/** Not through links: `**` must end. */
async function isRealFolder(path: string): Promise<boolean> {
  try {
    return (await readdir(dirname(path), { withFileTypes: true })).some(
      (entry) => entry.name === basename(path) && entry.isDirectory(),
    );
  } catch {
    return false;
  }
}
