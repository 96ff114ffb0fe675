import { describe, expect, test } from 'vitest';
import type { RegistryAgent } from '../../src/domain/definition.ts';
import { readDefinition } from '../../src/domain/definition-read.ts';
import { formatPath } from '../../src/domain/problem.ts';
import { parseTeam } from '../../src/domain/team-read.ts';
import type { AgentLookup } from '../../src/domain/team-agent.ts';
import type { Team, TeamRun } from '../../src/domain/team.ts';
import { isSource, parseSource } from '../../src/registry/source.ts';

const FILE = '/somewhere/repo-report.yaml';
const LOCAL = { type: 'local' } as const;

async function agent(name: string, version: string, more: object = {}): Promise<RegistryAgent> {
  const { definition, problems } = await readDefinition(
    {
      edition: 4,
      agent: {
        name,
        version,
        description: 'x',
        summary: 'x',
        readme: 'x',
        license: { type: 'spdx', expression: 'MIT' },
      },
      runtimes: { executable: { path: './x' } },
      ...more,
    },
    { file: () => Promise.reject(new Error('none')), url: () => Promise.reject(new Error('none')) },
  );
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  return {
    definition,
    source: LOCAL,
    file: `/r/${name}/coral-agent.yaml`,
    folder: `/r/${name}`,
  };
}

const agents = [
  await agent('scout', '1.0.0', { options: { ROOT: { type: 'string', required: true } } }),
  await agent('scout', '1.1.0', {
    options: { ROOT: { type: 'string' }, DEPTH: { type: 'u32' }, WIDE: { type: 'u64' } },
  }),
  await agent('analyst', '1.0.0'),
  await agent('writer', '1.0.0', {
    runtimes: { docker: { image: 'w' }, executable: { path: './w' } },
    options: {
      OUTPUT: { type: 'string' },
      API_KEY: { type: 'string', secret: true },
      PIN: { type: 'u32', secret: true },
      TAGS: { type: 'list[string]' },
      RATE: { type: 'f64' },
    },
  }),
];
const lookup: AgentLookup = {
  agents: () => agents,
  find: (id) =>
    id.registrySourceId.type === 'local'
      ? agents.find(({ definition: d }) => d.name === id.name && d.version === id.version)
      : undefined,
  newest: (name) => agents.filter(({ definition: d }) => d.name === name).at(-1),
};

function reading(text: string) {
  const source = parseSource(text, FILE);
  if (!isSource(source)) throw new Error(JSON.stringify(source.faults));
  const { team, problems, check } = parseTeam(source, FILE, lookup);
  const say = (found: typeof problems) =>
    found.map(({ path, message }) => `${source.locate(path)?.line}:${formatPath(path)}: ${message}`);
  return { team, problems: say(problems), check: () => say(check()) };
}
function team(text: string): Team {
  const { team: found, problems } = reading(text);
  expect(problems).toEqual([]);
  if (found === undefined) throw new Error('no team');
  return found;
}
function request(text: string, run: TeamRun = {}, environment: Record<string, string> = {}, show = false) {
  const made = team(text).request(run, environment, show);
  if (!('agentGraphRequest' in made)) throw new Error(JSON.stringify(made));
  return made;
}
function issues(text: string, run: TeamRun = {}, environment: Record<string, string> = {}): string[] {
  const made = team(text).request(run, environment);
  return 'agentGraphRequest' in made ? [] : made.map(({ path, message }) => `${path}: ${message}`);
}

