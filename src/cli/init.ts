/**
 * Scaffolds an agent with its definition, a team and, where there is none, a configuration: all of it runs at once,
 * without network. Nothing that exists is overwritten. Why a TypeScript agent is set up as it is:
 * docs/decisions/init-typescript.md.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { CONFIG_FILES } from '../config.ts';
import { BadInput } from './exit-codes.ts';
import { PACKAGE_ROOT } from '../package-root.ts';

export const LANGUAGES = ['typescript', 'python'] as const;
/** What a scaffolded agent can be written in. */
export type Language = (typeof LANGUAGES)[number];

/** What to scaffold, and where. */
export interface InitRequest {
  /** Absolute: the project's folder; made when it does not exist. */
  readonly folder: string;
  readonly language: Language;
  /** The agent's and the team's name; default: the folder's name. */
  readonly name?: string;
}

/** What was done. */
export interface InitResult {
  readonly name: string;
  readonly folder: string;
  /** Relative to the folder. */
  readonly created: readonly string[];
  /** Relative to the folder. */
  readonly changed: readonly string[];
  /** Sentences about what is left for a person to do. */
  readonly todo: readonly string[];
}

const PATTERNS = [
  { path: ['registry', 'localAgents'], also: ['local-agents', 'local_agents'], pattern: 'agents/*' },
  { path: ['teams'], also: [], pattern: 'teams/*.yaml' },
] as const;

/** Throws BadInput, having written nothing, when the name does not do or a file is in the way. */
export function init(request: InitRequest): InitResult {
  const { folder, language } = request;
  const name = agentName(request);
  const config = CONFIG_FILES.find((file) => existsSync(join(folder, file)));
  const files = new Map<string, string>();
  for (const part of ['common', language]) {
    for (const [path, text] of template(part)) files.set(fill(path, name), fill(text, name));
  }
  if (config !== undefined) files.delete('coral.config.yaml');
  const todo: string[] = [];
  // These are the project's, not the agent's: one that is there stays as it is.
  for (const shared of ['package.json', 'tsconfig.json']) {
    if (files.has(shared) && existsSync(join(folder, shared))) files.delete(shared);
  }
  const inTheWay = [...files.keys()].filter((file) => existsSync(join(folder, file)));
  if (inTheWay.length > 0) {
    const list = inTheWay.join(', ');
    throw new BadInput(
      `Nothing was written: ${list} in ${folder} would be overwritten. Choose another --name.`,
    );
  }

  for (const [file, text] of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text, { flag: 'wx' });
  }
  const created = [...files.keys()];
  if (language === 'typescript') created.push(...linkPackages(folder));
  const changed = config === undefined ? [] : offer(folder, config, todo);
  return { name, folder, created, changed, todo };
}

function agentName({ folder, name }: InitRequest): string {
  const wanted =
    name ??
    basename(resolve(folder))
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 32);
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(wanted) || wanted.length > 32) {
    throw new BadInput(
      `"${wanted}" cannot name an agent: use 1 to 32 small letters, digits and single dashes, as in --name my-agent.`,
    );
  }
  if (wanted === 'asker')
    throw new BadInput('The team has an agent called asker already: choose another --name.');
  return wanted;
}

/** Path (relative) and text of every file of one part of the templates. */
function* template(part: string): Iterable<[string, string]> {
  const root = join(PACKAGE_ROOT, 'templates', part);
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    yield [path.slice(root.length + 1), readFileSync(path, 'utf8')];
  }
}

function fill(text: string, name: string): string {
  const version = (): string =>
    (JSON.parse(readFileSync(packageFile('tsx'), 'utf8')) as { version: string }).version;
  return text
    .replaceAll('__NAME__', name)
    .replaceAll('__CORAL__', () => `file:${PACKAGE_ROOT}`)
    .replaceAll('__TSX__', version);
}

/** Makes `coral/agent` and `tsx` found from the folder, without network: links to this installation's own. */
function linkPackages(folder: string): string[] {
  const made: string[] = [];
  for (const [name, target] of [
    ['coral', PACKAGE_ROOT],
    ['tsx', dirname(packageFile('tsx'))],
  ] as const) {
    const link = join('node_modules', name);
    if (isResolvable(folder, name)) continue;
    mkdirSync(join(folder, 'node_modules'), { recursive: true });
    symlinkSync(target, join(folder, link), 'dir');
    made.push(link);
  }
  return made;
}

/** True when Node finds the package from this folder. A project may be inside of one that has it. */
function isResolvable(folder: string, name: string): boolean {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, 'node_modules', name, 'package.json'))) return true;
    if (dirname(at) === at) return false;
  }
}

function packageFile(name: string): string {
  return createRequire(import.meta.url).resolve(`${name}/package.json`);
}

/** Adds the patterns of agents and teams to a configuration that exists; comments and layout stay. */
function offer(folder: string, config: string, todo: string[]): string[] {
  const file = join(folder, config);
  if (config.endsWith('.toml')) {
    todo.push(`Add "agents/*" to registry.localAgents and "teams/*.yaml" to teams in ${config}.`);
    return [];
  }
  const document = parseDocument(readFileSync(file, 'utf8'));
  if (document.errors.length > 0)
    throw new BadInput(`${file} is no valid YAML: mend it, then add agents/* to it.`);
  let changed = false;
  for (const { path, also, pattern } of PATTERNS) {
    const keys = [path, ...also.map((key) => [...path.slice(0, -1), key])];
    const key = keys.find((candidate) => document.hasIn(candidate)) ?? path;
    const there: unknown = (document.toJS() as unknown) && get(document.toJS(), key);
    const list = Array.isArray(there)
      ? (there as unknown[])
      : typeof there === 'string'
        ? there.split(',')
        : [];
    if (list.some((entry) => typeof entry === 'string' && samePattern(entry.trim(), pattern))) continue;
    if (Array.isArray(there)) document.addIn(key, pattern);
    else document.setIn(key, [...list, pattern]);
    changed = true;
  }
  if (!changed) return [];
  writeFileSync(file, document.toString({ lineWidth: 0 }));
  return [config];
}

function samePattern(a: string, b: string): boolean {
  return a.replace(/^\.\//, '') === b;
}

function get(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<string, unknown> | null | undefined)?.[key], value);
}
