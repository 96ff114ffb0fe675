/** Webhooks: at least once, in order per session, nobody held up by another, surviving restarts. */
import { describe, expect, it } from 'vitest';
import { SessionEndReport } from '../../src/domain/end-report.ts';
import { ListedEvent } from '../../src/domain/wire/event.ts';
import { Webhooks } from '../../src/domain/wire/request.ts';
import type { OutboxOptions } from '../../src/engine/webhook-runner.ts';
import { OutboundError, type OutboundRequest, type Sender } from '../../src/ports/outbound.ts';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import { JournalError, type Journal } from '../../src/ports/journal.ts';
import { engineWorld, HandHost, sessionRequest } from '../support/engine-world.ts';

type Answer = number | OutboundError;

/** A receiver that answers as told and remembers what it got. */
class Receiver implements Sender {
  readonly got: {
    url: string;
    id: string;
    headers: Readonly<Record<string, string>>;
    body: Record<string, unknown>;
  }[] = [];
  answer: (url: string) => Answer = () => 200;

  async post({ url, body, headers }: OutboundRequest): Promise<{ status: number; body: string }> {
    this.got.push({ url, headers, id: headers['X-Coral-Delivery'] ?? '', body: JSON.parse(body) });
    const answer = this.answer(url);
    if (answer instanceof OutboundError) throw answer;
    return { status: answer, body: '' };
  }

  async close(): Promise<void> {}

  urls(): string[] {
    return this.got.map(({ url }) => url);
  }
}

const hooks = (receiver: Receiver): OutboxOptions => ({
  sender: receiver,
  sign: (body) => `signed ${body.length}`,
  signDelivery: (id, time) => `signed ${id} at ${time}`,
});

const END = 'http://receiver/end';
const EVENTS = 'http://receiver/events';
const settings = (webhooks: object, more: object = {}): { execution: never } =>
  ({ execution: { mode: 'immediate', runtimeSettings: { webhooks, ...more } } }) as never;

describe('the end webhook', () => {
  it('reports every run, once the agents are gone, and never holds up the close', async () => {
    const receiver = new Receiver();
    receiver.answer = () => 500;
    const world = await engineWorld({
      scripts: {
        flaky: { runFor: 10, exitCode: 1, restart: { policy: 'on_failure', maxRestarts: 1, delay: 5 } },
      },
      webhooks: hooks(receiver),
    });
    const { sessionId } = await world.open(
      ['flaky'],
      settings({ sessionEnd: { url: END } }, { extendedEndReport: true }),
    );
    await world.advance(10);
    expect(receiver.got).toEqual([]);
    await world.advance(5);
    await world.advance(10);
    expect(world.coral.sessions()).toEqual([]);
    expect(receiver.urls()).toEqual([END]);
    receiver.answer = () => 200;
    await world.advance(1_000);
    const [first, second] = receiver.got;
    expect([second?.id, second?.body]).toEqual([first?.id, first?.body]);
    const report = SessionEndReport.parse(second?.body);
    expect(report.agentStats).toHaveLength(2);
    expect(report.sessionState).toMatchObject({
      type: 'extended',
      state: { base: { id: sessionId, status: { type: 'closing' } } },
    });
    expect(report.namespaceState.name).toBe('test');
    expect(second?.headers).toMatchObject({ 'X-Coral-Signature': expect.stringMatching(/^signed \d+$/) });
    expect(world.coral.deliveries()).toEqual([]);
    expect(world.host.pending).toBe(0);
  });

  it('arrives after the server was lost', async () => {
    const receiver = new Receiver();
    receiver.answer = () => new OutboundError('unreachable', 'nobody there');
    const host = new HandHost();
    const first = await engineWorld({ host, scripts: { quick: { runFor: 10 } }, webhooks: hooks(receiver) });
    await first.open(['quick'], settings({ sessionEnd: { url: END } }));
    await first.advance(10);
    expect(receiver.got).toHaveLength(1);
    // Nothing of the first server goes on; the second one starts on what the journal holds.
    await first.coral.shutdown();
    const later = new Receiver();
    const second = await engineWorld({
      host: new HandHost(),
      journal: first.journal,
      webhooks: hooks(later),
    });
    await second.settled();
    expect(later.got.map(({ id, body }) => ({ id, body }))).toEqual(
      receiver.got.map(({ id, body }) => ({ id, body })),
    );
    expect((await first.journal.streams({ kind: 'outbox', open: true, limit: 10 })).streams).toEqual([]);
  });
});