const REPORT = `team: repo-report
description: Surveys a repository and writes a Markdown report.
inputs:
  path:   {description: Folder to look at, default: .}
  output: {description: Where the report goes, default: report.md}
agents:
  scout:
    use: scout@1.0.0
    runtime: executable
    options: {ROOT: "\${inputs.path}"}
  analyst: {use: analyst@1.0.0}
  writer:
    use: writer@1.0.0
    options: {OUTPUT: "\${inputs.output}", API_KEY: "\${env.WRITER_KEY}"}
    prompt: Write for engineers.
    tools: [publish]
    plugins: [close_session_tool]
    blocking: true
    restart: {policy: on_failure, max_restarts: 2}
    annotations: {tier: gold}
groups: [[scout, analyst, writer]]
tools:
  publish: {url: "http://127.0.0.1:9000/publish", description: Publishes the report, input: {type: object, properties: {title: {type: string}}, required: [title]}}
session:
  namespace: reports
  ttl: 5m
  persistence: {hold_after_exit: 10m}
  webhooks: {session_end: "https://example.com/hook"}
  extended_end_report: true
  annotations: {owner: me}
`;

describe('the example of the documentation', () => {
  test('says what it is', () => {
    const report = team(REPORT);
    expect(report).toMatchObject({
      name: 'repo-report',
      description: 'Surveys a repository and writes a Markdown report.',
      inputs: {
        path: { description: 'Folder to look at', default: '.' },
        output: { description: 'Where the report goes', default: 'report.md' },
      },
      agents: ['scout', 'analyst', 'writer'],
      file: FILE,
    });
  });

  test('means exactly one session request', () => {
    const plain = { customToolAccess: [], plugins: [], x402Budgets: [], proxies: {}, annotations: {} };
    const local = { type: 'local', runtime: 'executable' };
    expect(request(REPORT, { inputs: { path: '/src' } }, { WRITER_KEY: 'hunter2' })).toEqual({
      agentGraphRequest: {
        agents: [
          {
            ...plain,
            id: { name: 'scout', version: '1.0.0', registrySourceId: LOCAL },
            name: 'scout',
            options: { ROOT: { type: 'string', value: '/src' } },
            provider: local,
          },
          {
            ...plain,
            id: { name: 'analyst', version: '1.0.0', registrySourceId: LOCAL },
            name: 'analyst',
            options: {},
            provider: local,
          },
          {
            ...plain,
            id: { name: 'writer', version: '1.0.0', registrySourceId: LOCAL },
            name: 'writer',
            options: {
              OUTPUT: { type: 'string', value: 'report.md' },
              API_KEY: { type: 'string', value: 'hunter2' },
            },
            provider: local,
            systemPrompt: 'Write for engineers.',
            blocking: true,
            customToolAccess: ['publish'],
            plugins: [{ type: 'close_session_tool' }],
            restart: { policy: 'on_failure', maxRestarts: 2 },
            annotations: { tier: 'gold' },
          },
        ],
        groups: [['scout', 'analyst', 'writer']],
        customTools: {
          publish: {
            transport: {
              type: 'http',
              url: 'http://127.0.0.1:9000/publish',
              signatureHeader: 'X-Coral-Signature',
            },
            description: 'Publishes the report',
            inputSchema: { type: 'object', properties: { title: { type: 'string' } }, required: ['title'] },
          },
        },
      },
      namespaceProvider: {
        type: 'create_if_not_exists',
        namespaceRequest: { name: 'reports', deleteOnLastSessionExit: true, annotations: {} },
      },
      execution: {
        mode: 'immediate',
        runtimeSettings: {
          ttl: 300_000,
          extendedEndReport: true,
          persistenceMode: { mode: 'hold_after_exit', duration: 600_000 },
          webhooks: { sessionEnd: { url: 'https://example.com/hook' } },
        },
      },
      annotations: { owner: 'me' },
    });
  });

  test('is the same in any spelling of its keys', () => {
    const kebab = REPORT.replace('max_restarts', 'max-restarts').replace(
      'hold_after_exit',
      'hold-after-exit',
    );
    const camel = REPORT.replace('session_end', 'sessionEnd').replace(
      'extended_end_report',
      'extendedEndReport',
    );
    const environment = { WRITER_KEY: 'k' };
    expect(request(kebab, {}, environment)).toEqual(request(REPORT, {}, environment));
    expect(request(camel, {}, environment)).toEqual(request(REPORT, {}, environment));
  });

  test('the run adds its annotations, namespace and execution', () => {
    const run: TeamRun = {
      annotations: { owner: 'you', run: '7' },
      namespace: 'other',
      execution: { mode: 'defer' },
    };
    expect(request(REPORT, run, { WRITER_KEY: 'k' })).toMatchObject({
      annotations: { owner: 'you', run: '7' },
      namespaceProvider: { namespaceRequest: { name: 'other' } },
      execution: { mode: 'defer' },
    });
  });
});

