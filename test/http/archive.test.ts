import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WireEvent } from '../../src/domain/wire/event.ts';
import * as wire from '../../src/domain/wire/session.ts';
import { ArchivedEvents, ArchivedLines, ArchivePage } from '../../src/http/archive-routes.ts';
import { openDoor, request, type Door } from './door.ts';

let door: Door;
beforeEach(async () => {
  door = await openDoor();
});
afterEach(() => door.close());

const ARCHIVE = '/api/v1/archive/session';

async function open(namespace = 'test', annotations: Record<string, string> = {}): Promise<string> {
  const body = request(['a', 'b'], {
    annotations,
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: namespace } },
  });
  const answer = await door.send('POST', '/api/v1/local/session', body);
  await door.world.advance(1_000);
  return answer.as(wire.SessionIdentifier).sessionId;
}

async function close(sessionId: string, namespace = 'test'): Promise<void> {
  const answer = await door.send('DELETE', `/api/v1/local/session/${namespace}/${sessionId}`);
  expect(answer.status).toBe(200);
}

/** A session in which something was said in a thread that was then closed, and that is over. */
async function told(): Promise<string> {
  const sessionId = await open();
  const a = door.world.agent(sessionId, 'a');
  await a.connect();
  const thread = await a.createThread('talk', ['b']);
  await a.sendMessage(thread.id, 'remember this', ['b']);
  const read = await door.world.agent(sessionId, 'b').wait({ filters: [], maxWaitMs: 1_000 });
  read.settle(true);
  await a.closeThread(thread.id, 'said');
  await close(sessionId);
  return sessionId;
}

const page = async (query: string): Promise<string[]> =>
  (await door.send('GET', `${ARCHIVE}?${query}`)).as(ArchivePage).sessions.map(({ id }) => id);

describe('the list', () => {
  it('shows closed sessions and live ones, newest first, each with its status', async () => {
    const first = await open('test', { owner: 'me' });
    const second = await open();
    await close(first);
    const { sessions } = (await door.send('GET', ARCHIVE)).as(ArchivePage);
    expect(sessions.map(({ id, status }) => [id, status.type])).toEqual([
      [second, 'executed'],
      [first, 'closed'],
    ]);
    expect(sessions[1]).toMatchObject({ namespace: 'test', annotations: { owner: 'me' } });
  });

  it('comes page by page', async () => {
    const opened = [await open(), await open(), await open()];
    const one = (await door.send('GET', `${ARCHIVE}?limit=2`)).as(ArchivePage);
    expect(one.sessions.map(({ id }) => id)).toEqual([opened[2], opened[1]]);
    const two = (await door.send('GET', `${ARCHIVE}?limit=2&cursor=${one.next}`)).as(ArchivePage);
    expect(two.sessions.map(({ id }) => id)).toEqual([opened[0]]);
    expect(two.next).toBeUndefined();
  });

  it('is narrowed by namespace, annotations and time', async () => {
    const begin = door.world.host.now();
    const a = await open('x', { owner: 'me', url: 'http://y' });
    const middle = door.world.host.now();
    const b = await open('y', { owner: 'me' });
    expect(await page('namespace=y')).toEqual([b]);
    expect(await page('annotation=owner:me')).toEqual([b, a]);
    expect(await page('annotation=owner:me&annotation=url:http://y')).toEqual([a]);
    expect(await page(`from=${middle}`)).toEqual([b]);
    expect(await page(`before=${new Date(middle).toISOString()}&from=${begin}`)).toEqual([a]);
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=501', 'limit'],
    ['annotation=owner', 'annotation'],
    ['from=yesterday', 'from'],
  ])('refuses %s', async (query, path) => {
    const error = (await door.send('GET', `${ARCHIVE}?${query}`)).refused(400, 'invalid_request');
    expect(error.issues?.map((issue) => issue.path)).toEqual([path]);
  });

  it('refuses a cursor that no page gave', async () => {
    (await door.send('GET', `${ARCHIVE}?cursor=nonsense`)).refused(400, 'invalid_request');
  });
});