describe('a session that was not written down, though its webhook was', () => {
  const request = sessionRequest(
    ['quick'],
    settings({ sessionEnd: { url: END } }, { persistenceMode: { mode: 'none' } }),
  );

  type Takes = 'everything' | 'no session' | 'nothing after it';

  /** A journal on a disk that may take no session, or no end of its webhook either. */
  function filling(): { readonly journal: Journal; takes: Takes } {
    const journal = openMemoryJournal();
    const append = journal.append.bind(journal);
    const disk = { journal, takes: 'everything' as Takes };
    journal.append = async (given) => {
      const isSession = given.stream.startsWith('session/');
      const isEnd = given.events.some(({ type }) => type === 'outbox_finished');
      if (disk.takes === 'everything' || !(isSession || (isEnd && disk.takes === 'nothing after it')))
        return append(given);
      throw new JournalError('full', 'The disk of journal.db is full.');
    };
    return disk;
  }

  it.each(['no session', 'nothing after it'] as const)(
    'is opened under the same key later, by this server and by the next (%s was taken)',
    async (takes) => {
      for (const next of [false, true]) {
        const disk = filling();
        const receiver = new Receiver();
        const parts = { journal: disk.journal, scripts: { quick: { runFor: 10 } } };
        const first = await engineWorld({ ...parts, webhooks: hooks(receiver) });
        disk.takes = takes;
        await expect(first.coral.open(request, 'a key')).rejects.toMatchObject({ code: 'full' });
        disk.takes = 'everything';
        if (next) await first.coral.shutdown();
        const world = next ? await engineWorld({ ...parts, webhooks: hooks(receiver) }) : first;
        await world.coral.open(request, 'a key');
        await world.advance(10);
        expect(receiver.urls()).toEqual([END]);
        const { streams } = await disk.journal.streams({ kind: 'outbox', open: true, limit: 10 });
        expect(streams).toEqual([]);
      }
    },
  );
});

