/** A restart reaches a good end from any point of a story. */
import { describe, expect, it } from 'vitest';
import type { SessionEvent } from '../../src/domain/event.ts';
import type { Ending } from '../../src/domain/exit.ts';
import type { Labels, LaunchSpec } from '../../src/domain/launch.ts';
import { foldSession } from '../../src/domain/state.ts';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import type { Journal, JournalRecord } from '../../src/ports/journal.ts';
import type { Attachment, Found, Handle, Runtime, StopReceipt } from '../../src/ports/runtime.ts';
import { markOf } from '../../src/runtimes/mark.ts';
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
      // Scripted agents ended with their server; what is held is held for its time, and the ttl counts from the start.
      await world.advance(600_000);
      await world.advance(1_000);
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

  it('goes on with what ran: agents that ended with the server are lost, their policy says what then', async () => {
    const { namespaces, session } = await richStory();
    const running = session.slice(0, session.findIndex(({ event }) => event.type === 'agent_connected') + 1);
    const world = await engineWorld({ journal: await journalOf(namespaces, running), host: new HandHost() });
    await world.settled();
    const [state] = world.coral.sessions();
    expect(state?.phase).toMatchObject({ type: 'running', executedAt: 1_700_000_000_000 });
    const [ann, bob, flaky] = [...state!.agents.values()];
    for (const agent of [ann, bob]) expect(agent?.phase).toMatchObject({ exit: { reason: 'lost' } });
    expect(flaky).toMatchObject({ phase: { type: 'waiting' }, restarts: 1 });
    await world.advance(60);
    expect(flaky).toMatchObject({ attempts: 2 });
  });
});

/** Agents that outlive the server, in the memory of this test. */
class Outliving implements Runtime {
  readonly kind = 'scripted';
  readonly things = new Map<
    string,
    { found: Found; end: (ending: Ending) => void; ended: Promise<Ending>; ending?: Ending }
  >();
  readonly calls: string[] = [];

  start(labels: Labels): Handle {
    const handle: Handle = { runtime: 'scripted', id: markOf(labels) };
    let end: (ending: Ending) => void = () => undefined;
    const ended = new Promise<Ending>((resolve) => (end = resolve));
    this.things.set(handle.id, { found: { handle, labels }, ended, end });
    return handle;
  }

  end(handle: Handle, ending: Ending): void {
    const thing = this.things.get(handle.id)!;
    thing.ending = ending;
    thing.end(ending);
  }

  async unavailable(): Promise<undefined> {
    return undefined;
  }

  async launch(spec: LaunchSpec): Promise<Handle> {
    this.calls.push(`launch ${spec.labels.agent}`);
    return this.start(spec.labels);
  }

  attach(handle: Handle): Attachment {
    this.calls.push(`attach ${handle.id.split('/').at(-1)}`);
    return { ended: this.things.get(handle.id)!.ended, detach: () => undefined };
  }

  async stop(handle: Handle): Promise<StopReceipt> {
    this.calls.push(`stop ${handle.id.split('/').at(-1)}`);
    this.end(handle, { kind: 'signalled', signal: 'SIGTERM', detail: 'Ended.' });
    return { gone: true, left: [] };
  }

  async list(): Promise<readonly Found[]> {
    // Looking at the world takes its time.
    await new Promise((resolve) => setImmediate(resolve));
    return [...this.things.values()].filter(({ ending }) => !ending).map(({ found }) => found);
  }

  async ended(): Promise<readonly Found[]> {
    return [...this.things.values()].filter(({ ending }) => ending).map(({ found }) => found);
  }

  async release(handle: Handle): Promise<void> {
    this.calls.push(`release ${handle.id.split('/').at(-1)}`);
    this.things.delete(handle.id);
  }

  addressOf(port: number): string {
    return `127.0.0.1:${port}`;
  }

  async close(): Promise<void> {}
}

