/** Waits are lossless: nothing is missed, nothing is handed over twice, nothing is lost with a client. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WaitFilter } from '../../src/domain/event.ts';
import type { Participant } from '../../src/engine/participant.ts';
import { engineWorld, type EngineWorld } from '../support/engine-world.ts';
import { runs } from '../support/runs.ts';

const MINUTE = 60_000;

async function talk(
  names: readonly string[],
): Promise<{ world: EngineWorld; sessionId: string; agents: Participant[]; threadId: string }> {
  const world = await engineWorld({ scripts: { worker: {} } });
  const { sessionId } = await world.open(names.map((name) => `worker:${name}`));
  await world.settled();
  const agents = names.map((name) => world.agent(sessionId, name));
  for (const agent of agents) await agent.connect();
  const thread = await agents[0]!.createThread('talk', names);
  return { world, sessionId, agents, threadId: thread.id };
}

/** Waits, takes what comes and says so. */
async function receive(
  agent: Participant,
  filters: readonly WaitFilter[] = [],
  maxWaitMs = MINUTE,
): Promise<string | undefined> {
  const delivery = await agent.wait({ filters, maxWaitMs });
  delivery.settle(true);
  return delivery.value?.text;
}

describe('waits', () => {
  it('return what was sent before they began, oldest first, and each message once', async () => {
    const { agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
    for (const text of ['one', 'two', 'three']) await ann!.sendMessage(threadId, text, []);
    expect([await receive(bob!), await receive(bob!), await receive(bob!)]).toEqual(['one', 'two', 'three']);
    expect(await receive(bob!, [], 0)).toBeUndefined();
  });

  it("are answered by the next message, and never by one's own", async () => {
    const { agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
    const waiting = receive(bob!);
    await bob!.sendMessage(threadId, 'mine', []);
    await ann!.sendMessage(threadId, 'hers', []);
    expect(await waiting).toBe('hers');
  });

  it('end when their time is up, at 55 s at the latest', async () => {
    const { world, sessionId, agents: [, bob] } = await talk(['ann', 'bob']); // prettier-ignore
    const waiting = receive(bob!, [], 10 * MINUTE);
    await world.advance(54_999);
    expect(world.coral.session({ namespace: 'test', sessionId }).agents.get('bob')?.waits.size).toBe(1);
    await world.advance(1);
    expect(await waiting).toBeUndefined();
    expect(world.coral.session({ namespace: 'test', sessionId }).agents.get('bob')?.waits.size).toBe(0);
  });

  it('pick by mention and by sender, and leave the rest for later', async () => {
    const { agents: [ann, bob, eve], threadId } = await talk(['ann', 'bob', 'eve']); // prettier-ignore
    await ann!.sendMessage(threadId, 'to all', []);
    await ann!.sendMessage(threadId, 'to bob', ['bob']);
    await eve!.sendMessage(threadId, 'from eve', []);
    expect(await receive(bob!, [{ type: 'mentions', name: 'bob' }])).toBe('to bob');
    expect(await receive(bob!, [{ type: 'from', name: 'eve' }])).toBe('from eve');
    expect(await receive(bob!)).toBe('to all');
    expect(await receive(bob!, [], 0)).toBeUndefined();
  });

  it('hand over nothing to a client that went away', async () => {
    const { world, sessionId, agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
    await ann!.sendMessage(threadId, 'hello', []);
    const lost = await bob!.wait({ filters: [], maxWaitMs: MINUTE });
    expect(lost.value?.text).toBe('hello');
    expect(await receive(bob!, [], 0)).toBeUndefined();
    const parked = receive(bob!);
    lost.settle(false);
    expect(await parked).toBe('hello');
    await world.settled();
    expect(
      (await world.story(sessionId)).filter(
        ({ event }) => event.type === 'wait_ended' && event.outcome === 'message',
      ),
    ).toHaveLength(1);
  });

  it('end at once when their client goes away', async () => {
    const { world, sessionId, agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
    const gone = new AbortController();
    const waiting = bob!.wait({ filters: [], maxWaitMs: MINUTE, signal: gone.signal });
    gone.abort();
    expect((await waiting).value).toBeUndefined();
    await world.settled();
    await ann!.sendMessage(threadId, 'hello', []);
    expect(await receive(bob!)).toBe('hello');
    expect(
      (await world.story(sessionId)).filter(
        ({ event }) => event.type === 'wait_ended' && event.outcome === 'client_gone',
      ),
    ).toHaveLength(1);
  });

  it('share messages between two waits of one agent', async () => {
    const { agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
    const both = Promise.all([receive(bob!), receive(bob!)]);
    await ann!.sendMessage(threadId, 'one', []);
    await ann!.sendMessage(threadId, 'two', []);
    expect((await both).sort()).toEqual(['one', 'two']);
  });

  it('go on behind an explicit cursor, handed over or not', async () => {
    const { agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
    const first = await ann!.sendMessage(threadId, 'one', []);
    await ann!.sendMessage(threadId, 'two', []);
    expect([await receive(bob!), await receive(bob!)]).toEqual(['one', 'two']);
    const again = await bob!.wait({ filters: [], maxWaitMs: 0, afterMessageId: first.id });
    expect(again.value?.text).toBe('two');
    await expect(bob!.wait({ filters: [], maxWaitMs: 0, afterMessageId: 'nonsense' })).rejects.toMatchObject({
      code: 'unknown_message',
    });
  });

  it('give a new participant the earlier messages, and a returning one what it has not had', async () => {
    const { agents: [ann, bob, eve] } = await talk(['ann', 'bob', 'eve']); // prettier-ignore
    const { id } = await ann!.createThread('private', ['bob']);
    await ann!.sendMessage(id, 'early', []);
    const waiting = receive(eve!);
    await bob!.addParticipant(id, 'eve');
    expect(await waiting).toBe('early');
    await ann!.sendMessage(id, 'unread', []);
    await bob!.removeParticipant(id, 'eve');
    expect(await receive(eve!, [], 0)).toBeUndefined();
    await ann!.sendMessage(id, 'meanwhile', []);
    await bob!.addParticipant(id, 'eve');
    expect([await receive(eve!), await receive(eve!), await receive(eve!, [], 0)]).toEqual([
      'unread',
      'meanwhile',
      undefined,
    ]);
  });

  it('still return messages of a thread that was closed before they were handed over', async () => {
    const { agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
    await ann!.sendMessage(threadId, 'last words', []);
    await ann!.closeThread(threadId, 'done');
    expect(await receive(bob!)).toBe('last words');
  });

  it('leave mentions to be waited for after a read of the state', async () => {
    const { world, agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
    await ann!.sendMessage(threadId, 'to all', []);
    await ann!.sendMessage(threadId, 'to bob', ['bob']);
    const read = bob!.readState();
    expect(read.value).toContain('to all');
    read.settle(true);
    await world.settled();
    expect([await receive(bob!), await receive(bob!, [], 0)]).toEqual(['to bob', undefined]);
  });

  it('hand over nothing by a read that did not arrive', async () => {
    const { world, agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
    await ann!.sendMessage(threadId, 'to all', []);
    bob!.readState().settle(false);
    await world.settled();
    expect(await receive(bob!)).toBe('to all');
  });

  it('end at once when the session stops, while goodbyes can still be said', async () => {
    const world = await engineWorld({ scripts: { deaf: { ignoreStop: true } } });
    const key = await world.open(['deaf:ann', 'deaf:bob']);
    await world.settled();
    const [ann, bob] = ['ann', 'bob'].map((name) => world.agent(key.sessionId, name));
    const { id } = await ann!.createThread('talk', ['bob']);
    const waiting = receive(bob!);
    const closing = world.coral.close(key);
    expect(await waiting).toBeUndefined();
    expect(await receive(bob!)).toBeUndefined();
    await expect(ann!.sendMessage(id, 'goodbye', [])).resolves.toMatchObject({ text: 'goodbye' });
    await world.advance(10_000);
    await closing;
    await expect(ann!.sendMessage(id, 'too late', [])).rejects.toMatchObject({ name: 'Refusal' });
  });

  it('lose and repeat nothing, whatever the order of sends, waits and disconnects', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('send' as const), mention: fc.boolean() }),
      fc.record({ do: fc.constant('wait' as const), delivered: fc.boolean(), mentionOnly: fc.boolean() }),
      fc.record({ do: fc.constant('park' as const), delivered: fc.boolean() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { world, agents: [ann, bob], threadId } = await talk(['ann', 'bob']); // prettier-ignore
        const sent: string[] = [];
        const received: string[] = [];
        const take = (delivery: Awaited<ReturnType<Participant['wait']>>, delivered: boolean): void => {
          delivery.settle(delivered);
          if (delivered && delivery.value !== undefined) received.push(delivery.value.text);
        };
        const parked: Promise<void>[] = [];
        for (const action of steps) {
          if (action.do === 'send') {
            sent.push(`message ${sent.length}`);
            await ann!.sendMessage(threadId, sent[sent.length - 1]!, action.mention ? ['bob'] : []);
          } else if (action.do === 'wait') {
            const filters: WaitFilter[] = action.mentionOnly ? [{ type: 'mentions', name: 'bob' }] : [];
            take(await bob!.wait({ filters, maxWaitMs: 0 }), action.delivered);
          } else {
            parked.push(
              bob!
                .wait({ filters: [], maxWaitMs: MINUTE })
                .then((delivery) => take(delivery, action.delivered)),
            );
          }
        }
        await world.advance(MINUTE);
        await Promise.all(parked);
        for (let text = await receive(bob!, [], 0); text !== undefined; text = await receive(bob!, [], 0))
          received.push(text);
        expect(received.toSorted()).toEqual(sent.toSorted());
      }),
      runs(60),
    );
  });
});

describe('blocking agents', () => {
  it('are let through together', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const request = (await import('../support/engine-world.ts')).sessionRequest([
      'worker:a',
      'worker:b',
      'worker:free',
    ]);
    for (const agent of request.agentGraphRequest.agents.slice(0, 2)) agent.blocking = true;
    const { sessionId } = await world.coral.open(request);
    await world.settled();
    const passed: string[] = [];
    const connect = (name: string): Promise<void> =>
      world
        .agent(sessionId, name)
        .connect()
        .then(() => void passed.push(name));
    await connect('free');
    const a = connect('a');
    await world.settled();
    expect(passed).toEqual(['free']);
    await connect('b');
    await a;
    expect(passed.toSorted()).toEqual(['a', 'b', 'free']);
  });

  it('go on alone after 50 s', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const request = (await import('../support/engine-world.ts')).sessionRequest(['worker:a', 'worker:b']);
    for (const agent of request.agentGraphRequest.agents) agent.blocking = true;
    const { sessionId } = await world.coral.open(request);
    await world.settled();
    let through = false;
    void world
      .agent(sessionId, 'a')
      .connect()
      .then(() => (through = true));
    await world.advance(49_999);
    expect(through).toBe(false);
    await world.advance(1);
    expect(through).toBe(true);
  });
});
