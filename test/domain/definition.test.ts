import { describe, expect, test } from 'vitest';
import { DEFAULT_TIMEOUTS, NO_RESTART, type AgentDefinition } from '../../src/domain/definition.ts';
import { readDefinition } from '../../src/domain/definition-read.ts';
import type { ReferenceReader } from '../../src/domain/definition-reference.ts';
import { formatPath } from '../../src/domain/problem.ts';
import type { KeyPath } from '../../src/domain/problem.ts';

const MINIMAL = {
  edition: 4,
  agent: {
    name: 'scout',
    version: '1.0.0',
    description: 'Looks around.',
    summary: 'Looks.',
    readme: '# Scout',
    license: { type: 'spdx', expression: 'MIT' },
  },
  runtimes: { executable: { path: './scout' } },
};

const FILES: Record<string, Buffer> = {
  'README.md': Buffer.from('# From a file'),
  'latin.txt': Buffer.from([0xe9]),
  'logo.bin': Buffer.from([0xff, 0x00]),
};
const reader: ReferenceReader = {
  file: async (path) => {
    const found = FILES[path];
    if (found === undefined) throw new Error(`${path} does not exist.`);
    return found;
  },
  url: async (url) => Buffer.from(`text of ${url}`),
};

/** The minimal definition with other values at some paths (`a.b.0`); undefined removes a key. */
function withValues(changes: Record<string, unknown>): unknown {
  const file: unknown = structuredClone(MINIMAL);
  for (const [path, value] of Object.entries(changes)) {
    const parts = path.split('.');
    let holder = file as Record<string, unknown>;
    for (const part of parts.slice(0, -1)) holder = (holder[part] ??= {}) as Record<string, unknown>;
    holder[parts.at(-1) ?? ''] = value;
  }
  return file;
}

async function read(changes: Record<string, unknown> = {}) {
  const { definition, problems } = await readDefinition(withValues(changes), reader);
  const at = (severity: string) =>
    problems.filter((p) => p.severity === severity).map((p) => `${formatPath(p.path)}: ${p.message}`);
  return { definition, errors: at('error'), warnings: at('warning') };
}
async function good(changes: Record<string, unknown> = {}): Promise<AgentDefinition> {
  const { definition, errors } = await read(changes);
  expect(errors).toEqual([]);
  if (definition === undefined) throw new Error('no definition');
  return definition;
}

const many = (count: number, entry: (index: number) => unknown = (index) => `k${index}`): unknown[] =>
  Array.from({ length: count }, (_, index) => entry(index));
const named = (count: number, value: unknown): Record<string, unknown> =>
  Object.fromEntries(many(count).map((name) => [name as string, value]));
const option = (fields: object): Record<string, unknown> => ({ 'options.X': fields });
const proxy = (fields: object): Record<string, unknown> => ({
  'llm.proxies': [{ name: 'MAIN', format: { type: 'OpenAI' }, ...fields }],
});

describe('a minimal definition', () => {
  test('reads without a word, and every default is filled in', async () => {
    const { definition, errors, warnings } = await read();
    expect([errors, warnings]).toEqual([[], []]);
    expect(definition).toEqual({
      edition: 4,
      ...MINIMAL.agent,
      capabilities: [],
      keywords: [],
      links: {},
      runtimes: {
        executable: {
          path: './scout',
          arguments: [],
          transport: 'streamable_http',
          environment: {},
          inheritEnvironment: ['PATH', 'HOME', 'LANG', 'LC_*', 'TZ', 'TMPDIR', 'USER', 'SHELL'],
          resources: {},
        },
      },
      options: {},
      restart: NO_RESTART,
      timeouts: DEFAULT_TIMEOUTS,
    });
  });

  test('edition 3 loads unmodified too', async () => {
    const { warnings } = await read({ edition: 3 });
    expect(warnings).toEqual([]);
  });

  test('definitions are plain JSON', async () => {
    const definition = await good({
      'options.WIDE': { type: 'u64', default: 18446744073709551615n, validation: { min: 9007199254740993n } },
      'marketplace.pricing': { amount: 9007199254740993n },
    });
    expect(JSON.parse(JSON.stringify(definition))).toEqual(definition);
    expect(definition.options['WIDE']).toMatchObject({
      default: '18446744073709551615',
      validation: { min: '9007199254740993' },
    });
    expect(definition.marketplace).toEqual({ pricing: { amount: '9007199254740993' } });
  });
});

