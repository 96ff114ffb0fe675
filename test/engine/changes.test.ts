/** A running session changes: agents join and leave, the deadline moves, requests are asked twice. */
import { describe, expect, it } from 'vitest';
import { GraphAgentRequest } from '../../src/domain/wire/request.ts';
import { engineWorld, sessionRequest } from '../support/engine-world.ts';

const worker = (name: string): GraphAgentRequest =>
  GraphAgentRequest.parse({
    id: { name: 'worker', version: '1.0.0', registrySourceId: { type: 'local' } },
    name,
    provider: { type: 'local', runtime: 'scripted' },
  });

describe('an agent that joins', () => {
  it('is launched and linked with its groups', async () => {
    const world = await engineWorld();
    const key = await world.open(['worker:ann', 'worker:bob']);
    await world.settled();
    await world.coral.addAgent(key, worker('eve'), [['bob']]);
    await world.settled();
    const state = world.coral.session(key);
    expect([...state.agents.values()].map(({ plan, phase }) => [plan.name, phase.type, plan.links])).toEqual([
      ['ann', 'running', ['bob']],
      ['bob', 'running', ['ann', 'eve']],
      ['eve', 'running', ['bob']],
    ]);
    const eve = world.agent(key.sessionId, 'eve');
    await expect(eve.createThread('hello', ['bob', 'ann'])).resolves.toMatchObject({
      participants: ['eve', 'bob', 'ann'],
    });
  });

  it('needs a name of its own and groups of agents that are there', async () => {
    const world = await engineWorld();
    const key = await world.open(['worker:ann']);
    await expect(world.coral.addAgent(key, worker('ann'), [])).rejects.toMatchObject({ code: 'conflict' });
    await expect(world.coral.addAgent(key, worker('eve'), [['zoe']])).rejects.toMatchObject({
      code: 'invalid_graph',
      issues: [{ path: 'groups[0]' }],
    });
  });
});

describe('an agent that is dismissed', () => {
  it('is stopped, not restarted, and gone from links and threads', async () => {
    const world = await engineWorld({
      scripts: { worker: { restart: { policy: 'always', maxRestarts: 9 } } },
    });
    const key = await world.open(['worker:ann', 'worker:bob']);
    await world.settled();
    const ann = world.agent(key.sessionId, 'ann');
    const { id } = await ann.createThread('talk', ['bob']);
    await world.coral.dismissAgent(key, 'bob');
    await world.advance(60_000);
    const state = world.coral.session(key);
    expect(state.agents.get('bob')).toMatchObject({
      dismissed: true,
      phase: { type: 'stopped', exit: { cause: 'requested' } },
    });
    expect(state.agents.get('ann')?.plan.links).toEqual([]);
    expect([...state.threads.get(id)!.participants]).toEqual(['ann']);
    await expect(world.coral.addAgent(key, worker('bob'), [])).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('the deadline', () => {
  it('moves, and counts from execution', async () => {
    const world = await engineWorld();
    const key = await world.open(['worker'], {
      execution: { mode: 'immediate', runtimeSettings: { ttl: 1000 } },
    });
    await world.advance(900);
    await world.coral.changeTtl(key, 2000);
    await world.advance(1099);
    expect(world.coral.session(key).phase.type).toBe('running');
    await world.advance(1);
    expect(world.coral.sessions()).toEqual([]);
  });

  it('can be taken away, and be in the past', async () => {
    const world = await engineWorld();
    const key = await world.open(['worker'], {
      execution: { mode: 'immediate', runtimeSettings: { ttl: 1000 } },
    });
    await world.coral.changeTtl(key, undefined);
    await world.advance(1_000_000);
    expect(world.coral.session(key).phase.type).toBe('running');
    await world.coral.changeTtl(key, 5);
    await world.settled();
    expect(world.coral.sessions()).toEqual([]);
  });
});

describe('a request asked again', () => {
  it('is answered as the first time, a hundred times at once and after a restart', async () => {
    const world = await engineWorld();
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => world.coral.open(sessionRequest(['worker']), 'my key')),
    );
    expect(new Set(answers.map(({ sessionId }) => sessionId)).size).toBe(1);
    expect(world.coral.sessions()).toHaveLength(1);
    const again = await engineWorld({ journal: world.journal });
    expect(await again.coral.open(sessionRequest(['worker']), 'my key')).toEqual(answers[0]);
  });

  it('is refused when it is another request', async () => {
    const world = await engineWorld();
    const [first, second] = await Promise.allSettled([
      world.coral.open(sessionRequest(['worker']), 'k'),
      world.coral.open(sessionRequest(['worker:other']), 'k'),
    ]);
    expect(first.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'idempotency_conflict' } });
  });

  it('may be asked again after it was refused', async () => {
    const world = await engineWorld();
    await expect(world.coral.open(sessionRequest(['nobody']), 'k')).rejects.toMatchObject({
      code: 'unknown_agent',
    });
    await expect(world.coral.open(sessionRequest(['worker']), 'k')).resolves.toHaveProperty('sessionId');
  });
});

describe('a message sent again', () => {
  it('is the same message, and another one under its key is refused', async () => {
    const world = await engineWorld();
    const key = await world.open(['worker:ann', 'worker:bob']);
    await world.settled();
    const ann = world.agent(key.sessionId, 'ann');
    const { id } = await ann.createThread('talk', ['bob']);
    const sent = await Promise.all(Array.from({ length: 100 }, () => ann.sendMessage(id, 'hello', [], 'k')));
    expect(new Set(sent.map((message) => message.id)).size).toBe(1);
    expect(world.coral.session(key).messages).toHaveLength(1);
    await expect(ann.sendMessage(id, 'something else', [], 'k')).rejects.toMatchObject({
      code: 'idempotency_conflict',
    });
    const bob = world.agent(key.sessionId, 'bob');
    await expect(bob.sendMessage(id, 'something else', [], 'k')).resolves.toMatchObject({
      text: 'something else',
    });
  });
});

describe('why an agent is (not) running', () => {
  it('is told in a sentence', async () => {
    const world = await engineWorld({
      scripts: {
        worker: {},
        slow: { startDelay: 100 },
        flaky: { runFor: 1, exitCode: 7, output: ['boom'], restart: { policy: 'on_failure', delay: 5000 } },
      },
    });
    const key = await world.open(['worker', 'slow', 'flaky']);
    await world.advance(1);
    expect(world.coral.agent(key, 'worker')).toMatchObject({
      phase: 'running',
      because: expect.stringContaining('has not connected'),
      handle: { runtime: 'scripted' },
    });
    expect(world.coral.agent(key, 'slow')).toMatchObject({
      phase: 'launching',
      because: 'It is being launched.',
    });
    expect(world.coral.agent(key, 'flaky')).toMatchObject({
      phase: 'waiting',
      because: expect.stringContaining('started again at'),
      nextStart: expect.any(String),
      exits: [{ attempt: 1, reason: 'failed', exitCode: 7, lastLines: ['boom'] }],
    });
    expect(() => world.coral.agent(key, 'nobody')).toThrow(/no agent "nobody"/);
  });
});
