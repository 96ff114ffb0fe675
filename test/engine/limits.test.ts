/** Every limit has a refusal of its own, and none of them is a crash. */
import { describe, expect, it } from 'vitest';
import { engineWorld, sessionRequest } from '../support/engine-world.ts';

describe('limits', () => {
  it('of live sessions: refused while there are as many, taken when one closed', async () => {
    const world = await engineWorld({ limits: { sessions: 2 } });
    const first = await world.open(['worker']);
    await world.open(['worker']);
    await expect(world.open(['worker'])).rejects.toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('limits.sessions'),
    });
    await world.settled();
    await world.coral.close(first);
    await expect(world.open(['worker'])).resolves.toHaveProperty('sessionId');
  });

  it('of agents in a session, also of those that join', async () => {
    const world = await engineWorld({ limits: { agentsPerSession: 2 } });
    const refused = { code: 'limit_exceeded', message: expect.stringContaining('limits.agentsPerSession') };
    await expect(world.open(['worker:a', 'worker:b', 'worker:c'])).rejects.toMatchObject(refused);
    const key = await world.open(['worker:a', 'worker:b']);
    const [joiner] = sessionRequest(['worker:c']).agentGraphRequest.agents;
    await expect(world.coral.addAgent(key, joiner!, [])).rejects.toMatchObject(refused);
  });

  it('of the size and number of messages', async () => {
    const world = await engineWorld({ limits: { messageSize: 10, messagesPerThread: 2 } });
    const key = await world.open(['worker:ann', 'worker:bob']);
    await world.settled();
    const ann = world.agent(key.sessionId, 'ann');
    const { id } = await ann.createThread('talk', ['bob']);
    await expect(ann.sendMessage(id, 'ääääää', [])).rejects.toMatchObject({
      code: 'too_large',
      message: expect.stringContaining('at most 10 bytes'),
    });
    await ann.sendMessage(id, 'äääää', []);
    await ann.sendMessage(id, '0123456789', []);
    await expect(ann.sendMessage(id, 'x', [])).rejects.toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('close it with a summary'),
    });
  });

  it('of open waits', async () => {
    const world = await engineWorld({ limits: { waitsPerAgent: 1 } });
    const key = await world.open(['worker:ann', 'worker:bob']);
    await world.settled();
    const bob = world.agent(key.sessionId, 'bob');
    const first = bob.wait({ filters: [], maxWaitMs: 1000 });
    await world.settled();
    await expect(bob.wait({ filters: [], maxWaitMs: 1000 })).rejects.toMatchObject({
      code: 'limit_exceeded',
    });
    await world.advance(1000);
    expect((await first).value).toBeUndefined();
  });

  it('of launches at once: the rest wait in line, visibly, and none is forgotten', async () => {
    const world = await engineWorld({
      scripts: { slow: { startDelay: 100 } },
      limits: { launchesAtOnce: 1 },
    });
    const key = await world.open(['slow:a', 'slow:b', 'slow:c']);
    await world.settled();
    expect(world.coral.agent(key, 'a').phase).toBe('launching');
    expect(world.coral.agent(key, 'c')).toMatchObject({
      phase: 'waiting',
      because: expect.stringContaining('number 2 of 2'),
    });
    const other = await world.open(['slow:x']);
    await world.settled();
    await world.coral.close(other);
    for (let n = 0; n < 3; n += 1) await world.advance(100);
    expect([...world.coral.session(key).agents.values()].map(({ phase }) => phase.type)).toEqual([
      'running',
      'running',
      'running',
    ]);
  });
});
