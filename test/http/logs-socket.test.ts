import { afterEach, describe, expect, it } from 'vitest';
import { LogEvent } from '../../src/domain/wire/event.ts';
import { LogHub } from '../../src/engine/log-hub.ts';
import type { LogLine } from '../../src/engine/log-hub.ts';
import { joinOutput } from '../../src/http/server.ts';
import { openMemoryOutput } from '../../src/output/memory.ts';
import { SILENT } from '../../src/ports/log.ts';
import { KEY, openDoor, request, type Door } from './door.ts';
import { SocketReader } from './socket-reader.ts';

let door: Door;
let base: string;
afterEach(() => door.close());

async function listen(options: { size?: number; maxReplay?: number } = {}): Promise<LogHub> {
  const logs = new LogHub({ ...options, now: () => 0 });
  door = await openDoor({ output: openMemoryOutput(), options: { logs } });
  joinOutput(logs, door.world.coral);
  base = await door.listen();
  return logs;
}
const url = (query = '', key = `/${KEY}`): string => `${base}/ws/v1/logs${key}${query}`;

async function open(namespace: string): Promise<(agent: string, text: string, more?: object) => void> {
  const namespaceProvider = { type: 'create_if_not_exists' as const, namespaceRequest: { name: namespace } };
  const answer = await door.send('POST', '/api/v1/local/session', request(['a', 'b'], { namespaceProvider }));
  const { sessionId } = JSON.parse(answer.text) as { sessionId: string };
  return (agent, text, more = {}) =>
    door.world.output.append(sessionId, { agent, attempt: 1, io: 'out', time: 0, text, ...more });
}
const texts = ({ seen }: SocketReader): unknown[] => seen.map(({ text }) => text);

