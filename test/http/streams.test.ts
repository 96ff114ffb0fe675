import { get, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { ListedEvent, LogEvent, ManagerEvent, WireEvent } from '../../src/domain/wire/event.ts';
import { KEY, SseReader, type Door, type DoorParts } from './door.ts';
import { listening, type Listening } from './listening.ts';

let door: Door;
let base: string;
let open: Listening['open'];
let close: Listening['end'];
async function listen(parts?: DoorParts): Promise<void> {
  ({ door, base, open, end: close } = await listening(parts));
}
afterEach(() => door.close());

const local = (path: string): string => `${base}/api/v1/local/${path}`;
const types = (events: readonly { data: unknown }[]): string[] =>
  events.map(({ data }) => (data as { type: string }).type);

describe('the events of a session', () => {
  it('come from now on, with their seq as id, and end with the session', async () => {
    await listen();
    const id = await open();
    const reader = await SseReader.open(local(`session/test/${id}/events`));
    expect(reader.response.headers.get('content-type')).toContain('text/event-stream');
    const a = door.world.agent(id, 'a');
    const thread = await a.createThread('talk', ['b']);
    await a.sendMessage(thread.id, 'hello', ['b']);
    const [created, sent] = await reader.take(2);
    expect(ListedEvent.parse(created?.data)).toMatchObject({
      type: 'thread_created',
      seq: Number(created?.id),
    });
    expect(ListedEvent.parse(sent?.data)).toMatchObject({
      type: 'thread_message_sent',
      message: { text: 'hello' },
    });
    await close(id);
    expect(types(await reader.rest())).toEqual(['runtime_stopped', 'runtime_stopped']);
  });

  it('are replayed behind a seq, everything behind 0, and all types only when asked for', async () => {
    await listen();
    const id = await open();
    const path = local(`session/test/${id}/events`);
    const some = await SseReader.open(`${path}?after=0`);
    const all = await SseReader.open(`${path}?after=0&all=true`);
    await close(id);
    const seen = await some.rest();
    for (const { data } of seen) ListedEvent.parse(data);
    expect(types(seen)).toEqual(['runtime_started', 'runtime_started', 'runtime_stopped', 'runtime_stopped']);
    const everything = await all.rest();
    for (const { data } of everything) WireEvent.parse(data);
    expect(everything.map((event) => Number(event.id))).toEqual(everything.map((_event, index) => index + 1));
    expect(types(everything).at(-1)).toBe('session_closed');
  });

  it('go on behind Last-Event-ID, which says more than the query a browser repeats', async () => {
    await listen();
    const id = await open();
    const path = local(`session/test/${id}/events?after=0&all=true`);
    const before = await SseReader.open(path);
    const [, , third] = await before.take(3);
    before.close();
    const after = await SseReader.open(path, { 'last-event-id': third?.id ?? '' });
    const [next] = await after.take(1);
    expect(Number(next?.id)).toBe(Number(third?.id) + 1);
    after.close();
  });

  it('are 404 for a session that is gone, so that a browser does not come back', async () => {
    await listen();
    (await door.send('GET', '/api/v1/local/session/test/none/events')).refused(404, 'unknown_session');
  });

  it.each([
    ['?after=-1', {}],
    ['?after=x', {}],
    ['?all=perhaps', {}],
    ['', { 'last-event-id': 'seven' }],
  ])('are refused with %s and %j', async (query, headers) => {
    await listen();
    const id = await open();
    const answer = await door.send('GET', `/api/v1/local/session/test/${id}/events${query}`, undefined, {
      authorization: `Bearer ${KEY}`,
      ...headers,
    });
    answer.refused(400, 'invalid_request');
  });

  it('keep the connection open with comments while nothing happens', async () => {
    await listen({ options: { sse: { heartbeat: 5 } } });
    const id = await open();
    const response = await fetch(local(`session/test/${id}/events`), {
      headers: { authorization: `Bearer ${KEY}` },
    });
    let text = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += new TextDecoder().decode(chunk);
      if (text.includes('\n\n:\n\n')) break;
    }
    expect(text).toMatch(/^: stream\n\n:\n\n/);
  });

  it('end when the server closes', async () => {
    await listen();
    const id = await open();
    const reader = await SseReader.open(local(`session/test/${id}/events`));
    await Promise.all([door.close(), expect(reader.rest()).resolves.toEqual([])]);
  });

  it('cut off a reader that takes nothing, who comes back where it was', async () => {
    await listen({ options: { sse: { patience: 20 } } });
    const id = await open();
    const a = door.world.agent(id, 'a');
    const thread = await a.createThread('talk', ['b']);
    for (let count = 0; count < 24; count += 1) await a.sendMessage(thread.id, 'x'.repeat(1_000_000), []);

    const stalled = await new Promise<IncomingMessage>((resolve) => {
      get(
        local(`session/test/${id}/events?after=0`),
        { headers: { authorization: `Bearer ${KEY}` } },
        resolve,
      );
    });
    // It never reads: the server has to notice.
    await expect.poll(() => door.logged.map(({ message }) => message).join()).toContain('cut off');
    const cut = door.logged.find(({ message }) => message.includes('cut off'));
    stalled.destroy();

    const last = Number(cut?.fields?.['id']);
    const reader = await SseReader.open(local(`session/test/${id}/events`), {
      'last-event-id': String(last),
    });
    expect(Number((await reader.take(1))[0]?.id)).toBe(last + 1);
    reader.close();
  });
});