describe('the events webhook', () => {
  it('gets the listed events in order, each until it is taken', async () => {
    const receiver = new Receiver();
    const world = await engineWorld({ webhooks: hooks(receiver) });
    const key = await world.open(
      ['worker:ann', 'worker:bob'],
      settings({ events: { url: EVENTS, types: ['thread_created', 'thread_message_sent'] } }),
    );
    await world.settled();
    const ann = world.agent(key.sessionId, 'ann');
    const { id } = await ann.createThread('talk', ['bob']);
    await world.settled();
    receiver.answer = () => 503;
    await ann.sendMessage(id, 'one', []);
    await ann.sendMessage(id, 'two', []);
    await world.settled();
    expect(receiver.got.map(({ body }) => (body.event as { type: string }).type)).toEqual([
      'thread_created',
      'thread_message_sent',
    ]);
    expect(world.coral.deliveries()).toMatchObject([
      { state: 'pending', tries: 1, reason: 'The receiver answered with status 503.' },
    ]);
    receiver.answer = () => 200;
    await world.advance(1_000);
    const texts = receiver.got
      .slice(2)
      .map(({ body }) => (body.event as { message: { text: string } }).message.text);
    expect(texts).toEqual(['one', 'two']);
    expect(new Set(receiver.got.map(({ id: delivery }) => delivery)).size).toBe(3);
  });

  it('gets every listed type where none is named, and no other', async () => {
    const receiver = new Receiver();
    const world = await engineWorld({ webhooks: hooks(receiver) });
    const key = await world.open(['worker:ann', 'worker:bob'], settings({ events: { url: EVENTS } }));
    await world.settled();
    const ann = world.agent(key.sessionId, 'ann');
    const { id } = await ann.createThread('talk', ['bob']);
    await ann.sendMessage(id, 'one', []);
    await ann.closeThread(id, 'done');
    await world.coral.close(key);
    await world.settled();
    const events = receiver.got.map(({ body }) => ListedEvent.parse(body.event));
    expect(events.map(({ type }) => type)).toEqual([
      'runtime_started',
      'runtime_started',
      'thread_created',
      'thread_message_sent',
      'thread_closed',
      'runtime_stopped',
      'runtime_stopped',
    ]);
    expect(events.map(({ seq }) => seq)).toEqual(events.map(({ seq }) => seq).toSorted((a, b) => a - b));
  });

  it('gets what not every client may see where it is asked for by name', async () => {
    const receiver = new Receiver();
    const world = await engineWorld({ webhooks: hooks(receiver) });
    const types = ['session_closed', 'agent_launching'] as const;
    const key = await world.open(['worker:ann'], settings({ events: { url: EVENTS, types: [...types] } }));
    await world.settled();
    await world.coral.close(key);
    await world.settled();
    expect(receiver.got.map(({ body }) => (body.event as { type: string }).type)).toEqual([
      'agent_launching',
      'session_closed',
    ]);
  });

  it('is refused for a type that there is not', () => {
    const asked = Webhooks.safeParse({ events: { url: 'http://x/', types: ['thread_message'] } });
    expect(asked.error?.issues[0]?.path).toEqual(['events', 'types', 0]);
  });

  it('is not held up by the failure of another receiver', async () => {
    const receiver = new Receiver();
    receiver.answer = (url) => (url === EVENTS ? 500 : 200);
    const world = await engineWorld({ scripts: { quick: { runFor: 10 } }, webhooks: hooks(receiver) });
    await world.open(['quick'], settings({ sessionEnd: { url: END }, events: { url: EVENTS } }));
    await world.advance(10);
    expect(receiver.urls()).toContain(END);
  });
});

describe('giving up', () => {
  it('keeps what could not be delivered for hours, and sends it again on request', async () => {
    const receiver = new Receiver();
    receiver.answer = () => 500;
    const world = await engineWorld({ scripts: { quick: { runFor: 10 } }, webhooks: hooks(receiver) });
    await world.open(['quick'], settings({ sessionEnd: { url: END } }));
    await world.advance(10);
    for (let hour = 0; hour < 13; hour += 1)
      for (let tenth = 0; tenth < 10; tenth += 1) await world.advance(360_000);
    const [dead] = world.coral.deliveries();
    expect(dead).toMatchObject({ state: 'dead', url: END, reason: 'The receiver answered with status 500.' });
    const before = receiver.got.length;
    await world.advance(3_600_000);
    expect(receiver.got).toHaveLength(before);
    receiver.answer = () => 204;
    await world.coral.replayDelivery(dead!.id);
    await world.settled();
    expect(receiver.got).toHaveLength(before + 1);
    expect(world.coral.deliveries()).toEqual([]);
    await expect(world.coral.replayDelivery(dead!.id)).rejects.toMatchObject({ code: 'unknown_delivery' });
    expect((await world.journal.streams({ kind: 'outbox', open: true, limit: 10 })).streams).toEqual([]);
  });

  it('is at once where trying again is pointless', async () => {
    const receiver = new Receiver();
    receiver.answer = () => 410;
    const world = await engineWorld({ scripts: { quick: { runFor: 10 } }, webhooks: hooks(receiver) });
    await world.open(['quick'], settings({ sessionEnd: { url: END } }));
    await world.advance(10);
    expect(world.coral.deliveries()).toMatchObject([{ state: 'dead', tries: 1 }]);
  });
});

describe('a server without webhooks', () => {
  it('refuses them', async () => {
    const world = await engineWorld();
    await expect(world.open(['worker'], settings({ sessionEnd: { url: END } }))).rejects.toMatchObject({
      code: 'not_supported',
    });
  });
});
