/**
 * Canaries: a unique value in every input that is secret, a session on the built server in which everything that can
 * go wrong does, and then a search for each of them in all that anybody can see: answers, streams, webhooks, logs,
 * names, labels, command lines, and the files of the state folder.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../src/runtimes/docker/engine.ts';
import { SocketReader, Turned } from '../http/socket-reader.ts';
import { definition, Project, type CoralProcess } from '../support/coral-process.ts';
import { BUSYBOX, busyboxImage } from '../support/docker-images.ts';
import { ENDPOINT, hasDocker } from '../support/docker.ts';
import { Receiver } from '../support/receiver.ts';

/** What must not be seen, by the name of the input it was given in. */
const canaries = new Map<string, string>();
let hatched = 0;

function canary(name: string): string {
  hatched += 1;
  const value = `canary${String(hatched).padStart(3, '0')}${Math.random().toString(36).slice(2, 12).padEnd(10, 'x')}`;
  canaries.set(name, value);
  return value;
}

/** Everything anybody could see, by where. */
const seen = new Map<string, string>();
/** Folders of the state folder that hold sensitive lines, as they must. */
const kept = new Set<string>();

/** Which canaries are in a text, in whatever form they were handed on; nothing else is in the answer. */
function hitsIn(text: string): string[] {
  return [...canaries].flatMap(([name, value]) => {
    const forms = [value, Buffer.from(value).toString('base64').replace(/=+$/, '')];
    return forms.some((form) => text.includes(form)) ? [name] : [];
  });
}

function hits(): Record<string, string[]> {
  const found = [...seen].map(([where, text]): [string, string[]] => [where, hitsIn(text)]);
  return Object.fromEntries(found.filter(([, names]) => names.length > 0));
}

const KEY = canary('auth.keys');
const LEAK = `#!/bin/sh
mkdir -p "$SEEN" && env > "$SEEN/$CORAL_AGENT_ID"
echo "I am $CORAL_AGENT_SECRET at $CORAL_CONNECTION_URL"
env
env >&2
cat "$NOTE_FILE" "$BLOB_FILE"; echo
echo "cut across pieces: $PASS" | head -c 30; sleep 0.05; printf '%s\\n' "$PASS"
[ "$CORAL_AGENT_ID" = sleeper ] && exec sleep 1000
exit 3
`;
const FUNCTION = `
export default async function leak({ environment, log }) {
  log(JSON.stringify(environment));
  throw new Error('I failed with ' + environment.API_KEY + ' and ' + environment.CORAL_AGENT_SECRET);
}
`;
const OPTIONS = `
  PASS: {type: string, secret: true, required: true}
  NOTE_FILE: {type: string, secret: true, transport: fs}
  BLOB_FILE: {type: blob, secret: true, transport: fs}
  CODED: {type: string, secret: true, base64: true}
  SEVERAL: {type: 'list[string]', secret: true}
  API_KEY: {type: string}
  REFRESH_TOKEN: {type: string, default: ${canary('default of an option that forgot `secret`')}}
  DEFAULTED: {type: string, secret: true, default: ${canary('default of a secret option')}}
  PIN: {type: u32, secret: true}
`;

let project: Project;
let server: CoralProcess;
let url: string;
let receiver: Receiver;
let engine: Engine | undefined;

/** A call of the API; its answer is among what was seen. */
async function ask(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = { authorization: `Bearer ${KEY}` },
): Promise<{ status: number; text: string }> {
  const given = typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body);
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { ...(given !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(given !== undefined && { body: given }),
    redirect: 'manual',
  });
  const text = await response.text();
  const all = `${text}\n${JSON.stringify([...response.headers])}`;
  const at = `${method} ${hitsIn(path).length > 0 ? 'a path with a secret' : path}`;
  seen.set(at, `${seen.get(at) ?? ''}\n${all}`);
  return { status: response.status, text };
}

async function get(path: string): Promise<string> {
  const { status, text } = await ask('GET', path);
  if (status !== 200) throw new Error(`GET ${path}: ${status} ${text}`);
  return text;
}

