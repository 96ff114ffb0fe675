import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import * as wire from '../../src/domain/wire/session.ts';
import { KEY, openDoor, request, type Answer, type Door } from './door.ts';

let door: Door;
afterEach(() => door.close());

const Read = z.object({ messages: z.array(wire.Message), next: z.string().optional() });

class Puppet {
  readonly path: string;
  constructor(
    sessionId: string,
    readonly name: string,
  ) {
    this.path = `/api/v1/puppet/test/${sessionId}/${name}`;
  }
  post = (what: string, body: unknown): Promise<Answer> => door.send('POST', `${this.path}/${what}`, body);
  remove = (what: string, body?: unknown): Promise<Answer> =>
    door.send('DELETE', `${this.path}${what}`, body);
  async thread(name: string, participantNames: string[]): Promise<string> {
    const answer = await this.post('thread', { threadName: name, participantNames });
    return answer.as(z.object({ thread: wire.Thread })).thread.id;
  }
  async say(threadId: string, content: string, mentions: string[] = []): Promise<wire.Message> {
    const answer = await this.post('thread/message', { threadId, content, mentions });
    const sent = answer.as(
      z.object({ status: z.literal('Message sent successfully'), message: wire.Message }),
    );
    return sent.message;
  }
  async read(query = ''): Promise<z.output<typeof Read>> {
    return (await door.send('GET', `${this.path}/messages${query}`)).as(Read);
  }
}

async function session(agents = ['a', 'b', 'c'], scripts = {}): Promise<Puppet[]> {
  door = await openDoor({ scripts: { worker: {}, ...scripts } });
  const opened = await door.send('POST', '/api/v1/local/session', request(agents));
  await door.world.settled();
  const { sessionId } = opened.as(wire.SessionIdentifier);
  return agents.map((name) => new Puppet(sessionId, name));
}

const texts = ({ messages }: { messages: readonly wire.Message[] }): string[] =>
  messages.map(({ text }) => text);

describe('a puppet', () => {
  it('talks as any agent: creates, adds, sends, removes and closes', async () => {
    const [a, b, c] = (await session()) as [Puppet, Puppet, Puppet];
    const threadId = await a.thread('talk', ['b']);
    expect((await a.post('thread/participant', { threadId, participantName: 'c' })).text).toBe('');
    expect(await b.say(threadId, 'hello', ['a', 'c'])).toMatchObject({
      senderName: 'b',
      mentionNames: ['a', 'c'],
    });
    expect((await c.remove('/thread/participant', { threadId, participantName: 'c' })).status).toBe(200);
    expect((await a.remove('/thread', { threadId, summary: 'done' })).status).toBe(200);
    (await a.post('thread/message', { threadId, content: 'more', mentions: [] })).refused(
      400,
      'thread_closed',
    );
  });

  it('is refused what an agent is refused, as the status the clients know', async () => {
    const [a, b] = (await session()) as [Puppet, Puppet];
    const threadId = await a.thread('talk', ['b']);
    const send = (mentions: string[], thread = threadId): Promise<Answer> =>
      a.post('thread/message', { threadId: thread, content: 'x', mentions });
    (await send(['nobody'])).refused(404, 'unknown_mention');
    (await send(['c'])).refused(404, 'unknown_mention');
    (await send(['a'])).refused(400, 'invalid_mention');
    (await send([], 'none')).refused(404, 'unknown_thread');
    const member = { threadId, participantName: 'b' };
    (await a.post('thread/participant', member)).refused(400, 'already_participating');
    (await a.remove('/thread/participant', { ...member, participantName: 'c' })).refused(
      400,
      'not_participating',
    );
    (await a.post('thread/participant', { ...member, participantName: 'x' })).refused(
      404,
      'agent_not_in_session',
    );
    (await a.post('thread', { threadName: 'x', participantNames: ['x'] })).refused(
      404,
      'agent_not_in_session',
    );
    (await a.post('thread', { threadName: 7 })).refused(400, 'invalid_request');
    expect((await b.remove('/thread', { threadId })).refused(400, 'invalid_request').issues?.[0]?.path).toBe(
      'summary',
    );
    const nobody = new Puppet(a.path.split('/')[5] ?? '', 'nobody');
    (await nobody.post('thread', { threadName: 'x', participantNames: [] })).refused(
      404,
      'agent_not_in_session',
    );
    const nowhere = new Puppet('none', 'a');
    (await nowhere.post('thread', { threadName: 'x', participantNames: [] })).refused(404, 'unknown_session');
  });

  it('is stopped, and the answer comes when its runtime is gone', async () => {
    const [a, , c] = (await session(['a', 'b', 'c'])) as [Puppet, Puppet, Puppet];
    expect((await a.remove('/')).status).toBe(200);
    const path = a.path.replace('puppet', 'local/session').replace(/\/a$/, '/extended');
    const { agents } = (await door.send('GET', path)).as(wire.SessionStateExtended);
    expect(agents[0]).toMatchObject({
      status: { type: 'stopped' },
      exit: { reason: 'stopped', cause: 'requested' },
    });
    expect(agents[1]?.status.type).toBe('running');
    // Again is no fault.
    expect((await a.remove('')).status).toBe(200);
    // The last one to go takes the session along.
    await c.remove('');
  });

  it('cannot be stopped before it was launched', async () => {
    door = await openDoor();
    const deferred = request(['a'], { execution: { mode: 'defer' } });
    const { sessionId } = (await door.send('POST', '/api/v1/local/session', deferred)).as(
      wire.SessionIdentifier,
    );
    const a = new Puppet(sessionId, 'a');
    (await a.remove('')).refused(400, 'agent_not_running');
    (await a.post('thread', { threadName: 'x', participantNames: [] })).refused(400, 'agent_not_running');
  });
});

