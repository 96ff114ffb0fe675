/** What every journal promises (ports/journal.ts), as a suite that runs on each implementation. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JournalEvent } from '../../src/domain/event.ts';
import type { Append, Journal, JournalRecord, StreamInfo, StreamQuery } from '../../src/ports/journal.ts';
import { header, opening, said } from './journal-events.ts';

export interface OpenedForContract {
  readonly journal: Journal;
  /** Closes the journal and opens the same one again; absent where nothing outlives the object. */
  readonly reopen?: () => Promise<Journal>;
  readonly dispose: () => Promise<void>;
}

const closed: JournalEvent = { type: 'session_closed' };
const created = (name: string): JournalEvent => ({
  type: 'namespace_created',
  name,
  deleteOnLastSessionExit: true,
  annotations: {},
});

const following = (id: string, expectedSeq: number, more: Partial<Append> = {}): Append => ({
  stream: `session/${id}`,
  expectedSeq,
  time: 2000,
  events: [said(`after ${expectedSeq}`)],
  ...more,
});

const seqs = (records: readonly JournalRecord[]): number[] => records.map((record) => record.seq);
const ids = (streams: readonly StreamInfo[]): string[] => streams.map((stream) => stream.id);

export function journalContract(name: string, open: () => Promise<OpenedForContract>): void {
  describe(`journal contract: ${name}`, () => {
    let opened: OpenedForContract;
    let journal: Journal;

    beforeEach(async () => {
      opened = await open();
      journal = opened.journal;
    });
    afterEach(() => opened.dispose());

    const pages = async (query: Omit<StreamQuery, 'limit'>, limit: number): Promise<string[][]> => {
      const found: string[][] = [];
      let cursor: string | undefined;
      do {
        const page = await journal.streams({ ...query, limit, ...(cursor === undefined ? {} : { cursor }) });
        found.push(ids(page.streams));
        cursor = page.next;
      } while (cursor !== undefined);
      return found;
    };

    describe('append and read', () => {
      it('numbers the records of a stream from 1 without gap and hands them back in order', async () => {
        const first = await journal.append(opening('a', { events: [said('one'), said('two')] }));
        const second = await journal.append(following('a', 2));

        expect(first).toMatchObject([
          { stream: 'session/a', seq: 1, time: 1000, event: said('one') },
          { stream: 'session/a', seq: 2, time: 1000, event: said('two') },
        ]);
        expect(second).toMatchObject([{ stream: 'session/a', seq: 3, time: 2000 }]);
        expect(await journal.read('session/a', 0, 10)).toEqual([...first, ...second]);
      });

      it('gives every record of the journal a position higher than the one before', async () => {
        await journal.append(opening('a', { events: [said('1'), said('2')] }));
        await journal.append(opening('b', { events: [said('3')] }));
        await journal.append(following('a', 2));
        const all = await journal.readTypes(['message_sent'], 0, 10);

        expect(all.map((record) => record.stream)).toEqual([
          'session/a',
          'session/a',
          'session/b',
          'session/a',
        ]);
        const positions = all.map((record) => record.position);
        expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b));
        expect(positions[0]).toBeGreaterThan(0);
        expect(await journal.lastPosition()).toBe(positions.at(-1));
      });

      it('reads from behind a seq, at most the limit', async () => {
        await journal.append(opening('a', { events: ['1', '2', '3', '4', '5'].map(said) }));

        expect(seqs(await journal.read('session/a', 2, 2))).toEqual([3, 4]);
        expect(seqs(await journal.read('session/a', 4, 100))).toEqual([5]);
        expect(await journal.read('session/a', 5, 100)).toEqual([]);
        expect(await journal.read('session/a', 0, 0)).toEqual([]);
      });

      it('has no records for a stream it does not know, and position 0 when empty', async () => {
        expect(await journal.read('session/unknown', 0, 10)).toEqual([]);
        expect(await journal.lastPosition()).toBe(0);
        expect(await journal.streams({ limit: 10 })).toEqual({ streams: [] });
      });

      it('keeps every text as it was', async () => {
        const texts = [
          '',
          '"quoted" \\ \u0000 \u2028',
          'ünïcödé 🪸',
          '\ud83d\udc69\u200d\ud83d\ude80',
          'x'.repeat(200_000),
        ];
        await journal.append(opening('a', { events: texts.map(said) }));

        const read = await journal.read('session/a', 0, 10);
        expect(read.map((record) => record.event)).toEqual(texts.map(said));
      });

      it('takes an append without events as nothing to do', async () => {
        expect(await journal.append(opening('a', { events: [] }))).toEqual([]);
        expect((await journal.streams({ limit: 10 })).streams).toEqual([]);
        await journal.append(opening('a'));
        expect(await journal.append(following('a', 1, { events: [] }))).toEqual([]);
        expect(seqs(await journal.read('session/a', 0, 10))).toEqual([1]);
      });
    });

    describe('conflicts', () => {
      it('rejects an append to a stream that is further on, and stores nothing of it', async () => {
        await journal.append(opening('a', { events: [said('1'), said('2')] }));

        await expect(journal.append(following('a', 1))).rejects.toMatchObject({
          name: 'JournalError',
          code: 'conflict',
        });
        await expect(journal.append(following('a', 3))).rejects.toMatchObject({ code: 'conflict' });
        await expect(journal.append(opening('a'))).rejects.toMatchObject({ code: 'conflict' });
        expect(seqs(await journal.read('session/a', 0, 10))).toEqual([1, 2]);
        expect(seqs(await journal.append(following('a', 2)))).toEqual([3]);
      });

      it('rejects an append to a stream that is not there', async () => {
        await expect(journal.append(following('a', 4))).rejects.toMatchObject({ code: 'conflict' });
        const headless: Append = { stream: 'session/a', expectedSeq: 0, time: 1, events: [said('1')] };
        await expect(journal.append(headless)).rejects.toMatchObject({
          code: 'conflict',
          message: expect.stringContaining('session/a'),
        });
        expect((await journal.streams({ limit: 10 })).streams).toEqual([]);
      });

      it('takes the other appends of the same turn', async () => {
        await journal.append(opening('a'));
        const outcomes = await Promise.allSettled([
          journal.append(opening('b')),
          journal.append(following('a', 7)),
          journal.append(following('a', 1)),
          journal.append(opening('c', { events: [said('1'), said('2')] })),
        ]);

        expect(outcomes.map((outcome) => outcome.status)).toEqual([
          'fulfilled',
          'rejected',
          'fulfilled',
          'fulfilled',
        ]);
        expect(seqs(await journal.read('session/a', 0, 10))).toEqual([1, 2]);
        expect(seqs(await journal.read('session/b', 0, 10))).toEqual([1]);
        expect(seqs(await journal.read('session/c', 0, 10))).toEqual([1, 2]);
      });

      it('lets one of two win that expect the same seq in the same turn', async () => {
        await journal.append(opening('a'));
        const outcomes = await Promise.allSettled([
          journal.append(following('a', 1, { events: [said('winner')] })),
          journal.append(following('a', 1, { events: [said('loser')] })),
        ]);

        expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected']);
        const read = await journal.read('session/a', 1, 10);
        expect(read.map((record) => record.event)).toEqual([said('winner')]);
      });

      it('takes several appends to one stream in one turn when each builds on the one before', async () => {
        const results = await Promise.all([
          journal.append(opening('a')),
          journal.append(following('a', 1)),
          journal.append(following('a', 2, { closes: true })),
          journal.append(following('a', 3)),
        ]);

        expect(results.map(seqs)).toEqual([[1], [2], [3], [4]]);
        expect(seqs(await journal.read('session/a', 0, 10))).toEqual([1, 2, 3, 4]);
      });
    });

    describe('readTypes', () => {
      it('finds the records of the given types over all streams, in order of position', async () => {
        const namespaces = { kind: 'namespaces', id: 'namespaces', namespace: '', annotations: {} } as const;
        await journal.append({
          stream: 'namespaces',
          expectedSeq: 0,
          time: 1,
          events: [created('n1')],
          header: namespaces,
        });
        await journal.append(opening('a', { events: [said('1'), closed] }));
        await journal.append({ stream: 'namespaces', expectedSeq: 1, time: 2, events: [created('n2')] });

        const milestones = ['session_closed', 'namespace_created', 'namespace_closed'];
        const found = await journal.readTypes(milestones, 0, 10);
        expect(found.map((record) => record.event)).toEqual([created('n1'), closed, created('n2')]);

        expect(await journal.readTypes(milestones, found[0]!.position, 1)).toEqual([found[1]]);
        expect(await journal.readTypes(milestones, found[2]!.position, 10)).toEqual([]);
        expect(await journal.readTypes([], 0, 10)).toEqual([]);
        const mixed = await journal.readTypes(['message_sent', 'session_closed'], 0, 10);
        expect(mixed.map((record) => record.event)).toEqual([said('1'), closed]);
      });
    });

    describe('catalogue', () => {
      it('tells a stream by header, span and length', async () => {
        const about = header('a', { namespace: 'n', annotations: { team: 'red', 'k"e.y': '' } });
        await journal.append(opening('a', { header: about, time: 1000 }));
        await journal.append(following('a', 1, { time: 1500, events: [said('1'), said('2')] }));

        const info = { stream: 'session/a', ...about, lastSeq: 3, openedAt: 1000 };
        expect((await journal.streams({ limit: 10 })).streams).toEqual([info]);

        await journal.append(following('a', 3, { time: 1700, events: [closed], closes: true }));
        expect((await journal.streams({ limit: 10 })).streams).toEqual([
          { ...info, lastSeq: 4, closedAt: 1700 },
        ]);
      });

      it('keeps the time of the first close when facts follow it', async () => {
        await journal.append(opening('a', { time: 1, closes: true }));
        await journal.append(following('a', 1, { time: 2 }));
        await journal.append(following('a', 2, { time: 3, closes: true }));

        expect((await journal.streams({ limit: 10 })).streams).toMatchObject([{ lastSeq: 3, closedAt: 1 }]);
      });

      it('lists the newest first, page by page, each once', async () => {
        for (const [id, time] of [
          ['a', 10],
          ['b', 20],
          ['c', 20],
          ['d', 20],
          ['e', 30],
        ] as const) {
          await journal.append(opening(id, { time }));
        }

        expect(await pages({}, 2)).toEqual([['e', 'd'], ['c', 'b'], ['a']]);
        expect(await pages({}, 5)).toEqual([['e', 'd', 'c', 'b', 'a']]);
        expect(await pages({}, 1)).toEqual([['e'], ['d'], ['c'], ['b'], ['a']]);
      });

      it('sorts by opening time even when a clock went back', async () => {
        await journal.append(opening('late', { time: 500 }));
        await journal.append(opening('early', { time: 100 }));
        await journal.append(opening('middle', { time: 300 }));

        expect(await pages({}, 2)).toEqual([['late', 'middle'], ['early']]);
      });

      it('repeats and skips nothing when streams come and close between two pages', async () => {
        for (let n = 1; n <= 6; n++) await journal.append(opening(`s${n}`, { time: n }));
        const first = await journal.streams({ limit: 3 });
        await journal.append(opening('newer', { time: 7 }));
        await journal.append(following('s2', 1, { closes: true }));
        const second = await journal.streams({ limit: 3, cursor: first.next! });

        expect([...ids(first.streams), ...ids(second.streams)]).toEqual(['s6', 's5', 's4', 's3', 's2', 's1']);
        expect(second.next).toBeUndefined();
      });

      it.each([
        ['namespace', { namespace: 'blue' }, ['d', 'b']],
        ['id', { id: 'b' }, ['b']],
        ['id in another namespace', { id: 'b', namespace: 'red' }, []],
        ['open', { open: true }, ['d', 'c', 'b', 'namespaces']],
        ['closed', { open: false }, ['a']],
        ['kind', { kind: 'session' }, ['d', 'c', 'b', 'a']],
        ['from, inclusive', { openedFrom: 20 }, ['d', 'c', 'b']],
        ['before, exclusive', { openedBefore: 20 }, ['a', 'namespaces']],
        ['a span', { openedFrom: 10, openedBefore: 30 }, ['b', 'a']],
        ['one annotation', { annotations: { team: 'x' } }, ['d', 'b', 'a']],
        ['all annotations', { annotations: { team: 'x', tier: '1' } }, ['d', 'a']],
        ['an annotation nobody has', { annotations: { team: 'z' } }, []],
        ['a key from the prototype', { annotations: { constructor: 'x' } }, []],
        ['no annotations at all', { annotations: {} }, ['d', 'c', 'b', 'a', 'namespaces']],
        [
          'everything at once',
          { kind: 'session', open: true, namespace: 'blue', openedFrom: 21, annotations: { team: 'x' } },
          ['d'],
        ],
      ] as const)('filters by %s', async (_name, query, expected) => {
        const namespaces = { kind: 'namespaces', id: 'namespaces', namespace: '', annotations: {} } as const;
        await journal.append({ ...opening('x'), stream: 'namespaces', header: namespaces, time: 5 });
        const sessions = [
          ['a', 'red', { team: 'x', tier: '1' }, 10],
          ['b', 'blue', { team: 'x' }, 20],
          ['c', 'red', { team: 'y', tier: '1' }, 30],
          ['d', 'blue', { team: 'x', tier: '1', more: 'x' }, 40],
        ] as const;
        for (const [id, namespace, annotations, time] of sessions) {
          await journal.append(opening(id, { header: header(id, { namespace, annotations }), time }));
        }
        await journal.append(following('a', 1, { closes: true }));

        expect((await pages(query, 100)).flat()).toEqual(expected);
        expect((await pages(query, 1)).flat()).toEqual(expected);
      });

      it('says whose fault a cursor is that no page returned', async () => {
        for (const cursor of ['nonsense', '', 'MTIz', '*']) {
          await expect(journal.streams({ limit: 1, cursor })).rejects.toMatchObject({ code: 'bad_cursor' });
        }
      });
    });

    describe('drop', () => {
      it('deletes a closed stream, its records and its place in the catalogue', async () => {
        const annotations = { team: 'x' };
        await journal.append(opening('a', { header: header('a', { annotations }), closes: true }));
        await journal.append(opening('b', { header: header('b', { annotations }) }));
        await journal.drop('session/a');

        expect(await journal.read('session/a', 0, 10)).toEqual([]);
        expect(await pages({}, 10)).toEqual([['b']]);
        expect(await pages({ annotations }, 10)).toEqual([['b']]);
        const left = await journal.readTypes(['message_sent'], 0, 10);
        expect(left.map((record) => record.stream)).toEqual(['session/b']);
        await journal.append(opening('a'));
        expect(seqs(await journal.read('session/a', 0, 10))).toEqual([1]);
      });

      it('never gives the position of a dropped record again', async () => {
        await journal.append(opening('a'));
        const [last] = await journal.append(opening('b', { closes: true }));
        await journal.drop('session/b');
        if (opened.reopen !== undefined) journal = await opened.reopen();
        const [next] = await journal.append(following('a', 1));

        expect(next!.position).toBeGreaterThan(last!.position);
      });

      it('refuses a stream that is open and passes over one that is not there', async () => {
        await journal.append(opening('a'));

        await expect(journal.drop('session/a')).rejects.toMatchObject({ code: 'conflict' });
        await expect(journal.drop('session/unknown')).resolves.toBeUndefined();
        expect(seqs(await journal.read('session/a', 0, 10))).toEqual([1]);
      });
    });

    describe('life', () => {
      it('can tell that it would take a write', async () => {
        await expect(journal.probe()).resolves.toBeUndefined();
        expect(await journal.lastPosition()).toBe(0);
      });

      it('refuses everything once closed, and closes twice', async () => {
        await journal.append(opening('a'));
        await journal.close();
        await journal.close();

        const refused = { name: 'JournalError', code: 'closed' };
        await expect(journal.append(following('a', 1))).rejects.toMatchObject(refused);
        await expect(journal.read('session/a', 0, 1)).rejects.toMatchObject(refused);
        await expect(journal.readTypes([], 0, 1)).rejects.toMatchObject(refused);
        await expect(journal.lastPosition()).rejects.toMatchObject(refused);
        await expect(journal.streams({ limit: 1 })).rejects.toMatchObject(refused);
        await expect(journal.drop('session/a')).rejects.toMatchObject(refused);
        await expect(journal.probe()).rejects.toMatchObject(refused);
      });

      it('stores what was appended before it was closed', async () => {
        const appended = journal.append(opening('a'));
        await journal.close();

        expect(seqs(await appended)).toEqual([1]);
      });

      it('is the same after it was opened again', async (context) => {
        if (opened.reopen === undefined) context.skip('nothing of it outlives the object');
        const about = header('a', { annotations: { team: 'x' } });
        await journal.append(opening('a', { header: about, events: [said('1'), said('2')] }));
        await journal.append(opening('b', { closes: true }));
        const before = await Promise.all([
          journal.read('session/a', 0, 10),
          journal.readTypes(['message_sent'], 0, 10),
          journal.streams({ limit: 10 }),
          journal.lastPosition(),
        ]);
        journal = await opened.reopen!();

        expect(
          await Promise.all([
            journal.read('session/a', 0, 10),
            journal.readTypes(['message_sent'], 0, 10),
            journal.streams({ limit: 10 }),
            journal.lastPosition(),
          ]),
        ).toEqual(before);
        await expect(journal.append(following('a', 1))).rejects.toMatchObject({ code: 'conflict' });
        expect(seqs(await journal.append(following('a', 2)))).toEqual([3]);
        expect(seqs(await journal.append(following('b', 1)))).toEqual([2]);
      });
    });
  });
}
