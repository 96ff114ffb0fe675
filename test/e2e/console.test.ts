/** What the Coral web console 0.3 does, call by call, against a real server with the built-in agents. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { startApp, type App } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { RegistryAgentView, RegistryAgentSource } from '../../src/domain/wire/registry.ts';
import { WireEvent, LogEvent, ManagerEvent } from '../../src/domain/wire/event.ts';
import {
  Message,
  NamespaceStateExtended,
  SessionIdentifier,
  SessionStateBase,
  SessionStateExtended,
  Thread,
} from '../../src/domain/wire/session.ts';
import { SocketReader } from '../http/socket-reader.ts';

const REQUEST = readFileSync(
  new URL('../fixtures/http/console-0.3-create-session.json', import.meta.url),
  'utf8',
);

let folder: string;
let app: App;
/** What the browser sends along once it is logged in. */
let browser: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'coral-console-'));
  writeFileSync(
    join(folder, 'coral.config.yaml'),
    'network: {bindPort: 0}\nregistry: {includeDebugAgents: true, includeCoralHomeAgents: false}\n',
  );
  const { config, faults } = readConfig({ environment: {}, cwd: folder });
  if (config === undefined) throw new Error(JSON.stringify(faults));
  app = await startApp(config);
});
afterAll(async () => {
  await app.close();
  rmSync(folder, { recursive: true, force: true });
});

async function logIn(token: string): Promise<Response> {
  return await fetch(`${app.url}/api/v1/auth/token?to=/ui/console/`, {
    method: 'POST',
    headers: { origin: app.url },
    body: new URLSearchParams({ token }),
    redirect: 'manual',
  });
}

