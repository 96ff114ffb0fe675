/** A restart reaches a good end from any point of a story. */
import { describe, expect, it } from 'vitest';
import type { SessionEvent } from '../../src/domain/event.ts';
import { foldSession } from '../../src/domain/state.ts';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import type { Journal, JournalRecord } from '../../src/ports/journal.ts';
import { engineWorld, HandHost } from '../support/engine-world.ts';

/** A session in which about everything happens. */
async function richStory(): Promise<{
  namespaces: readonly JournalRecord[];
  session: readonly JournalRecord[];
}> {
  const world = await engineWorld({
    scripts: {
      worker: {},
      flaky: { runFor: 50, exitCode: 1, restart: { policy: 'on_failure', maxRestarts: 1, delay: 10 } },
      never: { failToStart: 'no such program' },
    },
  });
  const key = await world.open(['worker:ann', 'worker:bob', 'flaky', 'never'], {
    execution: { mode: 'defer' },
  });
  await world.coral.execute(key, {
    extendedEndReport: false,
    persistenceMode: { mode: 'hold_after_exit', duration: 1000 },
    webhooks: {},
    ttl: 600_000,
  });
  await world.settled();
  const ann = world.agent(key.sessionId, 'ann');
  const bob = world.agent(key.sessionId, 'bob');
  await ann.connect();
  await bob.connect();
  const { id } = await ann.createThread('talk', ['bob']);
  const waiting = bob.wait({ filters: [{ type: 'mentions', name: 'bob' }], maxWaitMs: 50_000 });
  await ann.sendMessage(id, 'hello', ['bob']);
  (await waiting).settle(true);
  await world.advance(60);
  void bob.wait({ filters: [], maxWaitMs: 50_000 });
  await world.advance(60);
  await ann.closeThread(id, 'done');
  await world.coral.close(key);
  await world.advance(1000);
  const { journal } = world;
  return {
    namespaces: await journal.read('namespaces', 0, 100),
    session: await journal.read(`session/${key.sessionId}`, 0, 1000),
  };
}

async function journalOf(
  namespaces: readonly JournalRecord[],
  session: readonly JournalRecord[],
): Promise<Journal> {
  const journal = openMemoryJournal();
  const streams: [readonly JournalRecord[], 'namespaces' | 'session'][] = [
    [namespaces.slice(0, 1), 'namespaces'],
    [session, 'session'],
  ];
  for (const [records, kind] of streams) {
    for (const record of records) {
      await journal.append({
        stream: record.stream,
        expectedSeq: record.seq - 1,
        time: record.time,
        events: [record.event],
        ...(record.seq === 1 && {
          header: { kind, id: record.stream.replace('session/', ''), namespace: 'test', annotations: {} },
        }),
        ...(record.event.type === 'session_closed' && { closes: true }),
      });
    }
  }
  return journal;
}

describe('a start after a crash', () => {
  it('reaches a good end from every prefix of a story', async () => {
    const { namespaces, session } = await richStory();
    expect(session.length).toBeGreaterThan(30);
    for (let length = 1; length <= session.length; length += 1) {
      const prefix = session.slice(0, length);
      const before = foldSession(prefix)!;
      const journal = await journalOf(namespaces, prefix);
      const host = new HandHost();
      host.advance(60_000);
      const world = await engineWorld({ journal, host, scripts: { worker: {} } });
      const what = `after ${length} facts (${prefix[length - 1]!.event.type})`;

      if (before.phase.type === 'pending') {
        expect(world.coral.sessions(), what).toHaveLength(1);
        await world.coral.close(before);
      }
      // Whatever was under way is over, and what is held is held for its time.
      await world.advance(600_000);
      expect(world.coral.sessions(), what).toEqual([]);
      expect(world.coral.namespaces(), what).toEqual([]);
      expect(host.pending, what).toBe(0);

      const whole = await journal.read(before.sessionId === '' ? '' : `session/${before.sessionId}`, 0, 1000);
      expect(
        whole.map(({ seq }) => seq),
        what,
      ).toEqual(whole.map((_, index) => index + 1));
      const after = foldSession(whole)!;
      expect(after.phase.type, what).toBe('closed');
      const events = whole.map(({ event }) => event as SessionEvent);
      const begun = events.flatMap((event) =>
        event.type === 'agent_launching' ? [`${event.agent}/${event.attempt}`] : [],
      );
      const ended = events.flatMap((event) =>
        event.type === 'agent_exited' && event.attempt > 0 ? [`${event.agent}/${event.attempt}`] : [],
      );
      for (const attempt of begun) expect(ended, what).toContain(attempt);
      const open =
        events.filter(({ type }) => type === 'wait_started').length -
        events.filter(({ type }) => type === 'wait_ended').length;
      expect(open, what).toBe(0);
    }
  });

  it('marks running agents as lost and leaves held sessions as they were', async () => {
    const { namespaces, session } = await richStory();
    const running = session.slice(0, session.findIndex(({ event }) => event.type === 'agent_connected') + 1);
    const host = new HandHost();
    const world = await engineWorld({ journal: await journalOf(namespaces, running), host });
    const [state] = world.coral.sessions();
    expect(state?.phase).toMatchObject({ type: 'ended', cause: 'server_lost' });
    expect(
      [...state!.agents.values()].map(({ phase }) => phase.type === 'stopped' && phase.exit?.reason),
    ).toContain('lost');
  });
});
