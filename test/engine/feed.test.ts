/** A follower is a cursor: without gap and without repeat, however slow, whenever it comes. */
import { describe, expect, it } from 'vitest';
import { engineWorld } from '../support/engine-world.ts';

describe('following a session', () => {
  it('replays from where it was and follows to the end of the session', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const key = await world.open(['worker:ann', 'worker:bob']);
    await world.settled();
    const seqs: number[] = [];
    const following = (async () => {
      for await (const record of world.coral.feed.session(key, 2, new AbortController().signal))
        seqs.push(record.seq);
    })();
    const ann = world.agent(key.sessionId, 'ann');
    const { id } = await ann.createThread('talk', ['bob']);
    // More than any tail that is kept in memory.
    for (let n = 0; n < 1000; n += 1) await ann.sendMessage(id, `message ${n}`, []);
    await world.coral.close(key);
    await following;
    const last = (await world.story(key.sessionId)).length;
    expect(seqs).toEqual(Array.from({ length: last - 2 }, (_, index) => index + 3));
  });

  it('begins with what comes next when it is not told where', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const key = await world.open(['worker:ann']);
    await world.settled();
    const before = world.coral.session(key).seq;
    const iterator = world.coral.feed
      .session(key, undefined, new AbortController().signal)
      [Symbol.asyncIterator]();
    await world.agent(key.sessionId, 'ann').createThread('talk', []);
    expect((await iterator.next()).value).toMatchObject({
      seq: before + 1,
      event: { type: 'thread_created' },
    });
    await iterator.return?.();
  });

  it('ends with its reader', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const key = await world.open(['worker:ann']);
    await world.settled();
    const gone = new AbortController();
    const iterator = world.coral.feed.session(key, undefined, gone.signal)[Symbol.asyncIterator]();
    const next = iterator.next();
    gone.abort();
    expect((await next).done).toBe(true);
    expect((world.coral.feed as unknown as { size: number }).size).toBe(0);
  });

  it('refuses a session that is not live', async () => {
    const world = await engineWorld();
    expect(() =>
      world.coral.feed.session({ namespace: 'x', sessionId: 'y' }, 0, new AbortController().signal),
    ).toThrow(/no live session/);
  });
});

describe('following the manager', () => {
  it('hears of every session and namespace, replay included', async () => {
    const world = await engineWorld({ scripts: { quick: { runFor: 1 } } });
    await world.open(['quick']);
    const gone = new AbortController();
    const types: string[] = [];
    const following = (async () => {
      for await (const { event } of world.coral.feed.manager(0, gone.signal)) types.push(event.type);
    })();
    await world.advance(1);
    await world.settled();
    gone.abort();
    await following;
    expect(types).toEqual([
      'namespace_created',
      'session_opened',
      'session_executed',
      'session_ended',
      'session_closed',
      'namespace_closed',
    ]);
  });
});