const one = (agentLines: string, rest = ''): string => `agents:\n  a:\n    use: scout\n${agentLines}${rest}`;

describe('what is left out', () => {
  test('is the file name, everybody in one group, no hold, the newest version, executable before docker', () => {
    const made = request('agents:\n  a: {use: scout}\n  w: {use: writer}\n');
    expect(made.agentGraphRequest.agents.map(({ id }) => id.version)).toEqual(['1.1.0', '1.0.0']);
    expect(made.agentGraphRequest.agents[1]?.provider).toEqual({ type: 'local', runtime: 'executable' });
    expect(made.agentGraphRequest.groups).toEqual([['a', 'w']]);
    expect(made.namespaceProvider).toMatchObject({ namespaceRequest: { name: 'repo-report' } });
    expect(made.execution).toEqual({
      mode: 'immediate',
      runtimeSettings: { extendedEndReport: false, persistenceMode: { mode: 'none' }, webhooks: {} },
    });
  });

  test.each([
    ['none', { mode: 'none' }],
    ['{minimum_time: 90s}', { mode: 'minimum_time', time: 90_000 }],
    ['{holdAfterExit: 500}', { mode: 'hold_after_exit', duration: 500 }],
  ])('persistence %s', (written, mode) => {
    const made = request(one('', `session: {persistence: ${written}}\n`));
    expect(made.execution).toMatchObject({ runtimeSettings: { persistenceMode: mode } });
  });

  test('an agent of another source keeps its identifier', () => {
    const made = request('agents:\n  a: {use: "linked:far/helper@2.0.0", options: {N: 3, S: x}}\n');
    expect(made.agentGraphRequest.agents[0]).toMatchObject({
      id: { name: 'helper', version: '2.0.0', registrySourceId: { type: 'linked', linkedServerId: 'far' } },
      provider: { type: 'linked', linkedServerName: 'far', runtime: 'executable' },
      options: { N: { type: 'i64', value: '3' }, S: { type: 'string', value: 'x' } },
    });
  });
});

