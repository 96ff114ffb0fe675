/** Both SDKs against the real server: an application on one side, agents on the other. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from 'coral/agent';
import { CoralClient } from 'coral/client';
import type { SessionIdentifier, WireEvent } from 'coral/client';
import { startApp } from '../../src/app.ts';
import type { App } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

let folder: string;
let app: App;
let coral: CoralClient;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'coral-sdk-'));
  const config = [
    'network: {bindPort: 0}',
    `registry: {localAgents: [${ROOT}registry/*.yaml], includeDebugAgents: true, includeCoralHomeAgents: false}`,
    `teams: [${ROOT}registry/teams/*.yaml]`,
  ];
  writeFileSync(join(folder, 'coral.config.yaml'), config.join('\n'));
  const { config: read, faults } = readConfig({ environment: {}, cwd: folder });
  if (read === undefined) throw new Error(JSON.stringify(faults));
  app = await startApp(read);
  coral = new CoralClient({ url: app.url, key: app.key });
});
afterAll(async () => {
  await app.close();
  rmSync(folder, { recursive: true, force: true });
});

function agent(name: string, definition: string, options: Record<string, string | number | boolean> = {}) {
  const type = (value: string | number | boolean): string =>
    typeof value === 'boolean' ? 'bool' : typeof value === 'number' ? 'u32' : 'string';
  return {
    id: { name: definition, version: '1.0.0', registrySourceId: { type: 'local' as const } },
    name,
    provider: { type: 'local' as const, runtime: 'function' as const },
    options: Object.fromEntries(
      Object.entries(options).map(([key, value]) => [key, { type: type(value), value }]),
    ),
  };
}

async function open(...agents: ReturnType<typeof agent>[]): Promise<SessionIdentifier> {
  return await coral.sessions.create({
    agentGraphRequest: { agents, groups: [agents.map(({ name }) => name)] },
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'tests' } },
  });
}

/** The environment of an agent that is started outside, as the `socket` agent prints it. */
async function environmentOf(session: SessionIdentifier): Promise<Record<string, string>> {
  for await (const { text } of coral.logs(session, { sensitive: true })) {
    if (!text.startsWith('CORAL_') && !text.includes(';CORAL_')) continue;
    return Object.fromEntries(
      text.split(';').map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    );
  }
  throw new Error('The socket agent printed no environment.');
}

test('the server lives, is ready, and tells what it has', async () => {
  expect(await coral.health()).toMatchObject({ status: 'ok' });
  expect(await coral.ready()).toEqual({ ready: true, problems: [] });
  expect((await coral.registry.agent('echo', '1.0.0')).registryAgent.options).toHaveProperty('MENTIONS');
  const [source] = await coral.registry.sources();
  expect(source?.agents.map(({ name }) => name)).toEqual(expect.arrayContaining(['scout', 'echo', 'seed']));
  const team = (await coral.teams.list()).find(({ name }) => name === 'repo-report');
  expect(team).toMatchObject({ name: 'repo-report', inputs: { path: { default: '.', type: 'path' } } });
});

test('an agent that was started outside talks with built-in ones', async () => {
  const session = await open(
    agent('me', 'socket'),
    agent('echo', 'echo', { ITERATION_COUNT: 2, MENTIONS: true }),
  );
  const me = await connect({ environment: await environmentOf(session) });
  const thread = await me.createThread('greetings', ['echo']);
  await me.send(thread.id, 'Hello?', ['echo']);
  expect(await me.waitForMessage({ from: 'echo' })).toMatchObject({
    text: 'nice message!',
    senderName: 'echo',
    mentionNames: ['me'],
  });
  const state = await me.state();
  expect(state.agents).toMatchObject([{ agentName: 'echo', agentRunning: true }]);
  expect(state.threads).toMatchObject([{ threadName: 'greetings', participatingAgents: ['me', 'echo'] }]);
  expect(await me.instruction()).toContain('mention');

  await me.send(thread.id, 'Once more?', ['echo']);
  expect(await me.waitForMessage({ mention: true, timeoutMs: 30_000 })).toMatchObject({ senderName: 'echo' });
  expect(await me.waitForMessage({ timeoutMs: 100 })).toBeUndefined();

  await coral.sessions.close(session);
  await expect(me.waitForMessage()).rejects.toMatchObject({ name: 'AgentClosed', reason: 'revoked' });
});

