import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { formatPath } from '../../src/domain/problem.ts';
import type { Fault, Registry } from '../../src/ports/registry.ts';
import { openRegistry } from '../../src/registry/files.ts';
import type { RegistryOptions } from '../../src/registry/files.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/registry', import.meta.url));

let base: string;
const opened: Registry[] = [];
const told: Fault[] = [];

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'coral-registry-'));
});
afterEach(async () => {
  for (const registry of opened.splice(0)) await registry.close();
  told.length = 0;
  await rm(base, { recursive: true, force: true });
});

async function open(options: Partial<RegistryOptions> = {}): Promise<Registry> {
  const registry = await openRegistry({
    patterns: ['registry/*'],
    base,
    teams: ['teams/*.yaml'],
    watch: false,
    now: () => 1_700_000_000_000,
    warn: (fault) => told.push(fault),
    ...options,
  });
  opened.push(registry);
  return registry;
}

async function put(path: string, text: string): Promise<string> {
  const file = join(base, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}
function definition(name: string, version = '1.0.0', more = ''): string {
  return `edition: 4
agent: {name: ${name}, version: ${version}, description: x, summary: x, readme: x, license: {type: spdx, expression: MIT}}
runtimes: {scripted: {}}
${more}`;
}
const ids = (registry: Registry): string[] =>
  registry.agents().map(({ definition: { name, version } }) => `${name}@${version}`);
const errors = (registry: Registry): Fault[] =>
  registry.faults().filter(({ severity }) => severity === 'error');
const soon = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 20 });

