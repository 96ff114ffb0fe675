import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SessionRequest, type SessionRequestInput } from '../../src/domain/wire/request.ts';
import * as wire from '../../src/domain/wire/session.ts';
import { JournalError } from '../../src/ports/journal.ts';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import { openDoor, request, type Door, type DoorParts } from './door.ts';

let door: Door;
async function open(parts?: DoorParts): Promise<Door> {
  door = await openDoor(parts);
  return door;
}
afterEach(() => door.close());

const SESSION = '/api/v1/local/session';
const Nothing = z.undefined();

async function opened(given?: Partial<SessionRequestInput>, agents = ['a', 'b']): Promise<string> {
  const answer = await door.send('POST', SESSION, request(agents, given));
  const { namespace, sessionId } = answer.as(wire.SessionIdentifier);
  return `${SESSION}/${namespace}/${sessionId}`;
}

describe('opening a session', () => {
  it('answers with its identifier, and the session can be seen at once', async () => {
    await open();
    const path = await opened({ annotations: { owner: 'me' } });
    const base = (await door.send('GET', path)).as(wire.SessionStateBase);
    expect(base).toMatchObject({
      namespace: 'test',
      annotations: { owner: 'me' },
      status: { type: 'executed' },
    });
  });

  it('takes what console 0.3 sends', async () => {
    await open({ scripts: { seed: {}, puppet: {} } });
    const text = readFileSync(
      new URL('../fixtures/http/console-0.3-create-session.json', import.meta.url),
      'utf8',
    );
    const parsed = SessionRequest.parse(JSON.parse(text));
    expect(parsed.agentGraphRequest.customTools['lookup']?.inputSchema).toMatchObject({ type: 'object' });
    // The agents of this world are scripted and have no options; everything else is taken as it is.
    const body = text
      .replaceAll('"function"', '"scripted"')
      .replace(/"options": \{"SEED.*\}\},/, '"options": {},');
    const answer = await door.send('POST', SESSION, body);
    expect(answer.as(wire.SessionIdentifier).namespace).toBe('console');
    expect(answer.headers['x-coral-warning']).toBeUndefined();
  });

  it('ignores keys that mean nothing, and names them once in a warning', async () => {
    await open();
    const given = request(['a']);
    const [agent] = given.agentGraphRequest.agents;
    const answer = await door.send('POST', SESSION, {
      ...given,
      agentGraphRequest: { agents: [{ ...agent, colour: 'red' }] },
      namspaceProvider: 1,
    });
    answer.as(wire.SessionIdentifier);
    const warning =
      'Ignored, for it means nothing here: agentGraphRequest.agents[0].colour, namspaceProvider.';
    expect(answer.headers['x-coral-warning']).toBe(warning);
    expect(door.logged.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
      warning,
    ]);
  });

  it('keeps integers of options that are wider than a number', async () => {
    await open({ scripts: { worker: { options: { N: { type: 'i64' }, S: { type: 'list[i64]' } } } } });
    const given = request(['a']);
    const [agent] = given.agentGraphRequest.agents;
    const options = { N: { type: 'i64', value: 0 }, S: { type: 'list[i64]', value: [0] } };
    const body = JSON.stringify({ ...given, agentGraphRequest: { agents: [{ ...agent, options }] } })
      .replace('"value":0', '"value":9223372036854775807')
      .replace('"value":[0]', '"value":[-9223372036854775808, 7]');
    const { sessionId } = (await door.send('POST', SESSION, body)).as(wire.SessionIdentifier);
    const [first] = await door.world.story(sessionId);
    expect(first?.event).toMatchObject({
      agents: [
        {
          options: {
            N: { value: { value: '9223372036854775807' } },
            S: { value: { value: ['-9223372036854775808', '7'] } },
          },
        },
      ],
    });
  });

  it('refuses with every fault at once, the first in the message', async () => {
    await open();
    const body = {
      agentGraphRequest: {
        agents: [
          {
            id: { name: 'worker', version: 1, registrySourceId: { type: 'lokal' } },
            name: 'a',
            provider: { type: 'local' },
          },
        ],
      },
      namespaceProvider: {},
      execution: { mode: 'immediate', runtimeSettings: { ttl: -1 } },
      annotations: { a: 1 },
    };
    const error = (await door.send('POST', SESSION, body)).refused(400, 'invalid_request');
    expect(error.issues).toEqual([
      { path: 'agentGraphRequest.agents[0].id.version', message: 'Must be a string.' },
      {
        path: 'agentGraphRequest.agents[0].id.registrySourceId.type',
        message: 'Must be one of "local", "marketplace", "linked".',
      },
      {
        path: 'agentGraphRequest.agents[0].provider.runtime',
        message: 'Is missing; it must be one of "executable", "docker", "function", "prototype", "scripted".',
      },
      {
        path: 'namespaceProvider.type',
        message: 'Is missing; it must be one of "create_if_not_exists", "use_existing".',
      },
      { path: 'execution.runtimeSettings.ttl', message: 'Must be at least 0.' },
      { path: 'annotations.a', message: 'Must be a string.' },
    ]);
    expect(error.message).toBe(
      'The body does not fit: agentGraphRequest.agents[0].id.version: Must be a string. 5 more in issues.',
    );
  });

  it('refuses an agent that the registry does not have', async () => {
    await open();
    const body = JSON.stringify(request(['a'])).replace('"name":"worker"', '"name":"wroker"');
    const error = (await door.send('POST', SESSION, body)).refused(400, 'unknown_agent');
    expect(error.message).toContain('wroker');
  });

  it('refuses a graph without agents, and two agents of one name', async () => {
    await open();
    (await door.send('POST', SESSION, request([]))).refused(400, 'invalid_graph');
    (await door.send('POST', SESSION, request(['a', 'a']))).refused(400, 'invalid_graph');
  });

  it('refuses a namespace that has to exist and does not', async () => {
    await open();
    const body = request(['a'], { namespaceProvider: { type: 'use_existing', name: 'nowhere' } });
    (await door.send('POST', SESSION, body)).refused(404, 'unknown_namespace');
  });

  it.each([
    ['an object that breaks', '{"agentGraphRequest":\n {,}}', /breaks at line 2, column 3/],
    ['an object that ends early', '{"agentGraphRequest"', /ends too early, at line 1, column 21/],
    ['two values', '{"a": "secret-in-here" x}', /breaks at line 1, column 24/],
    ['a wide number before the break', `{"n": 12345678901234567890,}`, /breaks at line 1, column 28/],
    ['brackets without end', '['.repeat(100_000), /nests deeper than 200 levels/],
    ['a list of wide numbers without end', `[${'1234567890123456,'.repeat(3)}`, /not valid JSON/],
    ['nothing', '', /Must be an object/],
    ['null', 'null', /Must be an object/],
    ['a list', '[]', /Must be an object/],
    ['a wide number', '12345678901234567890', /Must be an object/],
  ])('answers 400 to a body that is %s', async (_name, body, message) => {
    await open();
    const error = (await door.send('POST', SESSION, body)).refused(400, 'invalid_request');
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('secret');
  });

  it('takes JSON whatever the content type says, and with a byte order mark', async () => {
    await open();
    const body = `\ufeff${JSON.stringify(request(['a']))}`;
    const headers = { authorization: 'Bearer a-key-of-this-test', 'content-type': 'text/plain' };
    (await door.send('POST', SESSION, body, headers)).as(wire.SessionIdentifier);
  });

  it('answers 413 to a body over the limit', async () => {
    await open({ config: { bodyLimit: 1_000 } });
    const body = request(['a'], { annotations: { long: 'x'.repeat(2_000) } });
    (await door.send('POST', SESSION, body)).refused(413, 'payload_too_large');
  });

  it.each([
    ['full', 507, 'storage_full'],
    ['unavailable', 503, 'storage_unavailable'],
  ] as const)('answers %s storage with %i', async (code, status, word) => {
    const journal = openMemoryJournal();
    await open({ journal });
    journal.append = () => Promise.reject(new JournalError(code, 'The journal at /x cannot be written.'));
    const error = (await door.send('POST', SESSION, request(['a']))).refused(status, word);
    expect(error.message).toContain('/x');
  });

  it('answers 500 to a fault of ours, says an id, and logs once under it', async () => {
    const journal = openMemoryJournal();
    await open({ journal });
    journal.append = () => Promise.reject(new Error('inner workings'));
    const error = (await door.send('POST', SESSION, request(['a']))).refused(500, 'internal_error');
    expect(error.message).not.toContain('inner');
    const errors = door.logged.filter(({ level }) => level === 'error');
    expect(errors).toHaveLength(1);
    expect(error.message).toContain(String(errors[0]?.fields?.['id']));
    expect(String(errors[0]?.fields?.['reason'])).toContain('inner workings');
  });

  it('answers 503 once the server shuts down', async () => {
    await open();
    await door.world.coral.shutdown();
    (await door.send('POST', SESSION, request(['a']))).refused(503, 'shutting_down');
  });
});

describe('executing a deferred session', () => {
  const defer = { execution: { mode: 'defer' as const } };

  it('runs it, once', async () => {
    await open();
    const path = await opened(defer);
    expect((await door.send('GET', path)).as(wire.SessionStateBase).status).toEqual({
      type: 'pending_execution',
    });
    const settings = { ttl: 5_000, persistenceMode: { mode: 'hold_after_exit', duration: 1_000 } };
    (await door.send('POST', path, settings)).as(Nothing);
    expect((await door.send('GET', path)).as(wire.SessionStateBase).status.type).toBe('executed');
    (await door.send('POST', path, settings)).refused(400, 'session_not_pending');
  });

  it('lets one of two win', async () => {
    await open();
    const path = await opened(defer);
    const both = await Promise.all([door.send('POST', path, {}), door.send('POST', path, {})]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 400]);
  });

  it('has a default for every setting, so that it needs no body', async () => {
    await open();
    const path = await opened(defer);
    (await door.send('POST', path)).as(Nothing);
  });

  it('refuses settings that do not fit, and a session that is not there', async () => {
    await open();
    const path = await opened(defer);
    const error = (await door.send('POST', path, { ttl: 1.5 })).refused(400, 'invalid_request');
    expect(error.issues).toEqual([{ path: 'ttl', message: 'Must be a whole number.' }]);
    (await door.send('POST', `${SESSION}/test/none`, {})).refused(404, 'unknown_session');
  });
});

