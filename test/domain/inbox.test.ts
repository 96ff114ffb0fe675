/** The inbox against the simplest thing that could be right: a sorted list. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Inbox, matches, type MessageRecord } from '../../src/domain/inbox.ts';
import type { WaitFilter } from '../../src/domain/event.ts';
import { runs } from '../support/runs.ts';

const SENDERS = ['ann', 'eve', 'zoe'];
const FILTERS: readonly (readonly WaitFilter[])[] = [
  [],
  [{ type: 'mentions', name: 'bob' }],
  [{ type: 'from', name: 'eve' }],
  [{ type: 'thread', threadId: 't1' }],
];

const action = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      sender: fc.constantFrom(...SENDERS),
      mention: fc.boolean(),
      thread: fc.constantFrom('t0', 't1'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('take' as const), filter: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), back: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('leave' as const), thread: fc.constantFrom('t0', 't1') }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('join' as const), thread: fc.constantFrom('t0', 't1') }),
  },
);

describe('an inbox', () => {
  it('does what a plain list would do', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
        const inbox = new Inbox('bob');
        const all: MessageRecord[] = [];
        const handed = new Set<number>();
        const member = new Set(['t0', 't1']);
        const visible = (): MessageRecord[] =>
          all.filter((message) => member.has(message.threadId) && !handed.has(message.ordinal));
        for (const step of actions) {
          switch (step.do) {
            case 'add': {
              const ordinal = all.length + 1;
              const message = {
                id: `m${ordinal}`,
                ordinal,
                threadId: step.thread,
                sender: step.sender,
                text: '',
                mentions: step.mention ? ['bob'] : [],
                time: 0,
              };
              all.push(message);
              if (member.has(step.thread)) inbox.add(message);
              break;
            }
            case 'take': {
              const filters = FILTERS[step.filter] ?? [];
              const expected = visible().find((message) => matches(message, filters));
              const found = inbox.oldest(filters, () => false);
              expect(found?.ordinal).toBe(expected?.ordinal);
              if (found !== undefined) {
                inbox.handedOver(found);
                handed.add(found.ordinal);
              }
              break;
            }
            case 'read': {
              const upTo = Math.max(0, all.length - step.back);
              for (const message of visible())
                if (message.ordinal <= upTo && message.mentions.length === 0) handed.add(message.ordinal);
              inbox.handedOverUpTo(upTo);
              break;
            }
            case 'leave':
              if (member.delete(step.thread)) inbox.park(step.thread, all.length);
              break;
            case 'join':
              if (!member.has(step.thread)) {
                member.add(step.thread);
                inbox.join(
                  step.thread,
                  all.filter((message) => message.threadId === step.thread),
                );
              }
              break;
          }
          expect(inbox.size).toBe(visible().length);
        }
      }),
      runs(300),
    );
  });

  it('takes a hundred thousand messages one by one as quickly per message as a hundred', () => {
    const drain = (count: number): number => {
      const inbox = new Inbox('bob');
      let looked = 0;
      for (let ordinal = 1; ordinal <= count; ordinal += 1) {
        inbox.add({ id: '', ordinal, threadId: 't', sender: 'ann', text: '', mentions: [], time: 0 });
      }
      for (
        let next = inbox.oldest([], () => (looked++, false));
        next !== undefined;
        next = inbox.oldest([], () => (looked++, false))
      ) {
        inbox.handedOver(next);
      }
      expect(inbox.size).toBe(0);
      return looked / count;
    };
    expect(drain(100_000)).toBe(drain(100));
  });
});