describe('reading', () => {
  test('TOML and YAML give the same definition, with full-width values', async () => {
    const registry = await open({ patterns: [FIXTURES + '/modern-yaml'] });
    const other = await open({ patterns: [FIXTURES + '/modern-toml'] });
    expect([...registry.faults(), ...other.faults()].filter((f) => f.file.includes('coral-agent'))).toEqual(
      [],
    );
    const [yaml] = registry.agents();
    const [toml] = other.agents();
    expect(toml?.definition).toEqual(yaml?.definition);
    expect(yaml?.definition).toMatchObject({
      readme: '# Surveyor\n\nCounts.\n',
      options: {
        SEED: { default: '9223372036854775807', validation: { min: '-9223372036854775808' } },
        LIMIT: { default: '18446744073709551615' },
        LOGO: { default: '/wAB', validation: { maxSize: 1_572_864 } },
        NAMES: { default: ['a', 'b'] },
      },
      runtimes: { executable: { environment: { MODE: 'fast', RETRIES: '3' } } },
    });
    expect(yaml).toMatchObject({
      source: { type: 'local' },
      file: join(FIXTURES, 'modern-yaml', 'coral-agent.yaml'),
      folder: join(FIXTURES, 'modern-yaml'),
    });
  });

  test('what is in the wild loads with warnings that have their lines', async () => {
    const registry = await open({ patterns: [join(FIXTURES, 'old', 'coral-agent.toml')] });
    expect(registry.newest('veteran')?.definition).toMatchObject({
      edition: 1,
      runtimes: { executable: { path: 'bash', arguments: ['-c', './run_agent.sh main.py'] } },
      options: {
        MODEL_API_KEY: { type: 'string', secret: true, display: { description: 'Key of the provider' } },
        MAX_ITERATIONS: { type: 'f64', default: 10 },
        BYTES: { type: 'blob', default: 'SGk=' },
      },
      llm: { proxies: [{ name: 'MAIN', format: { type: 'OpenAI' }, models: ['some-model'] }] },
    });
    const faults = registry.faults().filter(({ file }) => file.endsWith('.toml'));
    expect(new Set(faults.map(({ severity }) => severity))).toEqual(new Set(['warning']));
    expect(faults.map(({ key, line }) => `${line}:${key}`)).toEqual([
      'undefined:edition',
      '2:agent.summary',
      '2:agent.readme',
      '2:agent.license',
      '18:runtimes.executable.command',
      '8:options.MODEL_API_KEY.type',
      '8:options.MODEL_API_KEY.description',
      '9:options.MAX_ITERATIONS.type',
      '9:options.MAX_ITERATIONS.description',
      '14:llm.proxies[0].format',
      '15:llm.proxies[0].model',
    ]);
  });

  test('a pattern is a folder, a file, or has wildcards', async () => {
    await put('one/coral-agent.yaml', definition('one'));
    await put('two/special.yaml', definition('two'));
    await put('many/a/coral-agent.yaml', definition('a'));
    await put(
      'many/b/coral-agent.toml',
      'edition = 4\n[agent]\nname="b"\nversion="1.0.0"\ndescription="x"\n[runtimes.scripted]\n',
    );
    await put('many/README.md', 'not ours');
    await put('many/other.yaml', 'not: ours');
    await put('many/single.yaml', definition('single'));
    const { agent, ...rest } = parse(definition('json')) as Record<string, unknown>;
    await put('many/json.yaml', JSON.stringify({ ...rest, agent }));
    await put('many/broken.yaml', 'edition: 4\nagent: {\n');
    await put('many/.hidden/coral-agent.yaml', definition('hidden'));
    await put('deep/x/y/coral-agent.yaml', definition('deep'));
    await put('deep/node_modules/z/coral-agent.yaml', definition('never'));
    const registry = await open({ patterns: ['one', 'two/special.yaml', 'many/*', 'deep/**'] });
    expect(ids(registry)).toEqual([
      'a@1.0.0',
      'b@1.0.0',
      'deep@1.0.0',
      'json@1.0.0',
      'one@1.0.0',
      'single@1.0.0',
      'two@1.0.0',
    ]);
    expect(errors(registry).map(({ file }) => file)).toEqual([join(base, 'many/broken.yaml')]);
  });

  test('the home folder’s agents come after the patterns, the built-in ones before', async () => {
    await put('home/.coral/agents/mine/coral-agent.yaml', definition('mine'));
    await put('home/.coral/agents/same/coral-agent.yaml', definition('same'));
    const same = await put('registry/same/coral-agent.yaml', definition('same'));
    const builtin = await put('built/in.yaml', definition('puppet'));
    await put('registry/puppet/coral-agent.yaml', definition('puppet'));
    const registry = await open({ home: join(base, 'home'), builtin: [builtin] });
    expect(ids(registry)).toEqual(['mine@1.0.0', 'puppet@1.0.0', 'same@1.0.0']);
    expect(registry.newest('same')?.file).toBe(same);
    expect(registry.newest('puppet')?.file).toBe(builtin);
    expect(ids(await open())).not.toContain('mine@1.0.0');
  });

  test('versions are ordered by their meaning, and found exactly', async () => {
    for (const version of ['1.9.0', '1.10.0', '1.10.0-beta.1', '0.9.9'])
      await put(`registry/v${version}/coral-agent.yaml`, definition('a', version));
    const registry = await open();
    expect(ids(registry)).toEqual(['a@1.10.0', 'a@1.10.0-beta.1', 'a@1.9.0', 'a@0.9.9']);
    expect(registry.newest('a')?.definition.version).toBe('1.10.0');
    const local = { name: 'a', version: '1.9.0', registrySourceId: { type: 'local' } } as const;
    expect(registry.find(local)?.definition.version).toBe('1.9.0');
    expect(registry.find({ ...local, version: '2.0.0' })).toBeUndefined();
    expect(registry.find({ ...local, registrySourceId: { type: 'marketplace' } })).toBeUndefined();
    expect(registry.readAt).toBe(1_700_000_000_000);
  });

  test('of two alike the first stays, the second is told with both paths', async () => {
    const first = await put('registry/a/coral-agent.yaml', definition('twin'));
    const second = await put('registry/b/coral-agent.yaml', definition('twin'));
    const registry = await open();
    expect(registry.agents().map(({ file }) => file)).toEqual([first]);
    expect(errors(registry)).toEqual([
      expect.objectContaining({ file: second, message: expect.stringContaining(first) }),
    ]);
    const reversed = await open({ patterns: ['registry/b', 'registry/a'] });
    expect(reversed.agents().map(({ file }) => file)).toEqual([second]);
  });

  test('a broken file is told once, with its line, and the others stay', async () => {
    await put('registry/good/coral-agent.yaml', definition('good'));
    const broken = await put('registry/broken/coral-agent.yaml', 'edition: 4\nagent: [unclosed\n');
    const wrong = await put(
      'registry/wrong/coral-agent.yaml',
      definition('wrong', '1.0.0', 'options:\n  X: {type: what}\n'),
    );
    const registry = await open();
    expect(ids(registry)).toEqual(['good@1.0.0']);
    const found = errors(registry);
    expect(found.find(({ file }) => file === broken)?.line).toBeGreaterThan(1);
    expect(found.find(({ file }) => file === wrong)).toMatchObject({ line: 5, key: 'options.X.type' });
    expect(told.filter(({ severity }) => severity === 'error')).toEqual(found);
  });

  test('what cannot be read is told: binary text, a pattern that means nothing', async () => {
    await put('registry/binary/coral-agent.yaml', '');
    await writeFile(join(base, 'registry/binary/coral-agent.yaml'), Buffer.from([0xff, 0xfe, 0x00]));
    const registry = await open({ patterns: ['registry/*', 'nowhere'], teams: [] });
    expect(registry.faults()).toEqual([
      expect.objectContaining({ severity: 'warning', file: join(base, 'nowhere') }),
      expect.objectContaining({ severity: 'error', message: expect.stringMatching(/not UTF-8/) }),
    ]);
  });

  test.skipIf(process.getuid?.() === 0)('a file that may not be read is told', async () => {
    const file = await put('registry/a/coral-agent.yaml', definition('a'));
    await chmod(file, 0);
    const registry = await open();
    expect(errors(registry)).toEqual([
      expect.objectContaining({ message: expect.stringMatching(/may not be read/) }),
    ]);
  });

  test('references to URLs are fetched; a failing one is an error at its key', async () => {
    const server = createServer((request, response) => {
      if (request.url === '/readme') response.end('# Far away');
      else response.writeHead(404).end();
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const withReadme = (url: string, name: string): string =>
      definition(name).replace('readme: x', `readme: {type: url, url: "${url}"}`);
    await put('registry/a/coral-agent.yaml', withReadme(`${at}/readme`, 'a'));
    await put('registry/b/coral-agent.yaml', withReadme(`${at}/missing`, 'b'));
    const registry = await open();
    server.closeAllConnections();
    server.close();
    expect(registry.newest('a')?.definition.readme).toBe('# Far away');
    expect(errors(registry)).toEqual([
      expect.objectContaining({
        line: 2,
        key: 'agent.readme',
        message: expect.stringMatching(/answered 404/),
      }),
    ]);
  });
});

describe('teams', () => {
  const TEAM = 'agents:\n  a: {use: scout}\n';

  test('are found by name, and ask the registry when they are launched', async () => {
    await put('registry/scout/coral-agent.yaml', definition('scout'));
    await put('teams/report.yaml', `description: Reports.\n${TEAM}`);
    await put('teams/other.yaml', `team: named\n${TEAM}`);
    const registry = await open();
    expect(registry.teams().map(({ name }) => name)).toEqual(['named', 'report']);
    const request = registry.team('report')?.request({}, {});
    expect(request).toMatchObject({
      agentGraphRequest: {
        agents: [{ id: { name: 'scout', version: '1.0.0' }, provider: { runtime: 'scripted' } }],
      },
    });
    expect(registry.team('nope')).toBeUndefined();
  });

  test('of two alike the first stays', async () => {
    const first = await put('teams/a.yaml', `team: same\n${TEAM}`);
    const second = await put('teams/b.yaml', `team: same\n${TEAM}`);
    const registry = await open();
    expect(registry.team('same')?.file).toBe(first);
    expect(errors(registry)).toEqual([
      expect.objectContaining({ file: second, message: expect.stringContaining(first) }),
    ]);
  });

  test('a folder means all its team files', async () => {
    await put('teams/a.yaml', TEAM);
    await put('teams/b.toml', '[agents.a]\nuse = "scout"\n');
    await put('teams/notes.md', 'no team');
    const registry = await open({ teams: ['teams'] });
    expect(registry.teams().map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test('faults have file, line and key in the file’s spelling', async () => {
    const file = await put('teams/a.yaml', `${TEAM}session:\n  hold-it: 5m\n  ttl: x\n`);
    const registry = await open();
    expect(registry.teams()).toEqual([]);
    expect(errors(registry)).toEqual([
      expect.objectContaining({ file, line: 4, key: formatPath(['session', 'hold-it']) }),
      expect.objectContaining({ file, line: 5, key: 'session.ttl' }),
    ]);
  });
});

describe('watching', () => {
  test('adding, changing, breaking, mending and removing a definition shows', async () => {
    await put('registry/a/coral-agent.yaml', definition('a'));
    const registry = await open({ watch: true });
    let changes = 0;
    const stop = registry.onChange(() => changes++);

    await put('registry/b/coral-agent.yaml', definition('b'));
    await soon(() => expect(ids(registry)).toEqual(['a@1.0.0', 'b@1.0.0']));
    await put('registry/b/coral-agent.yaml', definition('b', '2.0.0'));
    await soon(() => expect(ids(registry)).toEqual(['a@1.0.0', 'b@2.0.0']));
    const broken = await put('registry/b/coral-agent.yaml', 'edition: 4\nagent: {\n');
    await soon(() => expect(ids(registry)).toEqual(['a@1.0.0']));
    expect(errors(registry)).toEqual([expect.objectContaining({ file: broken })]);
    expect(errors(registry)[0]?.line).toBeDefined();
    await put('registry/b/coral-agent.yaml', definition('b', '2.1.0'));
    await soon(() => expect(ids(registry)).toEqual(['a@1.0.0', 'b@2.1.0']));
    expect(errors(registry)).toEqual([]);
    await rm(join(base, 'registry/a'), { recursive: true });
    await soon(() => expect(ids(registry)).toEqual(['b@2.1.0']));
    expect(changes).toBeGreaterThanOrEqual(5);

    stop();
    const before = changes;
    await rename(join(base, 'registry/b'), join(base, 'registry/c'));
    await soon(() => expect(registry.agents()[0]?.file).toBe(join(base, 'registry/c/coral-agent.yaml')));
    expect(changes).toBe(before);
  });

  test('of changes in quick succession the last one shows', async () => {
    const registry = await open({ watch: true });
    for (let round = 0; round < 6; round++) {
      for (let patch = 0; patch < 8; patch++)
        await put('registry/a/coral-agent.yaml', definition('a', `${round}.0.${patch}`));
      await soon(() => expect(ids(registry)).toEqual([`a@${round}.0.7`]));
      await put('registry/a/coral-agent.yaml', definition('a', `${round}.1.0`));
      await soon(() => expect(ids(registry)).toEqual([`a@${round}.1.0`]));
    }
  });

  test('folders that did not exist are seen when they come, go and come again', async () => {
    const registry = await open({ watch: true, patterns: ['deep/down/*'] });
    expect(registry.agents()).toEqual([]);
    await put('deep/down/a/coral-agent.yaml', definition('a'));
    await soon(() => expect(ids(registry)).toEqual(['a@1.0.0']));
    await rm(join(base, 'deep'), { recursive: true });
    await soon(() => expect(ids(registry)).toEqual([]));
    await put('deep/down/a/coral-agent.yaml', definition('a', '2.0.0'));
    await soon(() => expect(ids(registry)).toEqual(['a@2.0.0']));
  });

  test('a folder moved into place as a whole is seen', async () => {
    const registry = await open({ watch: true });
    await put('elsewhere/a/coral-agent.yaml', definition('a'));
    await mkdir(join(base, 'registry'));
    await rename(join(base, 'elsewhere/a'), join(base, 'registry/a'));
    await soon(() => expect(ids(registry)).toEqual(['a@1.0.0']));
  });

  test('what a definition refers to is watched too, even where it is not there yet', async () => {
    const text = definition('a').replace('readme: x', 'readme: {type: file, path: ../../shared/README.md}');
    await put('registry/a/coral-agent.yaml', text);
    const registry = await open({ watch: true });
    expect(ids(registry)).toEqual([]);
    await put('shared/README.md', 'first');
    await soon(() => expect(registry.newest('a')?.definition.readme).toBe('first'));
    await put('shared/README.md', 'second');
    await soon(() => expect(registry.newest('a')?.definition.readme).toBe('second'));
  });

  test('links are followed', async () => {
    await put('real/a/coral-agent.yaml', definition('a'));
    await mkdir(join(base, 'registry'));
    await symlink(join(base, 'real/a'), join(base, 'registry/a'));
    const registry = await open({ watch: true });
    expect(ids(registry)).toEqual(['a@1.0.0']);
    await put('real/a/coral-agent.yaml', definition('a', '1.1.0'));
    await soon(() => expect(ids(registry)).toEqual(['a@1.1.0']));
  });

  test('teams come and go', async () => {
    const registry = await open({ watch: true });
    await put('teams/a.yaml', 'agents:\n  a: {use: scout}\n');
    await soon(() => expect(registry.team('a')).toBeDefined());
    await put('teams/a.yaml', 'agents: 5\n');
    await soon(() => expect(registry.team('a')).toBeUndefined());
    expect(errors(registry)).toHaveLength(1);
    await rm(join(base, 'teams/a.yaml'));
    await soon(() => expect(errors(registry)).toEqual([]));
  });

  test('without watching, a rescan finds the same', async () => {
    const registry = await open({ rescanMs: 20 });
    await put('registry/a/coral-agent.yaml', definition('a'));
    await soon(() => expect(ids(registry)).toEqual(['a@1.0.0']));
  });

  test('looking again at what has not changed changes nothing and says nothing twice', async () => {
    await put('registry/a/coral-agent.yaml', definition('a', '1.0.0', 'strange: key\n'));
    let clock = 0;
    const registry = await open({ rescanMs: 10, teams: [], now: () => ++clock });
    let changes = 0;
    registry.onChange(() => changes++);
    const [agent] = registry.agents();
    const seen = registry.readAt;
    await soon(() => expect(registry.readAt).toBeGreaterThan(seen + 3));
    expect(changes).toBe(0);
    expect(registry.agents()[0]?.definition).toBe(agent?.definition);
    expect(told).toEqual([expect.objectContaining({ key: 'strange' })]);
  });
});
