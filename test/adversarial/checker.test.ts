/** The checker finds every kind of broken promise, each in a history that is good but for that. */
import { describe, expect, it } from 'vitest';
import type { JournalEvent, SessionEvent } from '../../src/domain/event.ts';
import type { JournalRecord } from '../../src/ports/journal.ts';
import { violations, type Rule } from './checker.ts';
import type { History, Open, Operation, Send, Wait } from './history.ts';

const S = 'session/s';
const OUTBOX = 'outbox/s/session_end';

/** A journal of facts by stream, as written in this order. */
function journalOf(facts: readonly (readonly [string, object])[]): JournalRecord[] {
  const seqs = new Map<string, number>();
  return facts.map(([stream, event], index) => {
    const seq = (seqs.get(stream) ?? 0) + 1;
    seqs.set(stream, seq);
    return { stream, seq, position: index + 1, time: 0, event: event as JournalEvent };
  });
}

const plan = (name: string, kind = 'executable'): object => ({ name, runtime: { kind } });
const launching = (attempt: number): object => ({ type: 'agent_launching', agent: 'ann', attempt });
const exited = (attempt: number, reason = 'completed'): object => ({
  type: 'agent_exited',
  agent: 'ann',
  attempt,
  exit: { reason, detail: 'It ended.' },
});
const sent = (messageId: string, text: string): object => ({
  type: 'message_sent',
  threadId: 't',
  messageId,
  sender: 'ann',
  text,
});

/** Every fact of a good run, by a name to change it under. */
const FACTS = {
  namespace: ['namespaces', { type: 'namespace_created', name: 'n' }],
  outbox: [OUTBOX, { type: 'outbox_opened', hook: 'session_end', sessionId: 's' }],
  opened: [S, { type: 'session_opened', sessionId: 's', agents: [plan('ann'), plan('bob')] }],
  executed: [S, { type: 'session_executed' }],
  launching: [S, launching(1)],
  started: [S, { type: 'agent_started', agent: 'ann', attempt: 1 }],
  thread: [S, { type: 'thread_created', threadId: 't', creator: 'ann', participants: ['ann', 'bob'] }],
  waiting: [S, { type: 'wait_started', agent: 'bob', waitId: 'w' }],
  first: [S, sent('m1', 'one')],
  waited: [S, { type: 'wait_ended', agent: 'bob', waitId: 'w' }],
  second: [S, sent('m2', 'two')],
  exited: [S, exited(1)],
  ended: [S, { type: 'session_ended' }],
  done: [OUTBOX, { type: 'delivery_done', seq: 1 }],
  finished: [OUTBOX, { type: 'outbox_finished' }],
  closed: [S, { type: 'session_closed' }],
  gone: ['namespaces', { type: 'namespace_closed', name: 'n' }],
} as const satisfies Record<string, readonly [string, object]>;
type Name = keyof typeof FACTS;

/** The journal without some facts, or with others behind one. */
function journal(
  given: { without?: readonly Name[]; behind?: Name; also?: readonly object[] } = {},
): JournalRecord[] {
  return journalOf(
    Object.entries(FACTS).flatMap(([name, fact]) => [
      ...(given.without?.includes(name as Name) === true ? [] : [fact]),
      ...(given.behind === name ? (given.also ?? []).map((event) => [fact[0], event] as const) : []),
    ]),
  );
}

const open: Open = { kind: 'open', key: 'k', session: 's', invoked: 1, completed: 2, outcome: 'ok' };
const send = (n: number, more: Partial<Send> = {}): Send => ({
  ...{ kind: 'send', session: 's', thread: 't', agent: 'ann', outcome: 'ok' },
  ...{
    key: `k${n}`,
    text: n === 1 ? 'one' : 'two',
    message: `m${n}`,
    invoked: 10 * n,
    completed: 10 * n + 1,
  },
  ...more,
});
const wait = (at: number, message?: string): Wait => ({
  ...{ kind: 'wait', session: 's', agent: 'bob', outcome: 'ok', invoked: at, completed: at + 1 },
  ...(message !== undefined && { message }),
});
const OPERATIONS: readonly Operation[] = [open, send(1), send(2), wait(30, 'm1'), wait(40, 'm2'), wait(50)];
const LIFE = { session: 's', agent: 'ann', attempt: 1, who: '7' };
const REPORT = { session: 's', delivery: 's-end-1', body: 'It ended.' };

const GOOD: History = {
  operations: OPERATIONS,
  lives: [LIFE],
  reports: [REPORT],
  deaths: { server: 0, keeper: [], docker: [] },
  journal: journal(),
  left: [],
};