const OPTION_VALUES = {
  PASS: { type: 'string', value: canary('secret option, env') },
  NOTE_FILE: { type: 'string', value: canary('secret option, fs') },
  BLOB_FILE: { type: 'blob', value: Buffer.from(canary('secret blob, fs')).toString('base64') },
  CODED: { type: 'string', value: canary('secret option, base64') },
  SEVERAL: { type: 'list[string]', value: [canary('secret list, first'), canary('secret list, second')] },
  API_KEY: { type: 'string', value: canary('option that forgot `secret`') },
};

function agent(name: string, runtime: string, more: object = {}, id = 'leak'): object {
  return {
    id: { name: id, version: '1.0.0', registrySourceId: { type: 'local' } },
    name,
    provider: { type: 'local', runtime },
    options: OPTION_VALUES,
    ...more,
  };
}

function session(agents: readonly object[], settings: object = {}, customTools: object = {}): object {
  return {
    agentGraphRequest: { agents, customTools },
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'cage' } },
    execution: { mode: 'immediate', runtimeSettings: settings },
  };
}

async function open(request: object): Promise<string> {
  const { status, text } = await ask('POST', '/api/v1/local/session', request);
  if (status !== 200) throw new Error(`${status} ${text}`);
  return (JSON.parse(text) as { sessionId: string }).sessionId;
}

interface AgentSeen {
  readonly name: string;
  readonly status: { readonly type: string };
}

/** Resolves when these agents of a session have stopped. */
async function stopped(id: string, names: readonly string[]): Promise<void> {
  for (;;) {
    const { agents } = JSON.parse(await get(`/api/v1/archive/session/cage/${id}`)) as {
      agents: readonly AgentSeen[];
    };
    const gone = agents.filter(({ status }) => status.type === 'stopped').map(({ name }) => name);
    if (names.every((name) => gone.includes(name))) return;
  }
}

/** The secret of an agent's attempt, as the agent itself found it. */
async function secretOf(name: string): Promise<string> {
  const file = join(project.folder, 'seen', name);
  for (;;) {
    const match = existsSync(file) ? /^CORAL_AGENT_SECRET=(.+)$/m.exec(readFileSync(file, 'utf8')) : null;
    if (match !== null) return match[1]!;
    await get('/health');
  }
}

/** All files below a folder, by path. */
function filesBelow(folder: string): [string, string][] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => [path, readFileSync(path, 'latin1')]);
}

/** Command lines and titles of every process of this machine. */
function processes(): string {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) =>
      ['cmdline', 'comm'].map((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, 'latin1');
        } catch {
          return ''; // it has ended meanwhile
        }
      }),
    )
    .join('\n');
}