describe('${…}', () => {
  const prompt = (text: string) =>
    one(`    prompt: ${JSON.stringify(text)}\n`, 'inputs: {who: {default: you}, n: {}}\n');
  const said = (text: string, environment: Record<string, string> = {}) =>
    request(prompt(text), { inputs: { n: '3' } }, environment).agentGraphRequest.agents[0]?.systemPrompt;

  test.each([
    ['hello ${inputs.who}, ${inputs.n} times', 'hello you, 3 times'],
    ['$${inputs.who} costs $5', '${inputs.who} costs $5'],
    ['${env.A}${env.B}', 'ab'],
    ['${ inputs.who }', 'you'],
  ])('%s', (written, meant) => {
    expect(said(written, { A: 'a', B: 'b' })).toBe(meant);
  });

  test('values are not filled in twice', () => {
    expect(said('${env.A}', { A: '${env.B}', B: 'secret' })).toBe('${env.B}');
  });

  test('stands for numbers, flags and durations too', () => {
    const text = one(
      '    blocking: "${inputs.b}"\n    options: {DEPTH: "${inputs.n}", WIDE: "${env.W}"}\n    restart: {policy: always, max_restarts: "${inputs.n}", delay: "${inputs.n}s"}\n',
      'session: {ttl: "${inputs.t}"}\ninputs: {b: {default: true}, n: {default: 2}, t: {default: 1m}}\n',
    );
    const made = request(text, {}, { W: '18446744073709551615' });
    expect(made.agentGraphRequest.agents[0]).toMatchObject({
      blocking: true,
      options: { DEPTH: { type: 'u32', value: 2 }, WIDE: { type: 'u64', value: '18446744073709551615' } },
      restart: { policy: 'always', maxRestarts: 2, delay: 2_000 },
    });
    expect(made.execution).toMatchObject({ runtimeSettings: { ttl: 60_000 } });
    expect(issues(text, { inputs: { t: 'soon', n: 'x' } }, { W: '-1' })).toEqual([
      expect.stringMatching(/^6:agents\.a\.restart\.max_restarts: Must be a whole number/),
      expect.stringMatching(/^6:agents\.a\.restart\.delay: Must be a duration/),
      expect.stringMatching(/^7:session\.ttl: Must be a duration/),
    ]);
  });

  test('a default may come from the environment', () => {
    const text = one('    prompt: "${inputs.home}"\n', 'inputs: {home: {default: "${env.HOME}"}}\n');
    expect(request(text, {}, { HOME: '/h' }).agentGraphRequest.agents[0]?.systemPrompt).toBe('/h');
    expect(request(text, {}, { HOME: '/h' }, true).agentGraphRequest.agents[0]?.systemPrompt).toBe('***');
  });

  test('to be shown, variables and secret options are ***', () => {
    const text = `agents:
  w:
    use: writer
    prompt: "as \${env.WHO} says"
    options: {OUTPUT: "/home/\${env.WHO}/\${inputs.f}", API_KEY: literal-secret, PIN: 1234, TAGS: ["\${env.WHO}", b], RATE: "\${env.RATE}"}
    tools: [t]
tools: {t: {url: "http://127.0.0.1:1/\${env.WHO}"}}
session: {annotations: {who: "\${env.WHO}"}, ttl: "\${env.TTL}"}
inputs: {f: {default: r.md}}
`;
    const environment = { WHO: 'joan', RATE: '0.5', TTL: '5s' };
    const shown = request(text, {}, environment, true);
    expect(JSON.stringify(shown)).not.toMatch(/joan|literal-secret|1234|0\.5|\uFDD1/);
    expect(shown.agentGraphRequest.agents[0]).toMatchObject({
      systemPrompt: 'as *** says',
      options: {
        OUTPUT: { type: 'string', value: '/home/***/r.md' },
        API_KEY: { type: 'string', value: '***' },
        PIN: { type: 'u32', value: '***' },
        TAGS: { type: 'list[string]', value: ['***', 'b'] },
        RATE: { type: 'f64', value: '***' },
      },
    });
    expect(shown.agentGraphRequest.customTools['t']?.transport.url).toBe('http://127.0.0.1:1/***');
    expect(shown.annotations).toEqual({ who: '***' });

    const real = request(text, {}, environment);
    expect(real.agentGraphRequest.agents[0]?.options).toMatchObject({
      OUTPUT: { value: '/home/joan/r.md' },
      PIN: { value: 1234 },
      TAGS: { value: ['joan', 'b'] },
      RATE: { value: 0.5 },
    });
    expect(real.annotations).toEqual({ who: 'joan' });
  });
});