describe('what agents print', () => {
  const print = (session: string, agent: string, text: string, more: object = {}): void =>
    door.world.output.append(session, { time: 0, agent, attempt: 1, io: 'out', text, ...more });
  const texts = (events: readonly { data: unknown }[]): string[] =>
    events.map(({ data }) => LogEvent.parse(data).text);

  it('comes with the newest lines first told, then what is printed, to the end of the session', async () => {
    await listen();
    const id = await open();
    for (const text of ['one', 'two', 'three']) print(id, 'a', text);
    const reader = await SseReader.open(local(`session/test/${id}/logs?limit=2`));
    expect(texts(await reader.take(2))).toEqual(['two', 'three']);
    print(id, 'b', 'four', { io: 'error' });
    const [four] = await reader.take(1);
    expect(four?.id).toBe('4');
    expect(LogEvent.parse(four?.data)).toMatchObject({ type: 'warning', text: 'four' });
    await close(id);
    expect(await reader.rest()).toEqual([]);
  });

  it('goes on behind a line, without gap or repeat', async () => {
    await listen();
    const id = await open();
    for (let line = 1; line <= 600; line += 1) print(id, 'a', `line ${line}`);
    const reader = await SseReader.open(local(`session/test/${id}/logs`), { 'last-event-id': '1' });
    const ids = (await reader.take(599)).map((event) => Number(event.id));
    expect(ids).toEqual(ids.map((_id, index) => index + 2));
    reader.close();
  });

  it('is narrowed to an agent, and leaves out what is sensitive unless it is asked for', async () => {
    await listen();
    const id = await open();
    print(id, 'a', 'of a');
    print(id, 'b', 'of b');
    print(id, 'a', 'hush', { sensitive: true });
    const path = local(`session/test/${id}/logs`);
    const narrow = await SseReader.open(`${path}?agentFilter=a`);
    const open_ = await SseReader.open(`${path}?allowSensitive=true`);
    const live = await SseReader.open(`${path}?limit=0&agentFilter=b`);
    print(id, 'a', 'more of a');
    print(id, 'b', 'more of b');
    expect(texts(await narrow.take(2))).toEqual(['of a', 'more of a']);
    expect(texts(await open_.take(5))).toEqual(['of a', 'of b', 'hush', 'more of a', 'more of b']);
    expect(texts(await live.take(1))).toEqual(['more of b']);
    for (const reader of [narrow, open_, live]) reader.close();
  });

  it.each([
    ['none', '', 404, 'unknown_session'],
    [undefined, '?agentFilter=zed', 404, 'agent_not_in_session'],
    [undefined, '?limit=100000', 400, 'invalid_request'],
  ])('is refused for %s %s', async (session, query, status, code) => {
    await listen();
    const id = await open();
    const answer = await door.send('GET', `/api/v1/local/session/test/${session ?? id}/logs${query}`);
    answer.refused(status, code);
  });
});

describe('manager events', () => {
  const parsed = (events: readonly { data: unknown }[]): ManagerEvent[] =>
    events.map(({ data }) => ManagerEvent.parse(data));

  it('tell of namespaces and sessions as they come and go', async () => {
    await listen();
    const reader = await SseReader.open(local('events'));
    const id = await open('n', { tier: 'gold' });
    await close(id, 'n');
    const events = parsed(await reader.take(6));
    expect(events.map(({ type }) => type)).toEqual([
      'namespace_created',
      'session_created',
      'session_running',
      'session_closing',
      'session_closed',
      'namespace_closed',
    ]);
    const namespaceState = { name: 'n', deleteOnLastSessionExit: true, annotations: { tier: 'gold' } };
    expect(events[1]).toMatchObject({ namespaceState, initialSessionState: { id, namespace: 'n' } });
    expect(events[4]).toMatchObject({ namespaceState, finalSessionState: { status: { type: 'closing' } } });
    expect(events[5]).toMatchObject({ finalState: namespaceState });
    const seqs = events.map(({ seq }) => seq);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    reader.close();
  });

  it('are replayed from any place as they were, though namespaces have come and gone since', async () => {
    await listen();
    const first = await open('n', { round: 'one' });
    await close(first, 'n');
    const second = await open('n', { round: 'two' });
    await close(second, 'n');
    const whole = await SseReader.open(local('events?after=0'));
    const all = parsed(await whole.take(12));
    whole.close();
    for (const [index, { seq }] of all.entries()) {
      const part = await SseReader.open(local('events'), { 'last-event-id': String(seq) });
      expect(parsed(await part.take(11 - index))).toEqual(all.slice(index + 1));
      part.close();
    }
  });

  it('are narrowed by namespace and by its annotations', async () => {
    await listen();
    const map = Buffer.from(JSON.stringify({ tier: 'gold' })).toString('base64url');
    const named = await SseReader.open(local('events?namespaceFilter=y'));
    const golden = await SseReader.open(local(`events?namespaceAnnotationFilters=${map}`));
    await open('x', { tier: 'gold', more: '1' });
    await open('y', { tier: 'tin' });
    expect(parsed(await named.take(2))).toMatchObject([
      { type: 'namespace_created', initialState: { name: 'y' } },
      { type: 'session_created', namespaceState: { name: 'y' } },
    ]);
    expect(parsed(await golden.take(2))).toMatchObject([
      { type: 'namespace_created', initialState: { name: 'x' } },
      { type: 'session_created', namespaceState: { name: 'x' } },
    ]);
    for (const reader of [named, golden]) reader.close();
  });

  it('are refused with filters that are no map', async () => {
    await listen();
    const list = Buffer.from('["gold"]').toString('base64url');
    (await door.send('GET', `/api/v1/local/events?namespaceAnnotationFilters=${list}`)).refused(
      400,
      'invalid_request',
    );
  });
});