test('a session is followed from its beginning to its end, and told the same afterwards', async () => {
  const session = await open(
    agent('seed', 'seed', { SEED_THREAD_COUNT: 2, SEED_MESSAGE_COUNT: 3 }),
    agent('tool', 'tool', { TOOL_NAME: 'coral_create_thread', TOOL_INPUT: '{"threadName":"own","participantNames":[]}' }), // prettier-ignore
  );
  const live: WireEvent[] = [];
  for await (const event of coral.events(session, { all: true })) live.push(event);
  expect(live.at(-1)?.type).toBe('session_closed');
  expect(live.filter(({ type }) => type === 'thread_message_sent')).toHaveLength(6);
  expect(live.map(({ seq }) => seq)).toEqual([...live.map(({ seq }) => seq)].sort((a, b) => a - b));

  const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
    const all: T[] = [];
    for await (const one of source) all.push(one);
    return all;
  };
  expect(await collect(coral.archive.events(session, { all: true }))).toEqual(live);
  expect(await collect(coral.archive.export(session))).toEqual(live);
  expect(await collect(coral.events(session, { all: true }))).toEqual(live);
  const listed = await collect(coral.events(session));
  expect(listed.map(({ seq }) => seq)).toEqual(
    live.filter(({ type }) => /^(runtime|agent_connected|thread)/.test(type)).map(({ seq }) => seq),
  );
  await expect(coral.sessions.get(session)).rejects.toMatchObject({ status: 404, code: 'unknown_session' });
  const { threads, agents } = await coral.finished(session);
  expect(threads.map(({ name }) => name).sort()).toEqual(['own', 'thread 0', 'thread 1']);
  expect(agents.map(({ exit }) => exit?.reason)).toEqual(['completed', 'completed']);
  const [line] = await collect(coral.logs(session));
  expect(line).toMatchObject({ agent: 'tool', io: 'out' });
  const sessions = await collect(coral.archive.list({ namespace: 'tests' }));
  expect(sessions.map(({ id }) => id)).toContain(session.sessionId);
});

test('everything that is wrong with a request comes at once', async () => {
  const error: unknown = await open(
    agent('a', 'echo', { ITERATION_COUNT: 'many', NONSENSE: 1 }),
    agent('b', 'tool'),
  ).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: 'CoralError', status: 400 });
  expect((error as { issues: unknown[] }).issues.length).toBeGreaterThanOrEqual(3);
});

describe('the demo team', () => {
  test('writes its report, closes the session and gives a result', async () => {
    const place = join(folder, 'place');
    mkdirSync(place);
    writeFileSync(join(place, 'one.ts'), 'let one = 1;\nlet two = 2;\n');
    const session = await coral.teams.run('repo-report', {
      inputs: { path: 'place' },
      directory: folder,
    });
    const { result, agents } = await coral.finished(session);
    expect(result).toMatchObject({ files: 1, lines: 2, mainLanguage: 'TypeScript' });
    expect(readFileSync(join(folder, 'report.md'), 'utf8')).toContain('**1 file** with **2 lines**');
    expect(agents.filter(({ name }) => name !== 'writer').map(({ exit }) => exit?.reason)).toEqual([
      'completed',
      'completed',
      'completed',
    ]);
  });

  test('is refused with every input that does not fit', async () => {
    await expect(coral.teams.run('repo-report', { inputs: { colour: 'red' } })).rejects.toMatchObject({
      status: 400,
      issues: [
        { path: 'inputs.colour' },
        { message: expect.stringContaining('must be absolute') },
        { message: expect.stringContaining('must be absolute') },
      ],
    });
  });
});