describe('looking at a session', () => {
  it('shows its agents and threads', async () => {
    await open();
    const path = await opened();
    await door.world.settled();
    const sessionId = path.split('/').at(-1) ?? '';
    const a = door.world.agent(sessionId, 'a');
    const thread = await a.createThread('talk', ['b']);
    for (const text of ['one', 'two', 'three']) await a.sendMessage(thread.id, text, []);

    const whole = (await door.send('GET', `${path}/extended`)).as(wire.SessionStateExtended);
    expect(whole.agents.map(({ name, status, links }) => [name, status.type, links])).toEqual([
      ['a', 'running', ['b']],
      ['b', 'running', ['a']],
    ]);
    expect(whole.threads[0]?.messages.map(({ text }) => text)).toEqual(['one', 'two', 'three']);

    const part = (await door.send('GET', `${path}/extended?messages=1`)).as(wire.SessionStateExtended);
    expect(part.threads[0]).toMatchObject({ earlierMessages: 2, messages: [{ text: 'three' }] });
  });

  it('leaves nothing null in an answer', async () => {
    await open();
    const path = await opened();
    expect((await door.send('GET', `${path}/extended`)).text).not.toContain('null');
  });

  it.each(['', '/extended'])('answers 404 to an unknown one (%s)', async (tail) => {
    await open();
    await opened();
    (await door.send('GET', `${SESSION}/test/none${tail}`)).refused(404, 'unknown_session');
    (await door.send('GET', `${SESSION}/elsewhere/none${tail}`)).refused(404, 'unknown_session');
  });

  it.each(['-1', 'x', '1.5'])('refuses ?messages=%s', async (messages) => {
    await open();
    const path = await opened();
    const answer = await door.send('GET', `${path}/extended?messages=${messages}`);
    expect(answer.refused(400, 'invalid_request').message).toContain('The query does not fit: messages: ');
  });

  it('is found under a name of 128 characters that needs encoding', async () => {
    await open();
    const name = 'ü'.repeat(128);
    const namespaceProvider = { type: 'create_if_not_exists' as const, namespaceRequest: { name } };
    const answer = await door.send('POST', SESSION, request(['a'], { namespaceProvider }));
    const { sessionId } = answer.as(wire.SessionIdentifier);
    const path = `${SESSION}/${encodeURIComponent(name)}/${sessionId}`;
    expect((await door.send('GET', path)).as(wire.SessionStateBase).namespace).toBe(name);
  });
});