describe('what is wrong whatever the run', () => {
  test.each<[string, string, RegExp]>([
    ['no mapping', '- a\n', /^1:: Must be a mapping/],
    ['no agents', 'team: x\n', /agents: Is missing/],
    ['an empty list of agents', 'agents: {}\n', /^1:agents: Must name at least one agent/],
    ['an unknown key', one('    promt: hi\n'), /^4:agents\.a\.promt: .*`prompt`/],
    ['an unknown key at the top', one('', 'sesion: {}\n'), /^4:sesion: .*`session`/],
    ['a key in two spellings', one('', 'session:\n  ttl: 1\n  TTL: 2\n'), /^6:session\.TTL: .*twice/],
    ['a bad duration', one('', 'session:\n  ttl: soon\n'), /^5:session\.ttl: Must be a duration/],
    [
      'a bad duration in the file’s spelling',
      one('', 'session:\n  persistence: {hold-after-exit: x}\n'),
      /^5:session\.persistence\.hold-after-exit: /,
    ],
    [
      'two persistences',
      one('', 'session:\n  persistence: {minimum_time: 1, hold_after_exit: 1}\n'),
      /^5:session\.persistence: Must be `none`/,
    ],
    ['an unknown persistence', one('', 'session:\n  persistence: forever\n'), /^5:session\.persistence: /],
    [
      'an unknown group member',
      one('', 'groups: [[a, b]]\n'),
      /^4:groups\[0\]\[1\]: The team has no agent `b`/,
    ],
    [
      'an unknown tool',
      one('    tools: [publsh]\n', 'tools: {publish: {url: "http://x"}}\n'),
      /^4:agents\.a\.tools\[0\]: .*`publish`/,
    ],
    ['a tool without URL', one('', 'tools:\n  t: {}\n'), /^5:tools\.t\.url: Is missing/],
    ['a tool with a bad URL', one('', 'tools:\n  t: {url: "ftp://x"}\n'), /^5:tools\.t\.url: Must be a URL/],
    [
      'an unknown plugin',
      one('    plugins: [close_sesion_tool]\n'),
      /^4:agents\.a\.plugins\[0\]: .*`close_session_tool`/,
    ],
    ['an unknown runtime', one('    runtime: exectuable\n'), /^4:agents\.a\.runtime: .*`executable`/],
    [
      'an undeclared input',
      one('    prompt: "${inputs.pth}"\n', 'inputs: {path: {}}\n'),
      /^4:agents\.a\.prompt: .*`path`/,
    ],
    ['a name that is neither', one('    prompt: "${foo}"\n'), /^4:agents\.a\.prompt: .*literal/],
    ['an open brace', one('    prompt: "${inputs.x"\n'), /^4:agents\.a\.prompt: /],
    [
      'an input within a default',
      one('', 'inputs: {a: {}, b: {default: "${inputs.a}"}}\n'),
      /^4:inputs\.b\.default: /,
    ],
    ['an agent without use', 'agents:\n  a: {prompt: x}\n', /^2:agents\.a\.use: Is missing/],
    ['an agent’s bad name', 'agents:\n  "a/b": {use: scout}\n', /^2:agents\.a\/b: The name of an agent/],
  ])('%s', (_what, text, sentence) => {
    const { team: found, problems } = reading(text);
    expect(found).toBeUndefined();
    expect(problems).toEqual([expect.stringMatching(sentence)]);
  });

  test('comes all at once', () => {
    const { problems } = reading(
      one('    promt: x\n    blocking: maybe\n', 'groups: [[b]]\nsession: {ttl: x}\n'),
    );
    expect(problems.map((line) => line.split(': ')[0])).toEqual([
      '4:agents.a.promt',
      '5:agents.a.blocking',
      '7:session.ttl',
    ]);
  });
});