describe('the logs socket', () => {
  it('replays the newest lines that match, then goes on, with tags', async () => {
    const logs = await listen();
    const print = await open('one');
    print('a', 'first');
    print('a', 'second', { io: 'error' });
    logs.tee(SILENT).error('It failed.', { namespace: 'one', agent: 'a', pause: 5 });
    const reader = await SocketReader.open(url('?limit=2'));
    print('b', 'third');
    await reader.take(3);
    for (const event of reader.seen) LogEvent.parse(event);
    expect(reader.seen[0]).toMatchObject({
      type: 'warning',
      text: 'second',
      tags: [
        { type: 'namespace', namespace: 'one', mdcMap: { ns: 'one' } },
        { type: 'session', mdcMap: { sid: expect.any(String) } },
        { type: 'agent', name: 'a', mdcMap: { agent: 'a' } },
        { type: 'stdout', io: 'error', mdcMap: { io: 'error' } },
      ],
    });
    expect(reader.seen[1]).toMatchObject({
      type: 'error',
      text: 'It failed. pause=5',
      exceptionStackTrace: [],
    });
    expect(reader.seen[2]).toMatchObject({ type: 'info', text: 'third' });
  });

  it('filters, and shows what is sensitive only when asked', async () => {
    await listen();
    const [one, two] = [await open('one'), await open('two')];
    const readers = await Promise.all(
      ['?namespaceFilter=two', '?agentFilter=b', '', '?allowSensitive=true'].map((query) =>
        SocketReader.open(url(query)),
      ),
    );
    one('a', '1');
    one('b', '2', { sensitive: true });
    two('a', '3');
    two('b', '4');
    one('b', 'end');
    two('b', 'end');
    await Promise.all(readers.map((reader) => reader.until(() => texts(reader).includes('end'))));
    const [namespace, agent, plain, all] = readers.map((reader) =>
      texts(reader).filter((text) => text !== 'end'),
    );
    expect(namespace).toEqual(['3', '4']);
    expect(agent).toEqual(['4']);
    expect(plain).toEqual(['1', '3', '4']);
    expect(all).toEqual(['1', '2', '3', '4']);
  });

  it('keeps a bounded number of lines, and tells a reader what went by too fast', async () => {
    await listen({ size: 100, maxReplay: 10 });
    const print = await open('one');
    for (let line = 1; line <= 300; line += 1) print('a', String(line));
    const reader = await SocketReader.open(url('?limit=1000'));
    await reader.take(10);
    expect(texts(reader)).toEqual(Array.from({ length: 10 }, (_none, index) => String(291 + index)));
    // All in one turn: nobody can be fast enough.
    for (let line = 1; line <= 1_000; line += 1) print('a', 'x');
    await reader.take(111);
    expect(texts(reader)[10]).toBe('900 lines went by too fast for this reader and are left out.');
  });

  it('is gone on with behind the seq of the last line seen, without gap or repeat, however often it breaks off', async () => {
    const logs = await listen();
    const print = await open('one');
    const other = await open('two');
    const seen: unknown[] = [];
    let after = 0;
    for (let printed = 0, round = 1; printed < 2_000; round += 1) {
      for (const until = printed + round * 7; printed < until;) {
        printed += 1;
        print('a', String(printed));
        other('b', 'of somebody else');
      }
      const reader = await SocketReader.open(url(`?after=${after}&limit=1&namespaceFilter=one`));
      // It breaks off somewhere in the middle of what there is.
      await reader.take(1 + ((round * 5) % (printed - seen.length)));
      await reader.close();
      for (const event of reader.seen) LogEvent.parse(event);
      seen.push(...texts(reader));
      after = Number(reader.seen.at(-1)!['seq']);
    }
    const rest = await SocketReader.open(url(`?after=${after}&namespaceFilter=one`));
    logs.tee(SILENT).info('end', { namespace: 'one' });
    await rest.until(() => texts(rest).includes('end'));
    seen.push(...texts(rest));
    expect(seen).toEqual([
      ...Array.from({ length: seen.length - 1 }, (_none, index) => String(index + 1)),
      'end',
    ]);
  });

  it('numbers lines only for who asks, and says what is not kept any more', async () => {
    await listen({ size: 100 });
    const print = await open('one');
    print('a', 'first');
    const all = await SocketReader.open(url('?after=0'));
    await all.take(1);
    const after = Number(all.seen[0]!['seq']);
    const plain = await SocketReader.open(url());
    for (let line = 1; line <= 300; line += 1) print('a', String(line));
    await plain.until(() => texts(plain).includes('300'));
    expect(plain.seen.filter((line) => 'seq' in line)).toEqual([]);
    const late = await SocketReader.open(url(`?after=${after}`));
    await late.take(101);
    expect(texts(late).slice(0, 2)).toEqual([
      '200 lines went by too fast for this reader and are left out.',
      '201',
    ]);
    const seqs = late.seen.map(({ seq }) => Number(seq));
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
  });

  it('goes on rising over a restart of the server, and says that there was one', async () => {
    const { signal } = new AbortController();
    const query = { allowSensitive: false, limit: 1 };
    const before = new LogHub({ now: () => 5 });
    before.tee(SILENT).info('before');
    const seen = await before.follow(query, signal)[Symbol.asyncIterator]().next();
    const [{ number: after }] = seen.value as [LogLine];
    const logs = new LogHub({ now: () => 6 });
    logs.tee(SILENT).info('since');
    const lines = logs.follow({ ...query, after }, signal)[Symbol.asyncIterator]();
    expect((await lines.next()).value).toMatchObject([{ text: expect.stringContaining('started anew') }]);
    expect((await lines.next()).value).toMatchObject([{ text: 'since' }]);
  });

  it('needs a key', async () => {
    await listen();
    await expect(SocketReader.open(url('', '/wrong'))).rejects.toMatchObject({ status: 401 });
    await expect(SocketReader.open(url('', ''))).rejects.toMatchObject({ status: 401 });
    await expect(SocketReader.open(url('?limit=-1'))).rejects.toMatchObject({ status: 400 });
    const bearer = await SocketReader.open(url('', ''), { headers: { authorization: `Bearer ${KEY}` } });
    await bearer.close();
  });
});