describe('a closed session', () => {
  it('is seen whole, with the messages of closed threads', async () => {
    const id = await told();
    const session = (await door.send('GET', `${ARCHIVE}/test/${id}`)).as(wire.SessionStateExtended);
    expect(session.base.status.type).toBe('closed');
    expect(session.agents.map(({ exit }) => exit?.reason)).toEqual(['stopped', 'stopped']);
    expect(session.threads[0]).toMatchObject({
      state: { state: 'closed', summary: 'said' },
      messages: [{ text: 'remember this' }],
    });
  });

  it('tells its events page by page, every one', async () => {
    const id = await told();
    const events: WireEvent[] = [];
    let after: number | undefined = 0;
    while (after !== undefined) {
      const url: string = `${ARCHIVE}/test/${id}/events?after=${after}&limit=4`;
      const answer = (await door.send('GET', url)).as(ArchivedEvents);
      expect(answer.events.length).toBeLessThanOrEqual(4);
      events.push(...answer.events);
      after = answer.next;
    }
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index + 1));
    expect(events.at(0)?.type).toBe('session_opened');
    expect(events.at(-1)?.type).toBe('session_closed');
    expect(events.find(({ type }) => type === 'agent_wait_stop')).toMatchObject({
      name: 'b',
      message: { text: 'remember this' },
    });
  });

  it('is exported as JSON Lines, the same events', async () => {
    const id = await told();
    const answer = await door.send('GET', `${ARCHIVE}/test/${id}/export?format=jsonl`);
    expect(answer.headers['content-type']).toContain('application/jsonl');
    const exported = answer.text
      .split('\n')
      .slice(0, -1)
      .map((line) => WireEvent.parse(JSON.parse(line)));
    const listed = (await door.send('GET', `${ARCHIVE}/test/${id}/events?limit=1000`)).as(ArchivedEvents);
    expect(exported).toEqual(listed.events);
  });

  it('keeps what its agents printed', async () => {
    const id = await open();
    const line = { time: door.world.host.now(), agent: 'a', attempt: 1, io: 'out' as const };
    for (const text of ['one', 'two']) door.world.output.append(id, { ...line, text });
    door.world.output.append(id, { ...line, text: 'hush', sensitive: true });
    door.world.output.append(id, { ...line, agent: 'b', text: 'three' });
    await close(id);
    const texts = async (query: string) => {
      const answer = (await door.send('GET', `${ARCHIVE}/test/${id}/logs?${query}`)).as(ArchivedLines);
      return [answer.lines.map(({ text }) => text), answer.next];
    };
    expect(await texts('')).toEqual([['one', 'two', 'three'], undefined]);
    expect(await texts('limit=1&after=1')).toEqual([['two'], 2]);
    expect(await texts('agentFilter=a&allowSensitive=true')).toEqual([['one', 'two', 'hush'], undefined]);
  });

  it.each(['', '/events', '/logs', '/export'])('that never was is 404 (%s)', async (tail) => {
    const id = await told();
    (await door.send('GET', `${ARCHIVE}/test/none${tail}`)).refused(404, 'unknown_session');
    (await door.send('GET', `${ARCHIVE}/elsewhere/${id}${tail}`)).refused(404, 'unknown_session');
  });

  it('is exported in no other format', async () => {
    const id = await told();
    const error = (await door.send('GET', `${ARCHIVE}/test/${id}/export?format=xml`)).refused(
      400,
      'invalid_request',
    );
    expect(error.issues).toEqual([{ path: 'format', message: 'Must be "jsonl".' }]);
  });
});

it('a live session is in the archive as it stands', async () => {
  const id = await open();
  const session = (await door.send('GET', `${ARCHIVE}/test/${id}`)).as(wire.SessionStateExtended);
  expect(session.base.status.type).toBe('executed');
});
