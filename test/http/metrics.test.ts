import { afterEach, describe, expect, it } from 'vitest';
import { Metrics } from '../../src/http/metrics.ts';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import { JournalError, type Journal } from '../../src/ports/journal.ts';
import { OutboundError } from '../../src/ports/outbound.ts';
import { KEY, openDoor, request, SseReader, type Answer, type Door, type DoorParts } from './door.ts';
import { SocketReader } from './socket-reader.ts';

let door: Door;
afterEach(() => door.close());

let journal: Journal;

async function open(parts: DoorParts = {}): Promise<void> {
  const metrics = new Metrics({ process: true });
  journal = openMemoryJournal({ now: () => 0 });
  door = await openDoor({ ...parts, journal: metrics.watch(journal), options: { metrics } });
}

const value = async (name: string): Promise<number> => {
  const { text } = await door.send('GET', '/metrics', undefined, {});
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
};

describe('the metrics', () => {
  it('count what is there and what happened', async () => {
    await open({ scripts: { worker: {}, brief: { runFor: 5 } } });
    const given = request(['a', 'b']);
    const [first] = given.agentGraphRequest.agents;
    if (first !== undefined) (first.id as { name: string }).name = 'brief';
    const opened = await door.send('POST', '/api/v1/local/session', given);
    await door.world.settled();
    const { sessionId } = JSON.parse(opened.text) as { sessionId: string };
    const b = door.world.agent(sessionId, 'b');
    const waiting = b.wait({ filters: [], maxWaitMs: 50_000 });
    const thread = await b.createThread('t', []);
    await b.sendMessage(thread.id, 'x', []);
    await door.world.advance(5);
    expect(await value('coral_sessions{phase="running"}')).toBe(1);
    expect(await value('coral_sessions{phase="pending"}')).toBe(0);
    expect(await value('coral_agents{runtime="scripted",phase="running"}')).toBe(1);
    expect(await value('coral_agents{runtime="scripted",phase="stopped"}')).toBe(1);
    expect(await value('coral_waits')).toBe(1);
    expect(await value('coral_agent_launches_total')).toBe(2);
    expect(await value('coral_agent_exits_total{reason="completed"}')).toBe(1);
    expect(await value('coral_messages_total')).toBe(1);
    expect(await value('coral_deliveries{state="dead"}')).toBe(0);
    expect(await value('coral_journal_append_seconds_count')).toBeGreaterThan(5);
    await door.send('DELETE', `/api/v1/local/session/test/${sessionId}`);
    await waiting;
    expect(await value('coral_sessions{phase="running"}')).toBe(0);
  });

  it('count sessions that wait to be executed and that are held', async () => {
    await open({ scripts: { worker: { runFor: 5 } } });
    const send = (mode: 'defer' | 'immediate'): Promise<Answer> => {
      const persistenceMode = { mode: 'hold_after_exit' as const, duration: 60_000 };
      const execution = mode === 'defer' ? { mode } : { mode, runtimeSettings: { persistenceMode } };
      return door.send('POST', '/api/v1/local/session', request(['a'], { execution }));
    };
    await send('defer');
    await send('immediate');
    await door.world.settled();
    await door.world.advance(5);
    expect(await value('coral_sessions{phase="pending"}')).toBe(1);
    expect(await value('coral_sessions{phase="ended"}')).toBe(1);
    expect(await value('coral_sessions{phase="quarantined"}')).toBe(0);
    expect(await value('coral_agents{runtime="scripted",phase="waiting"}')).toBe(1);
  });

  it('count what webhooks are owed and what was given up', async () => {
    const hour = 3_600_000;
    await open({
      scripts: { worker: { runFor: 10 } },
      webhooks: {
        sender: {
          post: () => Promise.reject(new OutboundError('unreachable', 'The receiver cannot be reached.')),
          async close() {},
        },
        sign: () => '',
        signDelivery: () => '',
        giveUpAfterMs: hour,
      },
    });
    const runtimeSettings = { webhooks: { sessionEnd: { url: 'http://receiver/end' } } };
    const execution = { mode: 'immediate' as const, runtimeSettings };
    await door.send('POST', '/api/v1/local/session', request(['a'], { execution }));
    await door.world.advance(10);
    expect(await value('coral_deliveries{state="pending"}')).toBe(1);
    for (let tries = 0; tries < 40; tries += 1) await door.world.advance(hour / 10);
    expect(await value('coral_deliveries{state="pending"}')).toBe(0);
    expect(await value('coral_deliveries{state="dead"}')).toBe(1);
  });

  it('count what is written to the journal, and what could not be', async () => {
    await open();
    await door.send('POST', '/api/v1/local/session', request(['a']));
    await door.world.settled();
    const written = await journal.lastPosition();
    expect(written).toBeGreaterThan(3);
    expect(await value('coral_journal_events_total')).toBe(written);
    journal.append = () => Promise.reject(new JournalError('full', 'There is no room.'));
    await door.send('POST', '/api/v1/local/namespace', { name: 'other' });
    expect(await value('coral_journal_failures_total')).toBe(1);
    expect(await value('coral_journal_events_total')).toBe(written);
  });

  it('tell of the process: its memory, and how late its event loop is', async () => {
    await open();
    expect(await value('process_resident_memory_bytes')).toBeGreaterThan(1_000_000);
    // Its clock has to tick for once.
    await expect
      .poll(() => value('nodejs_eventloop_lag_p99_seconds'), { timeout: 20_000 })
      .toBeGreaterThan(0);
  });

  it('count who follows', async () => {
    await open();
    const base = await door.listen();
    const reader = await SocketReader.open(`${base}/ws/v1/events/${KEY}/lsm`);
    const stream = await SseReader.open(`${base}/api/v1/local/events`);
    expect(await value('coral_followers{over="socket"}')).toBe(1);
    expect(await value('coral_followers{over="stream"}')).toBe(1);
    await reader.close();
    stream.close();
  });

  it('need a key where others can ask', async () => {
    await open({ config: { bindAddress: '0.0.0.0' } });
    (await door.send('GET', '/metrics', undefined, {})).refused(401, 'unauthorized');
    expect((await door.send('GET', '/metrics')).status).toBe(200);
  });
});