describe('a start after a crash that agents outlived', () => {
  const scripts = { worker: {} };

  /** A server with agents, killed: another begins with what the journal held after `facts` facts. */
  async function killed(agents: readonly string[], given: { after?: (event: SessionEvent) => boolean } = {}) {
    const runtime = new Outliving();
    const first = await engineWorld({ scripts, runtimes: [runtime] });
    const key = await first.open(agents, {
      execution: { mode: 'immediate', runtimeSettings: { ttl: 600_000 } },
    });
    await first.settled();
    for (const agent of agents) await first.agent(key.sessionId, agent.split(':')[1]!).connect();
    const story = await first.story(key.sessionId);
    const last =
      given.after === undefined
        ? story.length
        : story.findIndex(({ event }) => given.after!(event as SessionEvent)) + 1;
    const journal = await journalOf(await first.journal.read('namespaces', 0, 9), story.slice(0, last));
    // Nothing of it reaches anybody any more.
    await first.coral.shutdown('everything');
    runtime.calls.length = 0;
    return { runtime, first, key, journal };
  }

  it('watches what runs and launches nothing; the same secrets let the same agents in', async () => {
    const { runtime, first, key, journal } = await killed(['worker:ann', 'worker:bob']);
    const world = await engineWorld({ scripts, runtimes: [runtime], journal });
    await world.settled();
    expect(runtime.calls).toEqual(['attach ann', 'attach bob']);
    for (const secret of first.host.secrets) {
      expect(world.coral.authenticate(secret)?.key).toEqual(key);
    }
    const [state] = world.coral.sessions();
    expect(state?.agents.get('ann')).toMatchObject({ connected: false, everConnected: true });
  });

  it('tells how an agent ended meanwhile, and lets go of what was kept of it', async () => {
    const { runtime, key, journal } = await killed(['worker:ann', 'worker:bob']);
    const [ann] = [...runtime.things.values()];
    runtime.end(ann!.found.handle, { kind: 'exited', exitCode: 7, detail: 'Ended.', time: 123 });
    const world = await engineWorld({ scripts, runtimes: [runtime], journal });
    await world.settled();
    expect(world.coral.session(key).agents.get('ann')?.phase).toMatchObject({
      exit: { reason: 'failed', exitCode: 7, time: 123 },
    });
    expect(runtime.calls).toEqual(['attach ann', 'attach bob', 'release ann']);
  });

  it('finds by its labels what was being launched, alive or ended; nothing of it: it is lost', async () => {
    const launched = (agent: string) => (event: SessionEvent) =>
      event.type === 'agent_launching' && event.agent === agent;
    for (const how of ['alive', 'ended', 'nowhere'] as const) {
      const { runtime, key, journal } = await killed(['worker:ann'], { after: launched('ann') });
      const [ann] = [...runtime.things.values()];
      if (how === 'ended') runtime.end(ann!.found.handle, { kind: 'exited', exitCode: 3, detail: 'Ended.' });
      if (how === 'nowhere') runtime.things.clear();
      const world = await engineWorld({ scripts, runtimes: [runtime], journal });
      await world.settled();
      const phase = world.coral.sessions()[0]?.agents.get('ann')?.phase;
      if (how === 'alive') expect(phase?.type).toBe('running');
      else if (how === 'ended') expect(phase).toBeUndefined();
      expect(runtime.calls.filter((call) => call.startsWith('launch'))).toEqual([]);
      const story = await world.story(key.sessionId);
      const exit = story
        .map(({ event }) => event as SessionEvent)
        .find(({ type }) => type === 'agent_exited');
      if (how === 'ended') expect(exit).toMatchObject({ exit: { exitCode: 3 } });
      if (how === 'nowhere') expect(exit).toMatchObject({ exit: { reason: 'lost' } });
    }
  });

  it('looks for what was being launched also where others of the session were connected', async () => {
    const { runtime, first, key } = await killed(['worker:ann', 'worker:bob']);
    // Bob was being launched while ann was connected already.
    const story = (await first.story(key.sessionId))
      .filter(({ event }) => {
        const { type, agent } = event as { type: SessionEvent['type']; agent?: string };
        return type === 'agent_launching' || agent !== 'bob';
      })
      .filter(({ event }) => ['stopping', 'exited', 'ended'].every((end) => !event.type.endsWith(end)))
      .map((record, index) => ({ ...record, seq: index + 1 }));
    const journal = await journalOf(await first.journal.read('namespaces', 0, 9), story);
    const world = await engineWorld({ scripts, runtimes: [runtime], journal });
    await world.settled();
    expect(world.coral.session(key).agents.get('bob')?.phase.type).toBe('running');
    expect(runtime.calls).toEqual(['attach ann', 'attach bob']);
  });

  it('stops what belongs to no attempt that lives', async () => {
    const { runtime, journal } = await killed(['worker:ann']);
    runtime.start({ instance: 'instance-of-a-test', session: 'of long ago', agent: 'old', attempt: 1 });
    const world = await engineWorld({ scripts, runtimes: [runtime], journal });
    await world.settled();
    expect(runtime.calls).toContain('stop old');
    expect(runtime.calls).toContain('release old');
    expect(runtime.calls).not.toContain('stop ann');
  });

  it('counts the ttl from the original time', async () => {
    const { runtime, key, journal } = await killed(['worker:ann']);
    const host = new HandHost();
    host.advance(599_000);
    const world = await engineWorld({ scripts, runtimes: [runtime], journal, host });
    await world.settled();
    expect(world.coral.session(key).phase.type).toBe('running');
    await world.advance(1_001);
    expect(runtime.calls).toContain('stop ann');
    const story = await world.story(key.sessionId);
    expect(story.map(({ event }) => event)).toContainEqual(
      expect.objectContaining({ type: 'session_stopping', cause: 'ttl' }),
    );
  });

  it('counts a hold from the original time', async () => {
    const first = await engineWorld({ scripts: { worker: { runFor: 10 } } });
    const key = await first.open(['worker'], {
      execution: {
        mode: 'immediate',
        runtimeSettings: { persistenceMode: { mode: 'hold_after_exit', duration: 1_000 } },
      },
    });
    await first.advance(10);
    const story = await first.story(key.sessionId);
    expect(story.at(-1)?.event).toMatchObject({ type: 'session_ended' });
    const journal = await journalOf(await first.journal.read('namespaces', 0, 9), story);
    const host = new HandHost();
    host.advance(1_000);
    const world = await engineWorld({ journal, host });
    await world.settled();
    expect(world.coral.session(key).phase.type).toBe('ended');
    await world.advance(10);
    expect(world.coral.sessions()).toEqual([]);
  });

  it('leaves everything running when it is told to keep it', async () => {
    const { runtime, key, journal } = await killed(['worker:ann']);
    const world = await engineWorld({ scripts, runtimes: [runtime], journal });
    await world.settled();
    await world.coral.shutdown('what_was_found');
    expect(runtime.calls).toEqual(['attach ann']);
    const again = await engineWorld({ scripts, runtimes: [runtime], journal });
    expect(again.coral.session(key).phase.type).toBe('running');
    await again.coral.shutdown();
    expect(runtime.calls).toContain('stop ann');
  });
});
