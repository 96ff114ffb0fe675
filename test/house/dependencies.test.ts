/** Every package has its line in docs/dependencies.md, and is used. */
import { describe, expect, it } from 'vitest';
import { filesBelow, importsOf, packageOf, textOf } from './sources.ts';

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}
const manifest = JSON.parse(textOf('package.json')) as Manifest;
const runtime = Object.keys(manifest.dependencies);
const all = [...runtime, ...Object.keys(manifest.devDependencies)];

/** Packages that are used without an import, each with what uses it. */
const WITHOUT_IMPORT: Readonly<Record<string, string>> = {
  '@modelcontextprotocol/conformance': 'test/mcp/conformance.test.ts runs its command',
  eslint: 'npm run check:lint',
  prettier: 'npm run check:format',
  tsx: 'TypeScript agents of `coral init`',
  typescript: 'npm run check:types',
};

/** Packages that are pinned for what is being built, each with what that is. Whoever uses one takes it off the list. */
const NOT_YET: Readonly<Record<string, string>> = {};

function usedBy(...folders: readonly string[]): ReadonlySet<string> {
  const files = folders.flatMap((folder) => filesBelow(folder, '.ts', '.mjs'));
  return new Set(files.flatMap((file) => importsOf(file).map((found) => packageOf(found.specifier))));
}

describe('the packages', () => {
  it('each have one line in docs/dependencies.md, and no line is left over', () => {
    const named = [...textOf('docs/dependencies.md').matchAll(/^- `([^`]+)`/gm)].map(([, name]) => name);
    expect([...named].sort()).toEqual([...all].sort());
  });

  it('are pinned to one version', () => {
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
    );
    expect(loose).toEqual([]);
  });

  it('are used', () => {
    const program = usedBy('src', 'agents');
    const elsewhere = new Set([
      ...program,
      ...usedBy('test', 'bench', 'scripts'),
      ...['vitest.config.ts', 'eslint.config.js'].flatMap((file) =>
        importsOf(file).map((found) => packageOf(found.specifier)),
      ),
    ]);
    const typed = (name: string): boolean => {
      const plain = name.slice('@types/'.length);
      return name.startsWith('@types/') && (plain === 'node' || elsewhere.has(plain));
    };
    const unused = [
      ...runtime.filter((name) => !program.has(name) && !(name in WITHOUT_IMPORT)),
      ...Object.keys(manifest.devDependencies).filter(
        (name) => !elsewhere.has(name) && !typed(name) && !(name in WITHOUT_IMPORT),
      ),
    ];
    expect(
      unused.filter((name) => !(name in NOT_YET)),
      'nothing imports them',
    ).toEqual([]);
  });

  it('that the program imports are not development packages', () => {
    const builtin = (name: string): boolean => name.startsWith('node:') || name.startsWith('.');
    const missing = [...usedBy('src', 'agents')].filter(
      (name) => !builtin(name) && name !== 'coral' && !runtime.includes(name),
    );
    expect(missing, 'imported by the program but no dependency').toEqual([]);
  });
});
