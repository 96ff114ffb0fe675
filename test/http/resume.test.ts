/** Whatever happens to a reader's connections: what it saw in all is exactly the journal. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as wire from '../../src/domain/wire/session.ts';
import { KEY, openDoor, request, SseReader, type Door } from './door.ts';
import { SocketReader } from './socket-reader.ts';
import { runs } from '../support/runs.ts';

/** A reader that always comes back where it was. */
interface Reader {
  readonly seqs: readonly number[];
  drop(): Promise<void>;
  /** Until the session is over. */
  finish(): Promise<void>;
  /** Until it has seen that one. */
  until(seq: number): Promise<void>;
  come(): Promise<void>;
  stall(): void;
}

class BySocket implements Reader {
  readonly seqs: number[] = [];
  private reader: SocketReader | undefined;
  constructor(private readonly url: string) {}

  async come(): Promise<void> {
    if (this.reader === undefined) {
      this.reader = await SocketReader.open(`${this.url}&after=${this.seqs.at(-1) ?? 0}`);
    } else this.reader.goOn();
  }
  stall(): void {
    this.reader?.stall();
  }
  async drop(): Promise<void> {
    this.reader?.drop();
    await this.reader?.closed;
    this.seqs.push(...(this.reader?.seqs ?? []));
    this.reader = undefined;
  }
  async until(seq: number): Promise<void> {
    while (!this.seqs.includes(seq)) {
      await this.come();
      const { reader } = this;
      // Cut off for being slow, it comes back.
      await reader?.until(() => reader.seqs.includes(seq)).catch(() => undefined);
      await this.drop();
    }
  }
  async finish(): Promise<void> {
    for (let code = 0; code !== 1000;) {
      await this.come();
      code = (await this.reader?.closed)?.code ?? 0;
      await this.drop();
    }
  }
}

class BySse implements Reader {
  readonly seqs: number[] = [];
  private reader: SseReader | undefined;
  private reading: Promise<void> | undefined;
  constructor(private readonly url: string) {}

  async come(): Promise<void> {
    if (this.reader !== undefined) return;
    const reader = await SseReader.open(this.url, { 'last-event-id': String(this.seqs.at(-1) ?? 0) });
    this.reader = reader;
    this.reading = (async () => {
      for (let event = await reader.next(); event !== undefined; event = await reader.next()) {
        this.seqs.push(Number(event.id));
      }
    })().catch(() => undefined);
  }
  stall(): void {}
  async drop(): Promise<void> {
    this.reader?.close();
    await this.reading;
    this.reader = undefined;
  }
  async until(seq: number): Promise<void> {
    await this.drop();
    const reader = await SseReader.open(this.url, { 'last-event-id': String(this.seqs.at(-1) ?? 0) });
    while (!this.seqs.includes(seq)) this.seqs.push(...(await reader.take(1)).map(({ id }) => Number(id)));
    reader.close();
  }
  async finish(): Promise<void> {
    await this.reading;
  }
}

const act = fc.record({
  what: fc.constantFrom('say', 'say', 'say', 'shout', 'drop', 'come', 'come', 'stall', 'yield'),
  reader: fc.nat(2),
  times: fc.integer({ min: 1, max: 30 }),
});

describe('readers that come back', () => {
  it('saw exactly the journal, whatever happened to their connections', async () => {
    const door: Door = await openDoor({ options: { sockets: { patience: 50, silence: 60_000 } } });
    const base = await door.listen();
    const run = async (acts: readonly { what: string; reader: number; times: number }[]): Promise<void> => {
      const { sessionId } = (await door.send('POST', '/api/v1/local/session', request(['a', 'b']))).as(
        wire.SessionIdentifier,
      );
      await door.world.settled();
      const socket = `${base}/ws/v1/events/${KEY}/session/test/${sessionId}?all=true`;
      const sse = `${base}/api/v1/local/session/test/${sessionId}/events?all=true`;
      const readers: Reader[] = [new BySocket(socket), new BySocket(socket), new BySse(sse)];
      const a = door.world.agent(sessionId, 'a');
      const thread = await a.createThread('talk', ['b']);
      for (const { what, reader, times } of acts) {
        const one = readers[reader];
        if (what === 'say' || what === 'shout') {
          const text = what === 'say' ? 'x' : 'x'.repeat(50_000);
          for (let time = 0; time < times; time += 1) await a.sendMessage(thread.id, text, []);
        } else if (what === 'come') await one?.come();
        else if (what === 'drop') await one?.drop();
        else if (what === 'stall') one?.stall();
        else await new Promise((resolve) => setImmediate(resolve));
      }
      for (const reader of readers) await reader.come();
      await door.send('DELETE', `/api/v1/local/session/test/${sessionId}`);
      await Promise.all(readers.map((reader) => reader.finish()));
      const story = await door.world.story(sessionId);
      for (const { seqs } of readers) expect(seqs).toEqual(story.map(({ seq }) => seq));
    };
    try {
      await fc.assert(fc.asyncProperty(fc.array(act, { maxLength: 25 }), run), runs(25));
    } finally {
      await door.close();
    }
  }, 120_000);

  it('saw every event of the manager once, by socket and by SSE', async () => {
    const door: Door = await openDoor({ options: { sockets: { patience: 50, silence: 60_000 } } });
    const base = await door.listen();
    const socket = `${base}/ws/v1/events/${KEY}/lsm?`;
    const ends: string[] = [];
    const run = async (acts: readonly { what: string; reader: number }[]): Promise<void> => {
      const readers = [new BySocket(socket), new BySocket(socket), new BySse(`${base}/api/v1/local/events`)];
      for (const { what, reader } of acts) {
        const one = readers[reader];
        if (what === 'say' || what === 'shout') {
          const made = await door.send('POST', '/api/v1/local/session', request(['a']));
          const { sessionId } = made.as(wire.SessionIdentifier);
          await door.send('DELETE', `/api/v1/local/session/test/${sessionId}`);
        } else if (what === 'come') await one?.come();
        else if (what === 'drop') await one?.drop();
        else if (what === 'stall') one?.stall();
        else await new Promise((resolve) => setImmediate(resolve));
      }
      const name = `end-${ends.length}`;
      ends.push(name);
      await door.send('POST', '/api/v1/local/namespace', { name });
      const all = await SocketReader.open(`${socket}&after=0`);
      const isEnd = (event: object): boolean =>
        'initialState' in event && (event.initialState as { name?: string }).name === name;
      await all.until(() => all.seen.some(isEnd));
      for (const reader of readers) {
        await reader.until(all.seqs.at(-1)!);
        expect(reader.seqs).toEqual(all.seqs);
      }
      await all.close();
    };
    try {
      await fc.assert(fc.asyncProperty(fc.array(act, { maxLength: 20 }), run), runs(15));
    } finally {
      await door.close();
    }
  }, 120_000);
});