describe('limits: the largest that fits, the first that does not', () => {
  test.each<[string, Record<string, unknown>, Record<string, unknown>, RegExp]>([
    ['agent.name', { 'agent.name': 'a'.repeat(32) }, { 'agent.name': 'a'.repeat(33) }, /1–32/],
    ['agent.name', { 'agent.name': 'a-1-b' }, { 'agent.name': '' }, /1–32/],
    ['agent.name', { 'agent.name': '1a' }, { 'agent.name': 'a--b' }, /a–z/],
    ['agent.name', { 'agent.name': 'a' }, { 'agent.name': 'A' }, /a–z/],
    ['agent.name', { 'agent.name': 'a-b' }, { 'agent.name': 'a-' }, /a–z/],
    ['agent.version', { 'agent.version': '1.0.0-beta.1+a' }, { 'agent.version': '1.0' }, /semantic version/],
    [
      'agent.version',
      { 'agent.version': `1.0.0-${'a'.repeat(18)}` },
      { 'agent.version': `1.0.0-${'a'.repeat(19)}` },
      /1–24/,
    ],
    ['agent.version', { 'agent.version': '0.0.1' }, { 'agent.version': '01.0.0' }, /semantic version/],
    [
      'agent.description',
      { 'agent.description': 'é'.repeat(1024) },
      { 'agent.description': 'x'.repeat(1025) },
      /1–1024/,
    ],
    ['agent.description', { 'agent.description': 'x' }, { 'agent.description': '' }, /1–1024/],
    ['agent.description', {}, { 'agent.description': undefined }, /missing/],
    ['agent.name', {}, { 'agent.name': undefined }, /missing/],
    ['agent.version', {}, { 'agent.version': 1.0 }, /Must be a string, not a number/],
    ['agent.summary', { 'agent.summary': 'x'.repeat(256) }, { 'agent.summary': 'x'.repeat(257) }, /1–256/],
    ['agent.readme', { 'agent.readme': 'x'.repeat(4096) }, { 'agent.readme': 'x'.repeat(4097) }, /1–4096/],
    ['agent.license.type', {}, { 'agent.license.type': 'mit' }, /`spdx` or `text`/],
    ['agent.license.expression', {}, { 'agent.license.expression': undefined }, /missing/],
    [
      'agent.license.text',
      { 'agent.license': { type: 'text', text: 'x'.repeat(2 * 1024 ** 2) } },
      { 'agent.license': { type: 'text', text: 'x'.repeat(2 * 1024 ** 2 + 1) } },
      /2 MiB/,
    ],
    ['agent.keywords', { 'agent.keywords': many(256) }, { 'agent.keywords': many(257) }, /at most 256/],
    [
      'agent.keywords[0]',
      { 'agent.keywords': ['x'.repeat(64)] },
      { 'agent.keywords': ['x'.repeat(65)] },
      /1–64/,
    ],
    [
      'agent.links',
      { 'agent.links': named(16, 'https://a.b') },
      { 'agent.links': named(17, 'https://a.b') },
      /at most 16/,
    ],
    [
      'agent.links.1a',
      { 'agent.links': { 'a-1_B': 'mailto:a@b.c' } },
      { 'agent.links': { '1a': 'mailto:a@b.c' } },
      /1–32 characters/,
    ],
    [
      `agent.links.${'a'.repeat(33)}`,
      { 'agent.links': { ['a'.repeat(32)]: 'tel:+1' } },
      { 'agent.links': { ['a'.repeat(33)]: 'tel:+1' } },
      /1–32/,
    ],
    [
      'agent.links.a',
      { 'agent.links': { a: 'https://x' } },
      { 'agent.links': { a: 'http://x' } },
      /https, mailto or tel/,
    ],
    [
      'agent.links.a',
      { 'agent.links': { a: `https://${'x'.repeat(248)}` } },
      { 'agent.links': { a: `https://${'x'.repeat(249)}` } },
      /1–256/,
    ],
    ['runtimes', {}, { runtimes: {} }, /at least one runtime/],
    ['runtimes', {}, { runtimes: undefined }, /missing/],
    [
      'runtimes.docker.image',
      { 'runtimes.docker': { image: 'x'.repeat(512) } },
      { 'runtimes.docker': { image: 'x'.repeat(513) } },
      /1–512/,
    ],
    [
      'runtimes.docker.command',
      { 'runtimes.docker': { image: 'x', command: many(1024, () => '') } },
      { 'runtimes.docker': { image: 'x', command: many(1025, () => '') } },
      /1024 entries/,
    ],
    [
      'runtimes.docker.command',
      { 'runtimes.docker': { image: 'x', command: ['x'.repeat(2048)] } },
      { 'runtimes.docker': { image: 'x', command: ['x'.repeat(2048), 'y'] } },
      /2 KiB/,
    ],
    [
      'runtimes.executable.path',
      { 'runtimes.executable.path': 'x'.repeat(4096) },
      { 'runtimes.executable.path': 'x'.repeat(4097) },
      /1–4096/,
    ],
    ['runtimes.executable.path', {}, { 'runtimes.executable.path': '' }, /1–4096/],
    [
      'runtimes.executable.arguments',
      { 'runtimes.executable.arguments': many(1024, () => '') },
      { 'runtimes.executable.arguments': many(1025, () => '') },
      /1024 entries/,
    ],
    [
      'runtimes.executable.arguments',
      { 'runtimes.executable.arguments': ['é'.repeat(1024)] },
      { 'runtimes.executable.arguments': ['é'.repeat(1025)] },
      /2 KiB/,
    ],
    [
      'runtimes.executable.transport',
      { 'runtimes.executable.transport': 'sse' },
      { 'runtimes.executable.transport': 'ws' },
      /`streamable_http` or `sse`/,
    ],
    [
      'options',
      { options: named(512, { type: 'bool' }) },
      { options: named(513, { type: 'bool' }) },
      /at most 512/,
    ],
    ['options.1X', { options: { _x$1: { type: 'bool' } } }, { options: { '1X': { type: 'bool' } } }, /1–256/],
    [
      `options.${'X'.repeat(257)}`,
      { options: { ['X'.repeat(256)]: { type: 'bool' } } },
      { options: { ['X'.repeat(257)]: { type: 'bool' } } },
      /1–256/,
    ],
    [
      'options',
      { ...option({ type: 'string', default: 'x'.repeat(6 * 1024 ** 2) }) },
      {
        'options.Y': { type: 'u8', default: 1 },
        ...option({ type: 'string', default: 'x'.repeat(6 * 1024 ** 2) }),
      },
      /6 MiB/,
    ],
    ['options.X.type', option({ type: 'list[blob]' }), option({ type: 'list[bool]' }), /no known type/],
    ['options.X.type', {}, option({}), /missing/],
    [
      'options.X.transport',
      option({ type: 'u8', transport: 'fs' }),
      option({ type: 'u8', transport: 'file' }),
      /`env` or `fs`/,
    ],
    [
      'options.X.display.label',
      option({ type: 'u8', display: { label: 'x'.repeat(64) } }),
      option({ type: 'u8', display: { label: 'x'.repeat(65) } }),
      /1–64/,
    ],
    [
      'options.X.display.description',
      option({ type: 'u8', display: { description: 'x'.repeat(1024) } }),
      option({ type: 'u8', display: { description: 'x'.repeat(1025) } }),
      /1–1024/,
    ],
    [
      'options.X.display.group',
      option({ type: 'u8', display: { group: 'x'.repeat(64) } }),
      option({ type: 'u8', display: { group: '' } }),
      /1–64/,
    ],
    [
      'options.X.default',
      option({ type: 'u8', default: 255 }),
      option({ type: 'u8', default: 256 }),
      /0 to 255/,
    ],
    [
      'options.X.default',
      option({ type: 'string', default: 'a', validation: { variants: ['a'] } }),
      option({ type: 'string', default: 'b', validation: { variants: ['a'] } }),
      /one of "a"/,
    ],
    [
      'options.X.validation.regex',
      option({ type: 'string', validation: { regex: 'a+' } }),
      option({ type: 'string', validation: { regex: '(' } }),
      /regular expression/,
    ],
    [
      'options.X.validation.min',
      option({ type: 'u64', validation: { min: '1' } }),
      option({ type: 'u64', validation: { min: -1 } }),
      /whole number from 0/,
    ],
    [
      'options.X.validation.variants[1]',
      option({ type: 'u64', validation: { variants: ['1', '2'] } }),
      option({ type: 'u64', validation: { variants: ['1', 'b'] } }),
      /decimal number/,
    ],
    [
      'options.X.validation',
      option({ type: 'u8', validation: { min: 1, max: 1 } }),
      option({ type: 'u8', validation: { min: 2, max: 1 } }),
      /Nothing can fit/,
    ],
    [
      'options.X.validation.min_size',
      option({ type: 'blob', validation: { min_size: { size: 1.5, unit: 'MiB' } } }),
      option({ type: 'blob', validation: { min_size: { size: 1, unit: 'XiB' } } }),
      /size such as/,
    ],
    [
      'llm.proxies',
      { 'llm.proxies': many(16, () => ({ name: 'A', format: { type: 'OpenAI' } })) },
      { 'llm.proxies': many(17, () => ({ name: 'A', format: { type: 'OpenAI' } })) },
      /at most 16/,
    ],
    ['llm.proxies[0].name', proxy({ name: 'A_1'.padEnd(32, 'X') }), proxy({ name: 'X'.repeat(33) }), /1–32/],
    ['llm.proxies[0].name', proxy({ name: '1' }), proxy({ name: 'main' }), /A–Z/],
    ['llm.proxies[0].models', proxy({ models: many(32) }), proxy({ models: many(33) }), /at most 32/],
    [
      'llm.proxies[0].models[0]',
      proxy({ models: ['x'.repeat(128)] }),
      proxy({ models: ['x'.repeat(129)] }),
      /1–128/,
    ],
    [
      'llm.proxies[0].format.type',
      proxy({}),
      proxy({ format: { type: 'Gemini' } }),
      /`OpenAI` or `Anthropic`/,
    ],
    ['restart.policy', { 'restart.policy': 'on_failure' }, { 'restart.policy': 'sometimes' }, /`never` or/],
    ['restart.delay', { 'restart.delay': '500ms' }, { 'restart.delay': 'soon' }, /a duration such as/],
    ['timeouts.stop', { 'timeouts.stop': 250 }, { 'timeouts.stop': -1 }, /a duration such as/],
    [
      'runtimes.docker.resources.memory',
      { 'runtimes.docker': { image: 'x', resources: { memory: '512MiB' } } },
      { 'runtimes.docker': { image: 'x', resources: { memory: 'lots' } } },
      /a size such as/,
    ],
    [
      'runtimes.executable.environment.A',
      { 'runtimes.executable.environment': { A: 1, B: true } },
      { 'runtimes.executable.environment': { A: 1.5 } },
      /quotes/,
    ],
    ['edition', {}, { edition: 5 }, /supports the editions 3 and 4/],
  ])('%s', async (key, fits, breaks, limit) => {
    expect((await read(fits)).errors).toEqual([]);
    const { definition, errors } = await read(breaks);
    expect(definition).toBeUndefined();
    expect(errors).toHaveLength(1);
    expect(errors[0]?.startsWith(`${key}: `), errors[0]).toBe(true);
    expect(errors[0]).toMatch(limit);
  });

  test('all faults of a file come at once', async () => {
    const { errors } = await read({
      'agent.name': 'No',
      'agent.version': '1',
      'options.A': { type: 'u8', default: -1 },
      'options.B': { type: 'what' },
      'timeouts.stop': 'never',
    });
    expect(errors.map((line) => line.split(':')[0])).toEqual([
      'agent.name',
      'agent.version',
      'options.B.type',
      'timeouts.stop',
      'options.A.default',
    ]);
  });
});