describe('reading as an agent', () => {
  it('shows visible messages of others, page by page, and takes none from the agent', async () => {
    const [a, b, c] = (await session()) as [Puppet, Puppet, Puppet];
    const seen = await a.thread('seen', ['b']);
    const hidden = await b.thread('hidden', ['c']);
    await b.say(seen, 'one');
    await a.say(seen, 'my own');
    await c.say(hidden, 'secret');
    await b.say(seen, 'two');
    await b.say(seen, 'three');
    const first = await a.read('?limit=2');
    expect(texts(first)).toEqual(['one', 'two']);
    const rest = await a.read(`?after=${first.next}`);
    expect(texts(rest)).toEqual(['three']);
    expect(await a.read(`?after=${rest.next}`)).toEqual({ messages: [], next: rest.next });
    const sessionId = a.path.split('/')[5] ?? '';
    const wait = await door.world.agent(sessionId, 'a').wait({ filters: [], maxWaitMs: 0 });
    expect(wait.value?.text).toBe('one');
    wait.settle(true);
  });

  it('waits for what comes, also by joining a thread', async () => {
    const [a, b, c] = (await session()) as [Puppet, Puppet, Puppet];
    const threadId = await a.thread('talk', ['b']);
    const parked = [b.read('?wait=30000'), c.read('?wait=30000')];
    await door.world.settled();
    await a.say(threadId, 'hello');
    expect(texts(await parked[0]!)).toEqual(['hello']);
    await a.post('thread/participant', { threadId, participantName: 'c' });
    expect(texts(await parked[1]!)).toEqual(['hello']);
  });

  it('ends empty when the time is up, the session ends or the server closes', async () => {
    const [a, b] = (await session()) as [Puppet, Puppet];
    const late = a.read('?wait=99999999');
    await door.world.settled();
    await door.world.advance(55_000);
    expect(await late).toEqual({ messages: [] });
    const ended = b.read('?wait=50000');
    await door.world.settled();
    await door.send('DELETE', a.path.replace('puppet', 'local/session').replace(/\/a$/, ''));
    expect(await ended).toEqual({ messages: [] });
  });

  it('does not hold up a server that closes', async () => {
    const [a] = (await session()) as [Puppet];
    const base = await door.listen();
    const asked = fetch(`${base}${a.path}/messages?wait=50000`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    const arrived = new Promise((resolve) => door.app.server.once('request', resolve));
    await arrived;
    await door.world.settled();
    await door.close();
    expect(await (await asked).json()).toEqual({ messages: [] });
  });

  it.each([
    ['?after=none', 'unknown_message'],
    ['?wait=soon', 'invalid_request'],
    ['?limit=0', 'invalid_request'],
  ])('is refused with %s', async (query, code) => {
    const [a] = (await session()) as [Puppet];
    (await door.send('GET', `${a.path}/messages${query}`)).refused(400, code);
  });
});