beforeAll(async () => {
  receiver = await Receiver.open(({ path }) => ({ status: path.startsWith('/tool') ? 500 : 204 }));
  const fixed = `{SEEN: SEEN_FOLDER, FIXED_PASSWORD: ${canary('environment of a definition')}, PLAIN_WORD: plainly-seen}`;
  const executable = `{path: sh, arguments: [leak.sh], environment: ${fixed}, inherit_environment: [PATH, OPERATORS_API_KEY]}`;
  const runtimes = `{executable: ${executable}, function: {module: ./leak.mjs}, docker: {image: '${BUSYBOX}', command: [sh, -c, "env; cat $NOTE_FILE $BLOB_FILE; echo; env >&2; exit 4"], environment: ${fixed}}}`;
  project = new Project();
  const write = (path: string, text: string): void =>
    project.write(path, text.replaceAll('SEEN_FOLDER', join(project.folder, 'seen')));
  write(
    'agents/leak/coral-agent.yaml',
    definition('leak', runtimes, `{${OPTIONS.trim().replaceAll('\n', ', ')}}`),
  );
  write('agents/leak/leak.sh', LEAK);
  write('agents/leak/leak.mjs', FUNCTION);
  const missing = `{executable: {path: ./not-there.sh, environment: ${fixed}}, docker: {image: '127.0.0.1:9/private/image:1', pull: missing}}`;
  write(
    'agents/missing/coral-agent.yaml',
    definition('missing', missing, `{${OPTIONS.trim().replaceAll('\n', ', ')}}`),
  );
  const login = Buffer.from(`user:${canary('password of a registry')}`).toString('base64');
  write('docker/config.json', JSON.stringify({ auths: { '127.0.0.1:9': { auth: login } } }));
  write(
    'coral.config.yaml',
    `
auth: {keys: [${KEY}]}
network: {webhookSecret: ${canary('network.webhookSecret')}, customToolSecret: ${canary('network.customToolSecret')}}
registry: {localAgents: ['agents/*'], includeDebugAgents: true, includeCoralHomeAgents: false}
logging: {consoleLogLevel: trace}
debug:
  additionalExecutableEnvironment: {DEBUG_TOKEN: ${canary('debug.additionalExecutableEnvironment')}}
  additionalDockerEnvironment: {DEBUG_TOKEN: ${canary('debug.additionalDockerEnvironment')}}
llmProxy: {providers: [{name: p, format: OpenAI, apiKey: ${canary('llmProxy.providers.apiKey')}}]}
`,
  );
  server = project.start(['serve', '--network.bind-port=0'], {
    OPERATORS_API_KEY: canary('variable that agents inherit'),
    SERVERS_OWN: canary('variable of the server alone'),
    DOCKER_CONFIG: join(project.folder, 'docker'),
  });
  [, url = ''] = await server.saw(/listens on (http:\S+)/);
  if (hasDocker) {
    engine = new Engine({ endpoint: ENDPOINT });
    await busyboxImage(engine);
  }
});
afterAll(async () => {
  await project.remove();
  await receiver.close();
  engine?.close();
});