/** What is broken, by what; each alone. */
const BROKEN: readonly (readonly [string, Rule, Partial<History>])[] = [
  [
    'a record is missing',
    'no gap',
    { journal: journal().filter(({ seq, stream }) => stream !== S || seq !== 6) },
  ],
  ['a position comes twice', 'no gap', { journal: journal().map((record) => ({ ...record, position: 1 })) }],
  [
    'an acknowledged session is lost',
    'acknowledged sessions',
    { operations: [...OPERATIONS, { ...open, key: 'other', session: 'lost' }] },
  ],
  [
    'a key gives two sessions',
    'acknowledged sessions',
    { operations: [...OPERATIONS, { ...open, session: 'another' }] },
  ],
  ['nobody asked for a session', 'acknowledged sessions', { operations: OPERATIONS.slice(1) }],
  ['an acknowledged message is lost', 'acknowledged messages', { journal: journal({ without: ['second'] }) }],
  [
    'a message is there twice',
    'acknowledged messages',
    { journal: journal({ behind: 'second', also: [sent('m3', 'two')] }) },
  ],
  [
    'a refused message is there',
    'acknowledged messages',
    { operations: OPERATIONS.map((one) => (one.kind === 'send' ? { ...one, outcome: 'refused' } : one)) },
  ],
  [
    'a message was acknowledged under two ids',
    'acknowledged messages',
    { operations: [...OPERATIONS, send(2, { message: 'm9', invoked: 60, completed: 61 })] },
  ],
  [
    'nobody sent a message',
    'acknowledged messages',
    { operations: OPERATIONS.filter(({ kind }) => kind !== 'send') },
  ],
  [
    'messages stand in another order',
    'order of messages',
    { operations: [open, send(2, { invoked: 10, completed: 11 }), send(1, { invoked: 20, completed: 21 })] },
  ],
  [
    'an attempt is launched while one lives',
    'one attempt at a time',
    { journal: journal({ behind: 'started', also: [launching(2), exited(2)] }) },
  ],
  [
    'an attempt is left out',
    'one attempt at a time',
    { journal: journal({ behind: 'exited', also: [launching(3), exited(3)] }) },
  ],
  [
    'something is started that was not launched',
    'one attempt at a time',
    { journal: journal({ without: ['launching'] }) },
  ],
  [
    'an attempt ends twice',
    'one attempt at a time',
    { journal: journal({ behind: 'exited', also: [exited(2)] }) },
  ],
  [
    'something ran that is not on record',
    'no launch without record',
    { lives: [LIFE, { ...LIFE, attempt: 2 }] },
  ],
  ['an attempt had two lives', 'no launch without record', { lives: [LIFE, { ...LIFE, who: '8' }] }],
  ['an attempt has no end', 'no record without end', { journal: journal({ without: ['exited'] }) }],
  ['a wait has no end', 'no record without end', { journal: journal({ without: ['waited'] }) }],
  ['a session is not closed', 'no record without end', { journal: journal({ without: ['closed'] }) }],
  [
    'a session ends twice',
    'no record without end',
    { journal: journal({ behind: 'ended', also: [{ type: 'session_ended' }] }) },
  ],
  [
    'a session goes on behind its end',
    'no record without end',
    { journal: journal({ behind: 'closed', also: [sent('m3', 'two')] }) },
  ],
  ['a namespace is left', 'no record without end', { journal: journal({ without: ['gone'] }) }],
  ['a webhook has no end', 'no record without end', { journal: journal({ without: ['finished'] }) }],
  [
    'an executable is lost though only the server died',
    'agents survive the server',
    { journal: journal({ without: ['exited'], behind: 'second', also: [exited(1, 'lost')] }) },
  ],
  [
    'a container is lost though only the server and its keeper died',
    'agents survive the server',
    {
      journal: journal({ without: ['exited'], behind: 'second', also: [exited(1, 'lost')] }).map((record) =>
        record.event.type === 'session_opened'
          ? { ...record, event: { ...record.event, agents: [plan('ann', 'docker')] as never } }
          : record,
      ),
      deaths: { server: 1, keeper: [0], docker: [] },
    },
  ],
  [
    'a message is handed over zero times',
    'handed over',
    { operations: OPERATIONS.filter((one) => one.kind !== 'wait' || one.message !== 'm2') },
  ],
  [
    'a message is handed over twice though nothing died',
    'handed over',
    { operations: [...OPERATIONS, wait(60, 'm2')] },
  ],
  [
    'messages are handed over in another order',
    'handed over',
    { operations: [open, send(1), send(2), wait(30, 'm2'), wait(40, 'm1')] },
  ],
  [
    'a message goes to somebody it is not for',
    'handed over',
    { operations: [...OPERATIONS, { ...wait(60, 'm1'), agent: 'cid' }] },
  ],
  ['an end is not reported', 'end reports', { reports: [] }],
  ['an end is reported that is none', 'end reports', { journal: journal({ without: ['ended'] }) }],
  ['an end is reported in two ways', 'end reports', { reports: [REPORT, { ...REPORT, body: 'Or not.' }] }],
  ['something is left in the world', 'nothing is left', { left: ['process 7'] }],
];

describe('the checker', () => {
  it('finds nothing in a good history', () => {
    expect(violations(GOOD)).toEqual([]);
  });

  it('bears what crashes may do: answers that are lost, messages handed over again, attempts that are lost', () => {
    const lost: Partial<SessionEvent> = exited(1, 'lost');
    const history: History = {
      ...GOOD,
      operations: [
        { ...open, outcome: 'unknown', invoked: 0, completed: 0 },
        ...OPERATIONS,
        send(1, { outcome: 'unknown', invoked: 5, completed: 6 }),
        wait(60, 'm2'),
      ],
      journal: journal({ without: ['exited'], behind: 'second', also: [lost, launching(2), exited(2)] }),
      deaths: { server: 1, keeper: [0], docker: [] },
    };
    expect(violations(history)).toEqual([]);
  });

  it.each(BROKEN)('finds that %s', (_what, rule, broken) => {
    const found = violations({ ...GOOD, ...broken });
    expect(found.map((violation) => violation.rule)).toContain(rule);
    for (const { what } of found) expect(what).not.toMatch(/undefined|\[object/);
  });
});
