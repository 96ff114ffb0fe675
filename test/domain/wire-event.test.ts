import { describe, expect, it } from 'vitest';
import type { JournalEvent, SessionEvent } from '../../src/domain/event.ts';
import { foldSession } from '../../src/domain/state.ts';
import {
  lineEvent,
  namespaceManagerEvent,
  sessionManagerEvent,
  wireEvent,
} from '../../src/domain/wire-event.ts';
import { LISTED_TYPES, MORE_TYPES } from '../../src/domain/wire/event-types.ts';
import { ListedEvent, LogEvent, ManagerEvent, WireEvent } from '../../src/domain/wire/event.ts';
import {
  at,
  executed,
  exited,
  launching,
  opened,
  plan,
  said,
  started,
  story,
  thread,
} from '../support/story.ts';

const time = (seq: number): string => new Date(at(seq)).toISOString();

/** Every kind of fact a session can have. */
const everything: SessionEvent[] = [
  opened(plan('a'), plan('b')), // 1
  {
    ...executed,
    settings: {
      ttl: 5_000,
      extendedEndReport: false,
      persistenceMode: { mode: 'none' },
      webhooks: { sessionEnd: { url: 'https://example.com/hook?key=hush' } },
    },
  } as SessionEvent,
  launching('a'), // 3
  started('a'),
  { type: 'agent_connected', agent: 'a' }, // 5
  { type: 'docker_container_created', agent: 'a', attempt: 1, containerId: 'c1' },
  thread('t1', 'b', 'a', 'b'), // 7
  { type: 'wait_started', agent: 'a', waitId: 'w1', filters: [{ type: 'mentions', name: 'a' }] },
  said('t1', 'm1', 'b', 'hello', 'a'), // 9
  { type: 'wait_ended', agent: 'a', waitId: 'w1', outcome: 'message', ordinal: 1 },
  { type: 'wait_started', agent: 'a', waitId: 'w2', filters: [] }, // 11
  { type: 'wait_ended', agent: 'a', waitId: 'w2', outcome: 'timeout' },
  { type: 'state_read', agent: 'a', upTo: 1 }, // 13
  { type: 'thread_participant_removed', threadId: 't1', name: 'a', by: 'b' },
  { type: 'thread_participant_added', threadId: 't1', name: 'a', by: 'b' }, // 15
  { type: 'thread_closed', threadId: 't1', summary: 'said', by: 'b' },
  { type: 'agent_observed', agent: 'a', attempt: 1, seen: false }, // 17
  { type: 'agent_disconnected', agent: 'a' },
  exited('a', 1, at(19), 2), // 19
  { type: 'agent_retry_due', agent: 'a', attempt: 1, at: at(21), restarts: 1, reason: 'failed' },
  launching('a', 2), // 21
  { type: 'agent_stopping', agent: 'a', attempt: 2, cause: 'session_closed' },
  { type: 'docker_container_removed', agent: 'a', attempt: 1, containerId: 'c1' }, // 23
  { type: 'session_stopping', cause: 'agent_request', by: 'b', reason: 'done', result: 7 },
  { type: 'session_ended', cause: 'agent_request', heldUntil: at(30) }, // 25
  { type: 'session_closed' },
];
const records = story(...everything);
const state = foldSession(records);
if (state === undefined) throw new Error('no state');

describe('the events of a session', () => {
  it('are those of the contract, with the seq of their fact', () => {
    const events = records.flatMap((record) => wireEvent(record, state) ?? []);
    const message = {
      id: 'm1',
      threadId: 't1',
      text: 'hello',
      senderName: 'b',
      mentionNames: ['a'],
      timestamp: time(9),
    };
    expect(events).toStrictEqual([
      { type: 'runtime_started', name: 'a', seq: 4, timestamp: time(4) },
      { type: 'agent_connected', name: 'a', seq: 5, timestamp: time(5) },
      { type: 'docker_container_created', containerId: 'c1', seq: 6, timestamp: time(6) },
      {
        type: 'thread_created',
        thread: {
          id: 't1',
          name: 'about t1',
          creatorName: 'b',
          participants: ['a', 'b'],
          messages: [],
          state: { state: 'open' },
          timestamp: time(7),
        },
        seq: 7,
        timestamp: time(7),
      },
      {
        type: 'agent_wait_start',
        name: 'a',
        filters: [{ type: 'mentions', name: 'a' }],
        seq: 8,
        timestamp: time(8),
      },
      { type: 'thread_message_sent', message, seq: 9, timestamp: time(9) },
      { type: 'agent_wait_stop', name: 'a', message, seq: 10, timestamp: time(10) },
      { type: 'agent_wait_start', name: 'a', filters: [], seq: 11, timestamp: time(11) },
      { type: 'thread_participant_removed', threadId: 't1', name: 'a', seq: 14, timestamp: time(14) },
      { type: 'thread_participant_added', threadId: 't1', name: 'a', seq: 15, timestamp: time(15) },
      { type: 'thread_closed', threadId: 't1', summary: 'said', seq: 16, timestamp: time(16) },
      { type: 'runtime_stopped', name: 'a', seq: 19, timestamp: time(19) },
      { type: 'docker_container_removed', containerId: 'c1', seq: 23, timestamp: time(23) },
    ]);
    for (const event of events) ListedEvent.parse(event);
  });

  it('are one for every fact where all were asked for', () => {
    const events = records.map((record) => wireEvent(record, state, true));
    expect(events.map((event) => event?.seq)).toEqual(records.map((record) => record.seq));
    for (const event of events) WireEvent.parse(event);
    expect(events[18]).toMatchObject({
      type: 'runtime_stopped',
      attempt: 1,
      exit: { reason: 'failed', exitCode: 2, restarts: 0 },
    });
    expect(events[11]).toMatchObject({ type: 'wait_ended', name: 'a', outcome: 'timeout' });
    expect(events[23]).toMatchObject({ type: 'session_stopping', by: 'b', reason: 'done', result: 7 });
  });

  it('never show digests of secrets, handles, plans or where reports are sent', () => {
    const text = JSON.stringify(records.map((record) => wireEvent(record, state, true)));
    for (const hidden of ['f00d', 'handle-1', 'hush', 'timeouts']) expect(text).not.toContain(hidden);
  });
});

