/** A disk that is full or read-only: new work is refused, agents are kept, and all goes on without a restart. */
import { describe, expect, it } from 'vitest';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import { JournalError, type Journal } from '../../src/ports/journal.ts';
import { engineWorld } from '../support/engine-world.ts';

/** A journal on a disk that can be filled up. */
function disk(): { journal: Journal; full: boolean } {
  const memory = openMemoryJournal();
  const state: { journal: Journal; full: boolean } = {
    full: false,
    journal: {
      append: (given) =>
        state.full
          ? Promise.reject(new JournalError('full', 'The disk of journal.db is full.'))
          : memory.append(given),
      read: (stream, after, limit) => memory.read(stream, after, limit),
      readTypes: (types, after, limit) => memory.readTypes(types, after, limit),
      lastPosition: () => memory.lastPosition(),
      streams: (query) => memory.streams(query),
      drop: (stream) => memory.drop(stream),
      probe: () =>
        state.full
          ? Promise.reject(new JournalError('full', 'The disk of journal.db is full.'))
          : memory.probe(),
      close: () => memory.close(),
    },
  };
  return state;
}

describe('a full disk', () => {
  it('refuses new work with the reason and keeps what runs', async () => {
    const it = disk();
    const world = await engineWorld({ journal: it.journal });
    const key = await world.open(['worker:ann', 'worker:bob']);
    await world.settled();
    const ann = world.agent(key.sessionId, 'ann');
    const { id } = await ann.createThread('talk', ['bob']);
    it.full = true;
    await expect(world.open(['worker'])).rejects.toMatchObject({ name: 'JournalError', code: 'full' });
    await expect(ann.sendMessage(id, 'hello', [])).rejects.toMatchObject({ code: 'full' });
    expect(await world.coral.ready()).toEqual({
      ready: false,
      problems: ['The disk of journal.db is full.'],
    });
    expect(world.coral.session(key).agents.get('ann')?.phase.type).toBe('running');
    expect(world.coral.authenticate(world.host.secrets[0]!)?.agent).toBe('ann');
    it.full = false;
    expect((await world.coral.ready()).ready).toBe(true);
    await expect(ann.sendMessage(id, 'hello', [])).resolves.toMatchObject({ text: 'hello' });
  });

  it('forgets no exit, no answer and no deadline that came meanwhile', async () => {
    const it = disk();
    const world = await engineWorld({ journal: it.journal, scripts: { quick: { runFor: 500 }, worker: {} } });
    const key = await world.open(['quick', 'worker:ann', 'worker:bob'], {
      execution: { mode: 'immediate', runtimeSettings: { ttl: 60_000 } },
    });
    await world.settled();
    const ann = world.agent(key.sessionId, 'ann');
    const bob = world.agent(key.sessionId, 'bob');
    const { id } = await ann.createThread('talk', ['bob']);
    await ann.sendMessage(id, 'once', []);
    it.full = true;
    const delivery = await bob.wait({ filters: [], maxWaitMs: 1000 });
    delivery.settle(true);
    // Not written down yet that it was handed over: still it is not handed over again.
    expect((await bob.wait({ filters: [], maxWaitMs: 0 })).value).toBeUndefined();
    await world.advance(500);
    await world.advance(10_000);
    expect(world.coral.session(key).agents.get('quick')?.phase.type).toBe('running');
    it.full = false;
    await world.advance(30_000);
    expect(world.coral.session(key).agents.get('quick')).toMatchObject({
      phase: { type: 'stopped', exit: { reason: 'completed' } },
    });
    expect(world.coral.session(key).agents.get('bob')?.inbox.size).toBe(0);
    it.full = true;
    await world.advance(30_000);
    it.full = false;
    await world.advance(30_000);
    expect(world.coral.sessions()).toEqual([]);
    expect(world.host.pending).toBe(0);
  });
});
