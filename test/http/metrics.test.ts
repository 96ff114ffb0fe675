import { afterEach, describe, expect, it } from 'vitest';
import { Metrics } from '../../src/http/metrics.ts';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import { KEY, openDoor, request, type Door, type DoorParts } from './door.ts';
import { SocketReader } from './socket-reader.ts';

let door: Door;
afterEach(() => door.close());

async function open(parts: DoorParts = {}): Promise<void> {
  const metrics = new Metrics();
  const journal = metrics.watch(openMemoryJournal({ now: () => 0 }));
  door = await openDoor({ ...parts, journal, options: { metrics } });
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

  it('count who follows', async () => {
    await open();
    const base = await door.listen();
    const reader = await SocketReader.open(`${base}/ws/v1/events/${KEY}/lsm`);
    expect(await value('coral_followers{over="socket"}')).toBe(1);
    await reader.close();
  });

  it('need a key where others can ask', async () => {
    await open({ config: { bindAddress: '0.0.0.0' } });
    (await door.send('GET', '/metrics', undefined, {})).refused(401, 'unauthorized');
    expect((await door.send('GET', '/metrics')).status).toBe(200);
  });
});