describe('manager events', () => {
  const namespace = { name: 'ns', deleteOnLastSessionExit: true, annotations: {} };
  const session = {
    namespace: 'ns',
    sessionId: 's1',
    createdAt: at(1),
    annotations: { owner: 'me' },
    executedAt: at(2),
    endedAt: at(25),
  };
  const base = { id: 's1', namespace: 'ns', timestamp: time(1), annotations: { owner: 'me' } };

  it('tell the states a session goes through', () => {
    const events = records.flatMap((record) => {
      const event = sessionManagerEvent({ ...record, position: record.seq + 100 }, session, namespace);
      return event === undefined ? [] : [ManagerEvent.parse(event)];
    });
    const closing = { ...base, status: { type: 'closing', executionTime: time(2), closingTime: time(25) } };
    expect(events).toStrictEqual([
      {
        type: 'session_created',
        initialSessionState: { ...base, status: { type: 'pending_execution' } },
        namespaceState: namespace,
        seq: 101,
        timestamp: time(1),
      },
      {
        type: 'session_running',
        sessionState: { ...base, status: { type: 'executed', executionTime: time(2) } },
        namespaceState: namespace,
        seq: 102,
        timestamp: time(2),
      },
      {
        type: 'session_closing',
        sessionState: closing,
        namespaceState: namespace,
        seq: 125,
        timestamp: time(25),
      },
      {
        type: 'session_closed',
        finalSessionState: closing,
        namespaceState: namespace,
        seq: 126,
        timestamp: time(26),
      },
    ]);
  });

  it('show a deferred session that was closed unexecuted as pending to the last', () => {
    const [, closed] = story(opened(plan('a')), { type: 'session_closed' });
    const deferred = { namespace: 'ns', sessionId: 's1', createdAt: at(1), annotations: {} };
    expect(closed && sessionManagerEvent(closed, deferred, namespace)).toMatchObject({
      type: 'session_closed',
      finalSessionState: { status: { type: 'pending_execution' } },
    });
  });

  it('tell when namespaces come and go', () => {
    const place = (event: JournalEvent) => ({ seq: 1, position: 9, time: at(1), event });
    const created = namespaceManagerEvent(place({ type: 'namespace_created', ...namespace }), undefined);
    expect(ManagerEvent.parse(created)).toStrictEqual({
      type: 'namespace_created',
      initialState: namespace,
      seq: 9,
      timestamp: time(1),
    });
    expect(namespaceManagerEvent(place({ type: 'namespace_closed', name: 'ns' }), namespace)).toStrictEqual({
      type: 'namespace_closed',
      finalState: namespace,
      seq: 9,
      timestamp: time(1),
    });
  });
});

describe('a line an agent printed', () => {
  const key = { namespace: 'ns', sessionId: 's1' };

  it('is info from stdout, with tags that say where it comes from', () => {
    const event = lineEvent(key, { time: at(1), agent: 'a', io: 'out', text: 'hi' });
    expect(LogEvent.parse(event)).toStrictEqual({
      type: 'info',
      text: 'hi',
      timestamp: time(1),
      tags: [
        { type: 'namespace', namespace: 'ns', mdcMap: { ns: 'ns' } },
        { type: 'session', sessionId: 's1', mdcMap: { sid: 's1' } },
        { type: 'agent', name: 'a', mdcMap: { agent: 'a' } },
        { type: 'stdout', io: 'out', mdcMap: { io: 'out' } },
      ],
    });
  });

  it('is a warning from stderr, and marked when it is sensitive', () => {
    const event = lineEvent(key, { time: at(1), agent: 'a', io: 'error', text: 'hi', sensitive: true });
    expect(LogEvent.parse(event)).toMatchObject({ type: 'warning' });
    expect(event.tags.at(-1)).toEqual({ type: 'sensitive', mdcMap: {} });
  });
});

it('every type of event has its name in the list of those that may be asked for', () => {
  const names = (union: typeof ListedEvent | typeof WireEvent): string[] =>
    union.options.map(({ shape }) => shape.type.value);
  expect(names(ListedEvent)).toEqual([...LISTED_TYPES]);
  expect(names(WireEvent)).toEqual([...LISTED_TYPES, ...MORE_TYPES]);
});