describe('of what was given in confidence', () => {
  it('nothing is seen after sessions in which everything was printed and much went wrong', async () => {
    const hook = { url: receiver.url('/hook') };
    const settings = {
      persistenceMode: { mode: 'hold_after_exit', duration: 3_600_000 },
      extendedEndReport: true,
      webhooks: { sessionEnd: hook, events: hook },
    };
    const broken = { transport: { type: 'http', url: receiver.url('/tool') } };
    const caller = {
      TOOL_NAME: { type: 'string', value: 'broken' },
      TOOL_INPUT: { type: 'string', value: '{}' },
    };
    const short = [
      agent('leak', 'executable', { restart: { policy: 'on_failure', maxRestarts: 1, delay: 1 } }),
      agent('function', 'function'),
      agent('missing', 'executable', {}, 'missing'),
      agent('caller', 'function', { options: caller, customToolAccess: ['broken'] }, 'tool'),
      ...(engine === undefined
        ? []
        : [agent('container', 'docker'), agent('unpulled', 'docker', {}, 'missing')]),
    ];
    const id = await open(session([...short, agent('sleeper', 'executable')], settings, { broken }));
    const base = `/api/v1/local/session/cage/${id}`;
    const bearer = { headers: { authorization: `Bearer ${KEY}` } };
    const sockets = await Promise.all(
      [`/ws/v1/events/session/cage/${id}?after=0&all=true`, '/ws/v1/events/lsm?after=0', '/ws/v1/logs'].map(
        (path) => SocketReader.open(`${url}${path}`, bearer),
      ),
    );
    canaries.set('secret of a running agent', await secretOf('sleeper'));
    canaries.set('secret of an agent that ended', await secretOf('leak'));
    await stopped(id, [
      'function',
      'missing',
      'caller',
      'leak',
      ...(engine ? ['container', 'unpulled'] : []),
    ]);

    // It is spoken for by an application, and speaks itself.
    const puppet = `/api/v1/puppet/cage/${id}`;
    const made = await ask('POST', `${puppet}/sleeper/thread`, {
      threadName: 'talk',
      participantNames: ['leak'],
    });
    const { thread } = JSON.parse(made.text) as { thread: { id: string } };
    const by = { threadId: thread.id };
    const spoken: [string, string, unknown?][] = [
      ['POST', 'sleeper/thread/message', { ...by, content: 'to all', mentions: ['leak'] }],
      ['GET', 'leak/messages'],
      ['POST', 'sleeper/thread/participant', { ...by, participantName: 'function' }],
      ['DELETE', 'sleeper/thread/participant', { ...by, participantName: 'function' }],
      ['DELETE', 'sleeper/thread', { ...by, summary: 'said' }],
    ];
    for (const [method, path, body] of spoken)
      expect([path, (await ask(method, `${puppet}/${path}`, body)).status]).toEqual([path, 200]);
    for (const [path, body] of [
      ['nobody/thread', { threadName: 'talk' }],
      ['sleeper/thread/message', { ...by, content: 'late', mentions: ['nobody'] }],
    ] as const)
      expect((await ask('POST', `${puppet}/${path}`, body)).status).toBeGreaterThanOrEqual(400);
    const endpoint = `/mcp/v1/${canaries.get('secret of a running agent')!}/mcp`;
    const tool = {
      name: 'coral_create_thread',
      arguments: { threadName: 'own', participantNames: ['nobody'] },
    };
    for (const [method, params] of [
      ['tools/list', {}],
      ['tools/call', tool],
      ['resources/read', { uri: 'coral://state' }],
      ['resources/read', { uri: 'coral://nothing' }],
      ['nothing', {}],
    ] as const) {
      const accept = { accept: 'application/json, text/event-stream' };
      const answer = await ask('POST', endpoint, { jsonrpc: '2.0', id: method, method, params }, accept);
      expect([method, answer.status]).toEqual([method, 200]);
    }

    // While one of them runs: command lines, titles, names and labels.
    seen.set('command lines and titles', processes());
    for (const name of ['leak', 'sleeper', 'missing', 'function', 'container']) {
      await ask('GET', `${base}/agents/${name}`);
    }
    const stop = await ask('DELETE', base);
    expect(stop.status).toBe(200);
    for (const path of [
      base,
      `${base}/extended`,
      `/api/v1/local/namespace/extended`,
      '/api/v1/local/namespace/cage/extended',
    ]) {
      await get(path);
    }
    if (engine !== undefined) {
      const filters = JSON.stringify({ label: [`dev.coral.session=${id}`] });
      const all = await engine.json<object>({ path: '/containers/json', query: { all: 1, filters } });
      seen.set('containers: names, labels and commands', JSON.stringify(all));
    }
    for (const [path, text] of filesBelow(join(project.folder, '.coral'))) seen.set(path, text);

    await ask('DELETE', base);
    for (const reader of sockets.slice(0, 1)) await reader.closed;
    const archive = `/api/v1/archive/session/cage/${id}`;
    for (const path of ['', '/events', '/export?format=jsonl', '/logs', '/logs?allowSensitive=true'])
      await get(`${archive}${path}`);
    for (const path of ['/api/v1/archive/session', '/api/v1/registry', '/api/v1/registry/local/leak/1.0.0'])
      await get(path);
    for (const path of [
      '/api/v1/teams',
      '/api/v1/deliveries',
      '/metrics',
      '/api_v1.json',
      '/ui/docs',
      '/ready',
    ])
      await get(path);
    expect(await get(`${archive}/logs`)).toContain('plainly-seen');
    for (const [n, reader] of sockets.entries()) {
      expect(reader.seen.length).toBeGreaterThan(0);
      seen.set(`socket ${n}`, JSON.stringify(reader.seen));
      reader.ws.terminate();
    }
    await receiver.until(() => receiver.at('/hook').some(({ body }) => body.includes('agentStats')));
    seen.set('webhooks and custom tools', JSON.stringify(receiver.called));
  });

  it('only who asks for sensitive lines is told how to start an agent by hand', async () => {
    const told = canary('option of an agent started by hand');
    const options = { ...OPTION_VALUES, API_KEY: { type: 'string', value: told } };
    const id = await open(session([agent('byhand', 'executable', { options, manual: true })]));
    const logs = `/api/v1/archive/session/cage/${id}/logs`;
    const sensitive = async (): Promise<string> => {
      const headers = { authorization: `Bearer ${KEY}` };
      return await (await fetch(`${url}${logs}?allowSensitive=true`, { headers })).text();
    };
    while (!(await sensitive()).includes(told)) await get(logs);
    await get(`/api/v1/local/session/cage/${id}/agents/byhand`);
    expect((await ask('DELETE', `/api/v1/local/session/cage/${id}`)).status).toBe(200);
    await get(logs);
    const output = join(project.folder, '.coral', 'output', id);
    kept.add(output);
    expect(filesBelow(output).some(([, text]) => text.includes(told))).toBe(true);
  });

  it('nothing is said again of a bad request', async () => {
    const wrong = canary('what stands in bad requests');
    const text = { type: 'string', value: wrong };
    const bad: [string, string, unknown?][] = [
      ['POST', '/api/v1/local/session', session([agent('a', 'executable', { options: { PIN: text } })])],
      [
        'POST',
        '/api/v1/local/session',
        session([
          agent('a', 'executable', { options: { ...OPTION_VALUES, PIN: { type: 'u32', value: wrong } } }),
        ]),
      ],
      ['POST', '/api/v1/local/session', `{"agentGraphRequest": "${wrong}", `],
      ['POST', '/api/v1/local/session', { agentGraphRequest: wrong, execution: wrong }],
      ['POST', '/api/v1/local/session', session([agent('a', 'executable')], { ttl: wrong })],
      ['GET', `/ws/v1/events/${KEY}/session/cage/nothing`],
      ['GET', `/ws/v1/events/${KEY}/nothing`],
      ['POST', `/mcp/v1/${wrong}/mcp`, { jsonrpc: '2.0', id: 1, method: 'tools/list' }],
      ['POST', `/mcp/v1/${wrong}/nothing`, {}],
    ];
    for (const [method, path, body] of bad) {
      const answer = await ask(method, path, body);
      expect([method, path, Math.floor(answer.status / 100)]).toEqual([method, path, 4]);
    }
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const login = await ask('POST', '/api/v1/auth/token?to=/ui/console/', `token=${wrong}`, form);
    expect(login.status).toBe(401);
    const foreign = await ask('GET', '/api/v1/registry', undefined, { authorization: `Bearer ${wrong}` });
    expect(foreign.status).toBe(401);
    const refusal = await SocketReader.open(`${url}/ws/v1/events/${wrong}/lsm`).catch(
      (error: unknown) => error,
    );
    expect(refusal).toBeInstanceOf(Turned);
    seen.set('a socket that is refused', JSON.stringify((refusal as Turned).body));
  });

  it('a password in an address is refused, and not repeated', async () => {
    const password = canary('user-info of a URL');
    const address = receiver.url('/hook').replace('//', `//user:${password}@`);
    const tool = { transport: { type: 'http', url: address } };
    const requests = [
      session([agent('a', 'executable')], { webhooks: { sessionEnd: { url: address } } }),
      session([agent('a', 'executable')], { webhooks: { events: { url: address } } }),
      session([agent('a', 'executable')], {}, { tool }),
    ];
    for (const request of requests) {
      const { status, text } = await ask('POST', '/api/v1/local/session', request);
      expect([status, text]).toEqual([400, expect.stringContaining('password')]);
    }
  });

  it('and when the server has stopped its log and all its files hold nothing', async () => {
    server.signal('SIGTERM');
    expect((await server.finished()).code).toBe(0);
    seen.set("the server's log", server.out + server.err);
    for (const [path, text] of filesBelow(join(project.folder, '.coral'))) {
      if (!kept.has(dirname(path))) seen.set(`${path}, in the end`, text);
    }
    expect(hits()).toEqual({});
    // It can fail: what was given is there to be found.
    expect(hitsIn(KEY)).toEqual(['auth.keys']);
    expect(canaries.size).toBeGreaterThan(20);
  });
});
