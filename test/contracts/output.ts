/** What every output store owes its callers (ports/output.ts). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OutputLine, OutputStore } from '../../src/ports/output.ts';

export interface OutputWorld {
  readonly store: OutputStore;
  /** The store of a next life over the same outside; absent where nothing outlives a store. */
  reopen?(): Promise<OutputStore>;
  close(): Promise<void>;
}

export const SESSION = '0190c0de-0000-7000-8000-000000000001';
export const OTHER = '0190c0de-0000-7000-8000-000000000002';

export const line = (text: string, more: Partial<OutputLine> = {}): Omit<OutputLine, 'number'> => ({
  time: 1_700_000_000_000,
  agent: 'reader',
  attempt: 1,
  io: 'out',
  text,
  ...more,
});

const texts = (lines: readonly OutputLine[]): string[] => lines.map(({ text }) => text);
const numbers = (lines: readonly OutputLine[]): number[] => lines.map(({ number }) => number);
const series = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** `make` is told how many bytes to keep of one agent. */
export function outputContract(
  name: string,
  make: (maxBytesPerAgent?: number) => Promise<OutputWorld>,
): void {
  describe(`${name} keeps the output contract`, () => {
    let world: OutputWorld;
    let store: OutputStore;
    const begin = async (maxBytesPerAgent?: number): Promise<void> => {
      await world?.close();
      world = await make(maxBytesPerAgent);
      store = world.store;
    };
    beforeEach(() => begin());
    afterEach(() => world.close());

    const fill = (count: number, agents: readonly string[] = ['a', 'b', 'c']): void => {
      for (let i = 1; i <= count; i += 1) {
        store.append(SESSION, line(`line ${i}`, { agent: agents[i % agents.length]! }));
      }
    };

    it('gives back what it took, numbered in the order it came', async () => {
      const taken = [
        line('plain', { time: 5 }),
        line('', { io: 'error', agent: 'ü/../x', attempt: 3 }),
        line('tab\t "quoted" \\ back \u0000 Grüße 🐚 \u2028', { sensitive: true }),
        line('[1,2,3]'),
      ];
      for (const one of taken) store.append(SESSION, one);
      expect(await store.read(SESSION, 0, 10)).toEqual(taken.map((one, i) => ({ number: i + 1, ...one })));
    });

    it('knows nothing of a session it never heard of', async () => {
      expect(await store.read(SESSION, 0, 10)).toEqual([]);
      expect(await store.tail(SESSION, 10)).toEqual([]);
      expect(await store.droppedBytes(SESSION)).toBe(0);
      await store.flush(SESSION);
      await store.release(SESSION);
      await store.purge(SESSION);
    });

    it('reads in pages without gap or repeat, over all agents in one order', async () => {
      fill(5_000);
      const read: OutputLine[] = [];
      for (let page = await store.read(SESSION, 0, 700); page.length > 0;) {
        read.push(...page);
        page = await store.read(SESSION, page.at(-1)!.number, 700);
      }
      expect(numbers(read)).toEqual(series(1, 5_000));
      expect(texts(read)).toEqual(series(1, 5_000).map((i) => `line ${i}`));
    });

    it('finds any place, also among long lines', async () => {
      for (let i = 1; i <= 300; i += 1) store.append(SESSION, line(`${i} `.padEnd((i * 37) % 5_000, 'é')));
      for (const after of [0, 1, 57, 150, 298, 299, 300, 1_000]) {
        const page = await store.read(SESSION, after, 2);
        expect(numbers(page)).toEqual(series(after + 1, Math.min(after + 2, 300)));
      }
    });

    it('reads and tails one agent alone', async () => {
      fill(30);
      const page = await store.read(SESSION, 4, 3, 'b');
      expect(page.map(({ agent, number }) => [agent, number])).toEqual([
        ['b', 7],
        ['b', 10],
        ['b', 13],
      ]);
      expect(numbers(await store.tail(SESSION, 2, 'b'))).toEqual([25, 28]);
      expect(await store.read(SESSION, 0, 3, 'nobody')).toEqual([]);
    });

    it('tails the newest lines, oldest first, also when one agent is quiet', async () => {
      store.append(SESSION, line('early', { agent: 'quiet' }));
      fill(2_000, ['loud']);
      expect(numbers(await store.tail(SESSION, 1_500))).toEqual(series(502, 2_001));
      expect(numbers(await store.tail(SESSION, 5_000))).toEqual(series(1, 2_001));
      expect(texts(await store.tail(SESSION, 1, 'quiet'))).toEqual(['early']);
    });

    it('asked for no lines gives none', async () => {
      fill(3);
      expect(await store.read(SESSION, 0, 0)).toEqual([]);
      expect(await store.tail(SESSION, 0)).toEqual([]);
    });

    it('tells those who follow all sessions every line of each, until they leave', async () => {
      const heard: string[] = [];
      const leave = store.followAll((session, one) => heard.push(`${session} ${one.number} ${one.text}`));
      store.append(SESSION, line('one'));
      store.append(OTHER, line('two'));
      await store.read(SESSION, 0, 1);
      await store.read(OTHER, 0, 1);
      leave();
      store.append(SESSION, line('three'));
      await store.read(SESSION, 1, 1);
      expect(heard.sort()).toEqual([`${SESSION} 1 one`, `${OTHER} 1 two`]);
    });

    it('tells followers every line from then on, with its number, until they leave', async () => {
      fill(3);
      await store.flush(SESSION);
      const heard: OutputLine[] = [];
      const leave = store.follow(SESSION, (one) => heard.push(one));
      fill(2);
      store.append(OTHER, line('elsewhere'));
      await store.flush(SESSION);
      leave();
      fill(1);
      await store.flush(SESSION);
      expect(numbers(heard)).toEqual([4, 5]);
      expect(heard).toEqual(await store.read(SESSION, 3, 2));
    });

    it('keeps sessions apart', async () => {
      store.append(SESSION, line('here'));
      store.append(OTHER, line('there'));
      expect(texts(await store.read(SESSION, 0, 9))).toEqual(['here']);
      expect(await store.read(OTHER, 0, 9)).toMatchObject([{ number: 1, text: 'there' }]);
    });

    it('keeps the newest of an agent that prints much, counts the rest, and spares the others', async () => {
      await begin(64 * 1024);
      store.append(SESSION, line('modest', { agent: 'modest' }));
      const count = 3_000;
      for (let i = 1; i <= count; i += 1)
        store.append(SESSION, line(`${i} `.padEnd(100, '.'), { agent: 'loud' }));
      const kept = await store.read(SESSION, 0, 10_000, 'loud');
      const bytes = kept.reduce((sum, { text }) => sum + text.length, 0);
      expect(bytes).toBeLessThanOrEqual(64 * 1024);
      expect(bytes).toBeGreaterThan(16 * 1024);
      expect(numbers(kept)).toEqual(series(count + 2 - kept.length, count + 1));
      // Each with one byte for its end.
      expect(await store.droppedBytes(SESSION)).toBe((count - kept.length) * 101);
      expect(texts(await store.read(SESSION, 0, 1))).toEqual(['modest']);
      expect(numbers(await store.tail(SESSION, 3))).toEqual(series(count - 1, count + 1));
    });

    it('cuts a line of more than 64 KiB between two characters and counts the rest', async () => {
      store.append(SESSION, line('é'.repeat(40_000)));
      const [cut] = await store.read(SESSION, 0, 1);
      expect(cut!.text).toBe('é'.repeat(32_768));
      expect(await store.droppedBytes(SESSION)).toBe(80_000 - 65_536);
    });

    it('counts bytes that never became a line', async () => {
      store.countDropped(SESSION, 1_000);
      store.countDropped(SESSION, 234);
      expect(await store.droppedBytes(SESSION)).toBe(1_234);
    });

    it('stays readable after its session is released, and takes late lines', async () => {
      fill(3);
      await store.release(SESSION);
      expect(texts(await store.read(SESSION, 0, 9))).toEqual(['line 1', 'line 2', 'line 3']);
      store.append(SESSION, line('late'));
      expect(await store.tail(SESSION, 1)).toMatchObject([{ number: 4, text: 'late' }]);
    });

    it('forgets what is purged, and nothing else', async () => {
      fill(3);
      store.countDropped(SESSION, 7);
      store.append(OTHER, line('there'));
      await store.purge(SESSION);
      expect(await store.read(SESSION, 0, 9)).toEqual([]);
      expect(await store.droppedBytes(SESSION)).toBe(0);
      expect(await store.read(OTHER, 0, 9)).toHaveLength(1);
    });

    it.each(['..', '.', '', '../escape', 'a/b', 'a\\b', 'a\0b', '.hidden', 'x'.repeat(300)])(
      'takes nothing for a session called %j',
      async (name) => {
        store.append(name, line('text'));
        store.countDropped(name, 5);
        await store.flush(name);
        expect(await store.read(name, 0, 9)).toEqual([]);
        expect(await store.droppedBytes(name)).toBe(0);
        await store.purge(name);
      },
    );

    it('takes nothing after it was closed, and does not complain', async () => {
      fill(2);
      await store.close();
      expect(() => store.append(SESSION, line('too late'))).not.toThrow();
    });

    it('goes on numbering where an earlier life ended, if it outlives one', async () => {
      if (!world.reopen) return;
      fill(5);
      store.countDropped(SESSION, 99);
      await store.close();
      const later = await world.reopen();
      const heard: OutputLine[] = [];
      later.follow(SESSION, (one) => heard.push(one));
      later.append(SESSION, line('after the restart', { agent: 'd' }));
      expect(numbers(await later.read(SESSION, 0, 9))).toEqual(series(1, 6));
      expect(heard).toMatchObject([{ number: 6, text: 'after the restart' }]);
      expect(await later.droppedBytes(SESSION)).toBe(99);
      await later.close();
    });
  });
}