describe('lenient readings, each with a warning that names the modern spelling', () => {
  test.each<[string, Record<string, unknown>, RegExp, Partial<AgentDefinition>]>([
    ['no edition', { edition: undefined }, /^edition: .*`edition = 4`/, { edition: 1 }],
    ['an old edition', { edition: 2 }, /^edition: .*`edition = 4`/, { edition: 2 }],
    [
      'command for path and arguments',
      { 'runtimes.executable': { command: ['bash', '-c', 'x'] } },
      /^runtimes\.executable\.command: .*`path` and `arguments`/,
      { runtimes: { executable: expect.objectContaining({ path: 'bash', arguments: ['-c', 'x'] }) } },
    ],
    [
      'a list of options as environment',
      { 'runtimes.executable': { path: 'x', environment: [{ option: 'A' }, { name: 'B', value: 'b' }] } },
      /^runtimes\.executable\.environment: /,
      { runtimes: { executable: expect.objectContaining({ environment: { B: 'b' } }) } },
    ],
    [
      'number',
      option({ type: 'number', default: 42 }),
      /^options\.X\.type: .*`f64`/,
      { options: { X: expect.objectContaining({ type: 'f64', default: 42 }) } },
    ],
    [
      'list[number]',
      option({ type: 'list[number]' }),
      /^options\.X\.type: .*`list\[f64\]`/,
      { options: { X: expect.objectContaining({ type: 'list[f64]', default: [] }) } },
    ],
    [
      'secret',
      option({ type: 'secret' }),
      /^options\.X\.type: .*`secret = true`/,
      { options: { X: expect.objectContaining({ type: 'string', secret: true }) } },
    ],
    [
      'description of an option',
      option({ type: 'u8', description: 'How many' }),
      /^options\.X\.description: .*`display\.description`/,
      { options: { X: expect.objectContaining({ display: { description: 'How many' } }) } },
    ],
    ['missing readme', { 'agent.readme': undefined }, /^agent\.readme: .*missing/, {}],
    ['missing summary', { 'agent.summary': undefined }, /^agent\.summary: .*missing/, {}],
    ['missing license', { 'agent.license': undefined }, /^agent\.license: .*missing/, {}],
    [
      'sdpx',
      { 'agent.license': { type: 'sdpx', expression: 'MIT' } },
      /^agent\.license\.type: .*`spdx`/,
      { license: { type: 'spdx', expression: 'MIT' } },
    ],
    [
      'a license that is a word',
      { 'agent.license': 'MIT' },
      /^agent\.license: .*spdx/,
      { license: { type: 'spdx', expression: 'MIT' } },
    ],
    [
      'a proxy format that is a word',
      proxy({ format: 'openai' }),
      /^llm\.proxies\[0\]\.format: .*`format\.type = "OpenAI"`/,
      { llm: { proxies: [{ name: 'MAIN', format: { type: 'OpenAI' }, models: [] }] } },
    ],
    [
      'a proxy with one model',
      proxy({ model: 'gpt-9' }),
      /^llm\.proxies\[0\]\.model: .*`models = \["gpt-9"\]`/,
      { llm: { proxies: [{ name: 'MAIN', format: { type: 'OpenAI' }, models: ['gpt-9'] }] } },
    ],
    ['an unknown capability', { 'agent.capabilities': ['flying'] }, /^agent\.capabilities\[0\]: /, {}],
    [
      'validation of another type',
      option({ type: 'u8', validation: { regex: 'a' } }),
      /^options\.X\.validation\.regex: Means nothing for u8/,
      {},
    ],
    ['an unknown key', { 'agent.sumary': 'x' }, /^agent\.sumary: .*`summary`/, {}],
    ['an unknown section', { 'llm.provider': 'x' }, /^llm\.provider: /, {}],
    [
      'an unknown key deep in a list',
      { 'runtimes.docker': { image: 'x', volumes: [{ host: 'a', container: '/a', readOnly: true }] } },
      /^runtimes\.docker\.volumes\[0\]\.readOnly: .*`read_only`/,
      {},
    ],
  ])('%s', async (_what, changes, sentence, expected) => {
    const { definition, errors, warnings } = await read(changes);
    expect(errors).toEqual([]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(sentence);
    expect(definition).toMatchObject(expected);
  });

  test('what the marketplace says is kept and not judged', async () => {
    const marketplace = { pricing: { whatever: [1, { deep: true }] } };
    const { definition, warnings } = await read({ marketplace });
    expect(warnings).toEqual([]);
    expect(definition?.marketplace).toEqual(marketplace);
  });
});

describe('runtimes and other keys of ours', () => {
  test('docker', async () => {
    const { runtimes } = await good({
      'runtimes.docker': {
        image: 'acme/scout',
        resources: { memory: '1GiB', cpus: 1.5, gpus: 'all', shm: { size: 64, unit: 'MiB' } },
        read_only: true,
        user: 1000,
        volumes: [{ host: './data', container: '/data' }],
      },
    });
    expect(runtimes.docker).toEqual({
      image: 'acme/scout',
      transport: 'streamable_http',
      environment: {},
      resources: { memory: 1_073_741_824, cpus: 1.5, gpus: 'all', shm: 67_108_864 },
      network: 'session',
      readOnly: true,
      user: '1000',
      pull: 'missing',
      volumes: [{ host: './data', container: '/data', readOnly: false }],
      capabilities: [],
    });
  });

  test('function and scripted', async () => {
    const { runtimes } = await good({
      runtimes: {
        function: { module: './agent.js' },
        scripted: { run_for: '2s', exit_code: 3, output: ['hello'], flood: 10, start_delay: 5 },
      },
    });
    expect(runtimes.function).toEqual({
      module: './agent.js',
      export: 'default',
      transport: 'streamable_http',
    });
    expect(runtimes.scripted).toEqual({
      runFor: 2_000,
      exitCode: 3,
      ignoreStop: false,
      output: ['hello'],
      flood: 10,
      startDelay: 5,
      transport: 'streamable_http',
    });
  });

  test('restart and timeouts', async () => {
    const { restart, timeouts } = await good({
      restart: { policy: 'always', max_restarts: 1, delay: '2s', max_delay: 5_000 },
      timeouts: { connect: '1m' },
    });
    expect(restart).toEqual({
      policy: 'always',
      maxRestarts: 1,
      delay: 2_000,
      maxDelay: 5_000,
      stableAfter: 60_000,
      permanentExitCodes: [],
    });
    expect(timeouts).toEqual({ connect: 60_000, stop: 10_000, inactivity: 0 });
  });

  test('a prototype is kept as written, within its limits', async () => {
    const llm = { 'llm.proxies': [{ name: 'MAIN', format: { type: 'OpenAI' } }] };
    const prototype = {
      proxy: 'MAIN',
      iterations: { type: 'option', name: 'X' },
      prompts: {
        system: { base: 'b'.repeat(6 * 1024), extra: { type: 'option', name: 'X' } },
        loop: {
          followup: { type: 'composed_string', separator: ' ', parts: ['a', { type: 'option', name: 'X' }] },
        },
      },
      tools: [
        {
          type: 'mcp_sse',
          url: { type: 'composed_url', base: 'http://a', parts: [{ type: 'path_segment', value: 'x' }] },
          auth: { type: 'bearer', token: 't' },
        },
      ],
    };
    const X = { 'options.X': { type: 'u32', default: 1 } };
    const { runtimes } = await good({ runtimes: { prototype }, ...llm, ...X });
    expect(runtimes.prototype).toEqual(prototype);

    const broken = {
      proxy: 'OTHER',
      iterations: { type: 'option', name: 'Y' },
      prompts: { system: { base: 'b'.repeat(6 * 1024 + 1) } },
    };
    const { errors } = await read({ runtimes: { prototype: broken }, ...llm, ...X });
    expect(errors).toEqual(['runtimes.prototype.prompts.system.base: Must be at most 6 KiB large.']);
    const { errors: references } = await read({
      runtimes: { prototype: { ...broken, prompts: {} } },
      ...llm,
      ...X,
    });
    expect(references).toEqual([
      expect.stringMatching(/^runtimes\.prototype\.proxy: /),
      expect.stringMatching(/^runtimes\.prototype\.iterations: .*`Y`/),
    ]);
  });
});

describe('references', () => {
  test('stand wherever they may', async () => {
    const definition = await good({
      'agent.description': { type: 'string', value: 'Plain.' },
      'agent.readme': { type: 'file', path: 'README.md' },
      'agent.summary': { type: 'url', url: 'https://a.b/c' },
      'agent.license': { type: 'text', text: { type: 'file', path: 'latin.txt', encoding: 'latin1' } },
      'options.S': { type: 'string', default: { type: 'file', path: 'README.md', base64: true } },
      'options.B': { type: 'blob', default: { type: 'file', path: 'logo.bin' } },
      'options.L': { type: 'list[string]', default: ['a', { type: 'string', value: 'b' }] },
    });
    expect(definition).toMatchObject({
      description: 'Plain.',
      readme: '# From a file',
      summary: 'text of https://a.b/c',
      license: { type: 'text', text: 'é' },
    });
    expect(definition.options['S']?.default).toBe(Buffer.from('# From a file').toString('base64'));
    expect(definition.options['B']?.default).toBe('/wA=');
    expect(definition.options['L']?.default).toEqual(['a', 'b']);
  });

  test.each<[string, Record<string, unknown>, KeyPath, RegExp]>([
    [
      'a missing file',
      { 'agent.readme': { type: 'file', path: 'no.md' } },
      ['agent', 'readme'],
      /no\.md does not exist/,
    ],
    [
      'bytes that are no text',
      { 'agent.readme': { type: 'file', path: 'logo.bin' } },
      ['agent', 'readme'],
      /not valid UTF-8/,
    ],
    [
      'an unknown encoding',
      { 'agent.readme': { type: 'file', path: 'README.md', encoding: 'klingon' } },
      ['agent', 'readme'],
      /klingon is not known/,
    ],
    [
      'a constant',
      { 'agent.summary': { type: 'constant', name: 'X' } },
      ['agent', 'summary'],
      /no constants/,
    ],
    ['a file without path', { 'agent.readme': { type: 'file' } }, ['agent', 'readme'], /under `path`/],
    [
      'an element of a list',
      option({ type: 'list[string]', default: ['a', { type: 'file', path: 'no' }] }),
      ['options', 'X', 'default', 1],
      /does not exist/,
    ],
    [
      'a type that is none',
      { 'agent.readme': { type: 'ftp' } },
      ['agent', 'readme'],
      /Must be a string, not a mapping/,
    ],
  ])('%s is one error', async (_what, changes, path, sentence) => {
    const { errors } = await read(changes);
    expect(errors).toEqual([expect.stringMatching(sentence)]);
    expect(errors[0]?.startsWith(formatPath(path))).toBe(true);
  });

  test('a text behind a reference is held to the same limit', async () => {
    const { errors } = await read({
      'agent.summary': { type: 'url', url: `https://a.b/${'x'.repeat(256)}` },
    });
    expect(errors[0]).toMatch(/^agent\.summary: Must be 1–256/);
  });
});