async function call<T extends z.ZodType>(
  answer: T,
  method: string,
  path: string,
  body?: string | object,
): Promise<z.output<T>> {
  const response = await fetch(`${app.url}${path}`, {
    method,
    headers: { ...browser, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return answer.parse(text === '' ? undefined : JSON.parse(text));
}

const follow = (path: string): Promise<SocketReader> =>
  SocketReader.open(`${app.url}${path}`, { headers: browser });

test('the console logs in, opens a session, follows it, speaks in it and closes it', async () => {
  expect((await logIn('a wrong key')).status).toBe(401);
  const welcome = await logIn(app.key);
  expect([welcome.status, welcome.headers.get('location')]).toEqual([302, '/ui/console/']);
  const [cookie = ''] = welcome.headers.getSetCookie();
  expect(cookie).toMatch(/^authSessionToken=[^;]+;.*HttpOnly;.*SameSite=Lax/);
  browser = { origin: app.url, cookie: cookie.slice(0, cookie.indexOf(';')) };

  const [local] = await call(z.array(RegistryAgentSource), 'GET', '/api/v1/registry');
  expect(local?.agents).toEqual(
    expect.arrayContaining([
      { name: 'puppet', versions: ['1.0.0'] },
      { name: 'seed', versions: ['1.0.0'] },
    ]),
  );
  const { registryAgent } = await call(RegistryAgentView, 'GET', '/api/v1/registry/local/seed/1.0.0');
  expect(registryAgent.options).toHaveProperty('SEED_THREAD_COUNT');
  const namespaces = z.array(NamespaceStateExtended);
  expect(await call(namespaces, 'GET', '/api/v1/local/namespace/extended')).toEqual([]);

  const manager = await follow('/ws/v1/events/lsm?namespaceFilter=console');
  const key = await call(SessionIdentifier, 'POST', '/api/v1/local/session', REQUEST);
  const session = `/api/v1/local/session/${key.namespace}/${key.sessionId}`;
  const stream = `/ws/v1/events/session/${key.namespace}/${key.sessionId}`;
  await manager.until(() => manager.types.includes('session_running'));
  expect(manager.types).toEqual(['namespace_created', 'session_created', 'session_running']);

  const story = await follow(`${stream}?after=0`);
  await story.until(() => story.seen.some(({ type, name }) => type === 'runtime_stopped' && name === 'seed'));
  await story.until(() =>
    story.seen.some(({ type, name }) => type === 'agent_connected' && name === 'puppet'),
  );

  // As the console does it: from now on, and what was before out of the extended state.
  const live = await follow(stream);
  const puppet = `/api/v1/puppet/${key.namespace}/${key.sessionId}/puppet`;
  const { thread } = await call(z.object({ thread: Thread }), 'POST', `${puppet}/thread`, {
    threadName: 'from a person',
    participantNames: ['seed'],
  });
  const { message } = await call(
    z.object({ status: z.literal('Message sent successfully'), message: Message }),
    'POST',
    `${puppet}/thread/message`,
    { threadId: thread.id, content: 'Is anybody there?', mentions: ['seed'] },
  );
  await live.take(2);
  expect(live.seen).toMatchObject([
    { type: 'thread_created', thread: { id: thread.id, participants: expect.arrayContaining(['seed']) } },
    { type: 'thread_message_sent', message: { id: message.id, mentionNames: ['seed'] } },
  ]);

  const state = await call(SessionStateExtended, 'GET', `${session}/extended`);
  expect(state.agents.map(({ name, status }) => [name, status.type])).toEqual([
    ['seed', 'stopped'],
    ['puppet', 'running'],
  ]);
  expect(state.threads.map(({ name, messages }) => [name, messages.map(({ text }) => text)])).toEqual([
    ['thread 0', ['message 0', 'message 1', 'message 2']],
    ['thread 1', ['message 0', 'message 1', 'message 2']],
    ['from a person', ['Is anybody there?']],
  ]);
  const [known] = await call(namespaces, 'GET', '/api/v1/local/namespace/extended');
  expect(known?.sessions.map(({ id }) => id)).toEqual([key.sessionId]);

  // The rest of what the console offers to do in the name of an agent.
  const nothing = z.undefined();
  const participant = { threadId: thread.id, participantName: 'seed' };
  await call(nothing, 'DELETE', `${puppet}/thread/participant`, participant);
  await call(nothing, 'POST', `${puppet}/thread/participant`, participant);
  await call(nothing, 'DELETE', `${puppet}/thread`, { threadId: thread.id, summary: 'Nobody was there.' });
  await live.take(5);
  expect(live.seen.slice(2)).toMatchObject([
    { type: 'thread_participant_removed', threadId: thread.id, name: 'seed' },
    { type: 'thread_participant_added', threadId: thread.id, name: 'seed' },
    { type: 'thread_closed', threadId: thread.id, summary: 'Nobody was there.' },
  ]);

  await call(nothing, 'DELETE', session);
  for (const reader of [live, story]) expect(await reader.closed).toMatchObject({ code: 1000 });
  for (const event of story.seen) WireEvent.parse(event);
  expect(story.seqs).toEqual(story.seqs.toSorted((a, b) => a - b));
  expect(story.seen.filter(({ seq }) => seq >= (live.seqs[0] ?? 0))).toEqual(live.seen);
  await manager.until(() => manager.types.includes('session_closed'));
  expect(manager.types.slice(3)).toEqual(['session_closing', 'session_closed']);
  for (const event of manager.seen) ManagerEvent.parse(event);
  await manager.close();
  // The request asked for a namespace that stays.
  expect(await call(namespaces, 'GET', '/api/v1/local/namespace/extended')).toMatchObject([
    { base: { name: 'console' }, sessions: [] },
  ]);
});

test('a session made to be looked at first is executed, its agent stopped, its namespace deleted', async () => {
  const nothing = z.undefined();
  await call(nothing, 'POST', '/api/v1/local/namespace', { name: 'later', annotations: { by: 'a person' } });
  const { agentGraphRequest } = JSON.parse(REQUEST) as { agentGraphRequest: { agents: object[] } };
  const printer = {
    id: { name: 'tool', version: '1.0.0', registrySourceId: { type: 'local' } },
    name: 'printer',
    provider: { type: 'local', runtime: 'function' },
    options: {
      TOOL_NAME: { type: 'string', value: 'coral_create_thread' },
      TOOL_INPUT: { type: 'string', value: '{"threadName":"alone","participantNames":[]}' },
    },
  };
  const key = await call(SessionIdentifier, 'POST', '/api/v1/local/session', {
    agentGraphRequest: { ...agentGraphRequest, agents: [...agentGraphRequest.agents, printer] },
    namespaceProvider: { type: 'use_existing', name: 'later' },
    execution: { mode: 'defer' },
  });
  const session = `/api/v1/local/session/${key.namespace}/${key.sessionId}`;
  expect((await call(SessionStateBase, 'GET', session)).status).toEqual({ type: 'pending_execution' });

  const story = await follow(`/ws/v1/events/session/${key.namespace}/${key.sessionId}?after=0`);
  const logs = await follow('/ws/v1/logs?namespaceFilter=later&limit=1024');
  await call(nothing, 'POST', session, { persistenceMode: { mode: 'hold_after_exit', duration: 60_000 } });
  const happened = (wanted: string, agent: string): Promise<void> =>
    story.until(() => story.seen.some(({ type, name }) => type === wanted && name === agent));
  for (const agent of ['seed', 'printer']) await happened('runtime_stopped', agent);
  await happened('agent_connected', 'puppet');
  await call(nothing, 'DELETE', `/api/v1/puppet/${key.namespace}/${key.sessionId}/puppet`);
  await happened('runtime_stopped', 'puppet');
  const [held] = await call(
    z.array(SessionStateExtended),
    'GET',
    `/api/v1/local/namespace/${key.namespace}/extended`,
  );
  expect(held?.base.id).toBe(key.sessionId);
  expect(held?.agents.map(({ status }) => status.type)).toEqual(Array(3).fill('stopped'));
  const [line] = await logs.take(1);
  expect(LogEvent.parse(line)).toMatchObject({ type: 'info', text: expect.stringContaining('alone') });

  await call(nothing, 'DELETE', `/api/v1/local/namespace/${key.namespace}`);
  expect(await story.closed).toMatchObject({ code: 1000 });
  await logs.close();
  const namespaces = await call(z.array(NamespaceStateExtended), 'GET', '/api/v1/local/namespace/extended');
  expect(namespaces.map(({ base }) => base.name)).not.toContain('later');
});

test('a page of somebody else gets nothing for the cookie', async () => {
  const foreign = { ...browser, origin: 'http://elsewhere.example' };
  await expect(SocketReader.open(`${app.url}/ws/v1/events/lsm`, { headers: foreign })).rejects.toMatchObject({
    status: expect.toSatisfy((status: number) => status === 401 || status === 403),
  });
});