describe('closing a session', () => {
  it('stops every agent; without a hold it is gone then', async () => {
    await open();
    const path = await opened();
    await door.world.settled();
    (await door.send('DELETE', path)).as(Nothing);
    (await door.send('GET', path)).refused(404, 'unknown_session');
  });

  it('keeps a held one, with how its agents ended, until a second DELETE', async () => {
    await open();
    const path = await opened({
      execution: {
        mode: 'immediate',
        runtimeSettings: { persistenceMode: { mode: 'hold_after_exit', duration: 60_000 } },
      },
    });
    await door.world.settled();
    (await door.send('DELETE', path)).as(Nothing);
    const held = (await door.send('GET', `${path}/extended`)).as(wire.SessionStateExtended);
    expect(held.base.status.type).toBe('closing');
    expect(held.agents[0]).toMatchObject({
      status: { type: 'stopped' },
      exit: { reason: 'stopped', cause: 'session_closed', restarts: 0 },
    });
    (await door.send('DELETE', path)).as(Nothing);
    (await door.send('GET', path)).refused(404, 'unknown_session');
  });

  it('simply closes a deferred one', async () => {
    await open();
    const path = await opened({ execution: { mode: 'defer' } });
    (await door.send('DELETE', path)).as(Nothing);
    (await door.send('GET', path)).refused(404, 'unknown_session');
  });

  it('takes a body, also an empty one that claims to be JSON', async () => {
    await open();
    const headers = { authorization: 'Bearer a-key-of-this-test', 'content-type': 'application/json' };
    (await door.send('DELETE', await opened(), undefined, headers)).as(Nothing);
    (await door.send('DELETE', await opened(), { reason: 'enough' })).as(Nothing);
  });

  it('answers 404 to an unknown one', async () => {
    await open();
    (await door.send('DELETE', `${SESSION}/test/none`)).refused(404, 'unknown_session');
  });
});
