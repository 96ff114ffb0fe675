/**
 * The floors of the house (docs/architecture.md): a file imports from its own folder and from floors below; never
 * up, never sideways between adapters. Each entry says what its folder may import and, in `why`, what that keeps
 * true: the sentence somebody reads who broke it.
 */
import { describe, expect, it } from 'vitest';
import { filesBelow, importsOf, packageOf, type Import } from './sources.ts';

interface Floor {
  readonly name: string;
  /** True for the files that stand on it; the first floor that matches counts. */
  holds(file: string): boolean;
  /** Names of other floors it may import; `types` only as `import type`. */
  readonly imports: readonly string[];
  readonly types?: readonly string[];
  /** Packages it may import; undefined: any. */
  readonly packages?: readonly string[];
  readonly why: string;
}

const folder =
  (name: string) =>
  (file: string): boolean =>
    file.startsWith(`src/${name}/`);

const INSIDE = ['domain', 'wire', 'ports'] as const;
const ADAPTER_WHY =
  'an adapter knows its port and its library, nothing of the engine behind it or of other adapters beside it';
const DOOR_WHY = 'a door translates between a client and the engine; what two doors share belongs below them';

const adapter = (name: string): Floor => ({ name, holds: folder(name), imports: INSIDE, why: ADAPTER_WHY });
const door = (name: string): Floor => ({
  name,
  holds: folder(name),
  imports: [...INSIDE, 'engine'],
  why: DOOR_WHY,
});

const ADAPTERS = ['journal', 'outbound', 'output', 'registry', 'runtimes'].map(adapter);
const DOORS = ['http', 'mcp'].map(door);
const ALL_ADAPTERS = [...ADAPTERS, ...DOORS].map((floor) => floor.name);

const FLOORS: readonly Floor[] = [
  {
    name: 'wire',
    holds: (file) => file.startsWith('src/domain/wire/'),
    imports: ['domain'],
    packages: ['zod'],
    why: 'the domain is what is true: pure, without tools and without I/O',
  },
  {
    name: 'domain',
    holds: folder('domain'),
    imports: ['wire'],
    packages: ['zod'],
    why: 'the domain is what is true: pure, without tools and without I/O',
  },
  {
    name: 'ports',
    holds: folder('ports'),
    imports: [],
    types: ['domain', 'wire'],
    packages: [],
    why: 'a port is a description of what we ask of the outside: types of the domain and nothing that runs',
  },
  {
    name: 'engine',
    holds: folder('engine'),
    imports: INSIDE,
    packages: ['node:crypto'],
    why: 'the engine reaches the world only through ports, so that every adapter can be changed behind it',
  },
  ...ADAPTERS,
  ...DOORS,
  {
    name: 'client',
    holds: folder('client'),
    imports: [],
    types: ['wire'],
    why: 'the client and the agent SDK stand on the public wire alone, as everybody else’s do',
  },
  {
    name: 'cli',
    holds: (file) => file.startsWith('src/cli/') || file === 'src/main.ts',
    imports: [...INSIDE, 'engine', 'client', 'composition', ...ALL_ADAPTERS],
    why: 'commands use the composition root (for a run of their own) and the client (for a server that runs)',
  },
  {
    // The composition root and what only it uses: src/*.ts, src/app/, src/config/.
    name: 'composition',
    holds: (file) => /^src\/[^/]+\.ts$/.test(file) || /^src\/(app|config)\//.test(file),
    imports: [...INSIDE, 'engine', ...ALL_ADAPTERS],
    why: 'the composition root puts the parts together and knows no command',
  },
];

/** The floor a file stands on. */
function floorOf(file: string): Floor | undefined {
  return FLOORS.find((floor) => floor.holds(file));
}

/** The sentence for an import that breaks the rules; undefined for one that does not. */
export function verdict(file: string, found: Import): string | undefined {
  const floor = floorOf(file);
  if (floor === undefined) return undefined;
  const where = `${file}:${found.line} imports ${found.specifier}`;
  if (found.file === undefined) {
    const name = packageOf(found.specifier);
    if (floor.packages === undefined || floor.packages.includes(name)) return undefined;
    const allowed = floor.packages.length === 0 ? 'no packages' : `only ${floor.packages.join(', ')}`;
    return `${where}, but ${floor.name} may import ${allowed}: ${floor.why}.`;
  }
  const target = floorOf(found.file);
  if (target === floor) return undefined;
  if (target === undefined) return `${where}, which is outside src: the program never imports from there.`;
  if (floor.imports.includes(target.name)) return undefined;
  if (floor.types?.includes(target.name) === true) {
    if (found.typeOnly) return undefined;
    return `${where}; ${floor.name} may use ${target.name} only as \`import type\`: ${floor.why}.`;
  }
  return `${where}, but ${floor.name} may not import from ${target.name}: ${floor.why}.`;
}

/** A way through the graph that comes back to where it began; undefined when there is none. */
function circleOf(graph: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of graph.get(file) ?? []) {
      const circle = visit(next, [...path, file]);
      if (circle !== undefined) return circle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const circle = visit(file, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

describe('the floors of the house', () => {
  const files = filesBelow('src', '.ts');

  it('hold every file of src', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(files.filter((file) => floorOf(file) === undefined)).toEqual([]);
  });

  it('are kept by every import', () => {
    const broken = files.flatMap((file) => importsOf(file).flatMap((found) => verdict(file, found) ?? []));
    expect(broken, broken.join('\n')).toEqual([]);
  });

  it('are built from the bottom up: at run time, imports go in no circle', () => {
    const needs = new Map(
      files.map((file) => [
        file,
        importsOf(file).flatMap((each) => (each.typeOnly ? [] : (each.file ?? []))),
      ]),
    );
    expect(circleOf(needs)?.join(' → ')).toBeUndefined();
    const round = { a: ['b', 'c'], b: ['d'], c: ['d'], d: ['b'] };
    expect(circleOf(new Map(Object.entries(round)))).toEqual(['b', 'd', 'b']);
  });

  it('would be seen to break', () => {
    const of = (specifier: string, file?: string, typeOnly = false): Import => ({
      specifier,
      typeOnly,
      line: 1,
      ...(file !== undefined && { file }),
    });
    const says = (file: string, found: Import): string => verdict(file, found) ?? 'fine';
    expect(says('src/domain/decide.ts', of('node:fs'))).toContain('domain may import only zod');
    expect(says('src/domain/decide.ts', of('../engine/waits.ts', 'src/engine/waits.ts'))).toContain(
      'domain may not import from engine',
    );
    expect(says('src/http/server.ts', of('../mcp/server.ts', 'src/mcp/server.ts'))).toContain(
      'http may not import from mcp',
    );
    expect(says('src/client/index.ts', of('../domain/wire/event.ts', 'src/domain/wire/event.ts'))).toContain(
      'import type',
    );
    expect(says('src/client/index.ts', of('../domain/wire/event.ts', 'src/domain/wire/event.ts', true))).toBe(
      'fine',
    );
    expect(says('src/engine/waits.ts', of('../../agents/x.ts', 'agents/x.ts'))).toContain('outside src');
  });
});

describe('the agents', () => {
  it('use nothing of ours but the published SDK', () => {
    const broken = filesBelow('agents', '.ts').flatMap((file) =>
      importsOf(file)
        .filter((found) => found.file !== undefined && !found.file.startsWith('agents/'))
        .map((found) => `${file}:${found.line} imports ${found.specifier}; agents use \`coral/agent\` only.`),
    );
    expect(broken, broken.join('\n')).toEqual([]);
  });
});
