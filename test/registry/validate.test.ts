import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Registry } from '../../src/ports/registry.ts';
import { openRegistry } from '../../src/registry/files.ts';
import { validateFile } from '../../src/registry/validate.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/registry', import.meta.url));
let base: string;
let registry: Registry;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'coral-validate-'));
  registry = await openRegistry({
    patterns: [join(FIXTURES, 'modern-yaml')],
    base,
    teams: [],
    watch: false,
    now: () => 0,
    warn: () => undefined,
  });
});
afterAll(async () => {
  await registry.close();
  await rm(base, { recursive: true, force: true });
});

async function file(name: string, text: string): Promise<string> {
  const path = join(base, name);
  await writeFile(path, text);
  return path;
}

test('a good definition', async () => {
  const path = join(FIXTURES, 'modern-toml', 'coral-agent.toml');
  expect(await validateFile(path)).toEqual({ kind: 'definition', faults: [], name: 'surveyor@2.1.0' });
});

test('a definition by its keys, with every fault and its line', async () => {
  const path = await file(
    'mine.yaml',
    'edition: 4\nagent:\n  name: No\n  version: x\n  description: x\nruntimes: {}\n',
  );
  const { kind, faults, name } = await validateFile(path);
  expect([kind, name]).toEqual(['definition', undefined]);
  expect(
    faults.filter(({ severity }) => severity === 'error').map(({ line, key }) => `${line}:${key}`),
  ).toEqual(['3:agent.name', '4:agent.version', '6:runtimes']);
});

test('a team, alone and against a registry', async () => {
  const path = await file(
    'team.yaml',
    'agents:\n  a:\n    use: surveyor\n    options:\n      ROOT: 5\n      LIMT: "1"\n',
  );
  expect(await validateFile(path)).toEqual({ kind: 'team', faults: [], name: 'team' });
  const { faults } = await validateFile(path, registry);
  expect(faults).toEqual([
    {
      severity: 'error',
      file: path,
      line: 5,
      key: 'agents.a.options.ROOT',
      message: expect.stringMatching(/quotes/),
    },
    {
      severity: 'error',
      file: path,
      line: 6,
      key: 'agents.a.options.LIMT',
      message: expect.stringMatching(/`LIMIT`/),
    },
  ]);
});

test.each([
  ['coral.config.yaml', 'network: {bindPort: 1}\n', 'configuration', 0],
  ['other-config.toml', '[network]\nbindPort = 1\n', 'configuration', 0],
  ['broken-team.yaml', 'agents:\n  a: [x\n', 'team', 1],
  ['broken.toml', 'a = \n', 'unknown', 1],
  ['what.yaml', 'hello: world\n', 'unknown', 1],
])('%s', async (name, text, kind, count) => {
  const found = await validateFile(await file(name, text));
  expect(found.kind).toBe(kind);
  expect(found.faults.length).toBeGreaterThanOrEqual(count);
  expect(found.faults.length > 0).toBe(count > 0);
});

test('a file that is not there', async () => {
  const path = join(base, 'nowhere.yaml');
  expect(await validateFile(path)).toEqual({
    kind: 'unknown',
    faults: [{ severity: 'error', file: path, message: `${path} does not exist.` }],
  });
});