describe('what is wrong by the registry and the run', () => {
  test.each<[string, string, RegExp]>([
    [
      'an unknown agent',
      'agents:\n  a: {use: scuot}\n',
      /^2:agents\.a\.use: .*`scuot`\. Did you mean `scout`/,
    ],
    [
      'an unknown version',
      'agents:\n  a: {use: scout@9.0.0}\n',
      /^2:agents\.a\.use: .*scout@1\.0\.0, scout@1\.1\.0/,
    ],
    ['a use that is none', 'agents:\n  a: {use: "a b"}\n', /^2:agents\.a\.use: Must be `name`/],
    [
      'another source without version',
      'agents:\n  a: {use: "linked:far/x"}\n',
      /^2:agents\.a\.use: Must say the version/,
    ],
    [
      'a runtime it does not define',
      one('    runtime: docker\n'),
      /^4:agents\.a\.runtime: .*it has executable/,
    ],
    ['an unknown option', one('    options:\n      ROOTT: x\n'), /^5:agents\.a\.options\.ROOTT: .*`ROOT`/],
    [
      'a value that does not fit',
      one('    options:\n      DEPTH: many\n'),
      /^5:agents\.a\.options\.DEPTH: Must be a whole number/,
    ],
    [
      'a number for a string',
      one('    options:\n      ROOT: 1.10\n'),
      /^5:agents\.a\.options\.ROOT: .*quotes/,
    ],
    ['a missing option', 'agents:\n  a: {use: scout@1.0.0}\n', /^2:agents\.a\.options\.ROOT: Is missing/],
    ['an unset variable', one('    prompt: "${env.NOPE}"\n'), /^4:agents\.a\.prompt: .*NOPE is not set/],
    [
      'an input without value',
      one('', 'inputs:\n  path: {}\n'),
      /^5:inputs\.path: Has neither a value nor a default/,
    ],
  ])('%s', (_what, text, sentence) => {
    expect(issues(text)).toEqual([expect.stringMatching(sentence)]);
  });

  test('an input that the team does not have', () => {
    expect(issues(REPORT, { inputs: { pth: 'x' } }, { WRITER_KEY: 'k' })).toEqual([
      'inputs.pth: The team repo-report has no input `pth`. Did you mean `path`?',
    ]);
  });

  test('a check of the file alone takes what is not known yet for right', () => {
    const text = one(
      '    options: {DEPTH: "${inputs.n}", ROOT: "${env.R}", WIDE: "${inputs.w}"}\n',
      'inputs: {n: {default: many}, w: {}}\nsession: {webhooks: {session_end: "${env.HOOK}"}}\n',
    );
    expect(reading(text).check()).toEqual([expect.stringMatching(/^4:agents\.a\.options\.DEPTH: /)]);
    expect(reading(text.replace('many', '7')).check()).toEqual([]);
  });

  test('the registry is asked when the request is made', async () => {
    const text = 'agents:\n  a: {use: late}\n';
    const late = team(text);
    expect(late.request({}, {})).toHaveLength(1);
    agents.push(await agent('late', '1.0.0'));
    expect(late.request({}, {})).toHaveProperty('agentGraphRequest');
    agents.pop();
  });
});

describe('inputs that are paths', () => {
  const text = one(
    '    options: {ROOT: "${inputs.where}"}\n',
    'inputs: {where: {type: path, default: ./here}}\n',
  );
  const root = (run: TeamRun, environment: Record<string, string> = {}, of = text) =>
    request(of, run, environment).agentGraphRequest.agents[0]?.options['ROOT']?.value;

  test.each([
    [undefined, '/home/me/here'],
    ['.', '/home/me'],
    ['../you//x/', '/home/you/x'],
    ['../../../..', '/'],
    ['/srv/./data', '/srv/./data'],
  ])('%s seen from /home/me means %s', (where, meant) => {
    const inputs = where === undefined ? {} : { where };
    expect(root({ inputs, directory: '/home/me' })).toBe(meant);
  });

  test('a variable in a default is looked into', () => {
    const of = text.replace('./here', '"${env.PLACE}/x"');
    expect(root({ directory: '/home/me' }, { PLACE: '/srv' }, of)).toBe('/srv/x');
    expect(root({ directory: '/home/me' }, { PLACE: 'data' }, of)).toBe('/home/me/data/x');
  });

  test('a relative one is refused where nobody stands, an empty one everywhere', () => {
    expect(issues(text, {})).toEqual([
      expect.stringMatching(/^5:inputs\.where: Is a path and must be absolute/),
    ]);
    expect(issues(text, { inputs: { where: '' }, directory: '/home/me' })).toEqual([
      expect.stringMatching(/^5:inputs\.where: Is a path and cannot be empty/),
    ]);
  });

  test('a file is not blamed for a relative default, but for a type that does not exist', () => {
    expect(reading(text).check()).toEqual([]);
    expect(reading(text.replace('type: path', 'type: pth')).problems).toEqual([
      expect.stringMatching(/inputs\.where\.type: Must be `string` or `path`/),
    ]);
  });
});
