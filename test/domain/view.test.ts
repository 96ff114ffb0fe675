import { describe, expect, it } from 'vitest';
import type { SessionEvent } from '../../src/domain/event.ts';
import { agentView, namespaceBase, sessionBase, sessionExtended, threadView } from '../../src/domain/view.ts';
import * as wire from '../../src/domain/wire/session.ts';
import {
  at,
  executed,
  exited,
  launching,
  opened,
  plan,
  said,
  sessionOf,
  started,
  thread,
} from '../support/story.ts';

function agent(...events: SessionEvent[]) {
  const found = sessionOf(opened(plan('a')), executed, ...events).agents.get('a');
  if (found === undefined) throw new Error('no agent a');
  const view = agentView(found);
  wire.AgentState.parse(view);
  return view;
}

const ended: SessionEvent = { type: 'session_ended', cause: 'agents_exited' };

describe('the status of a session', () => {
  const stopping: SessionEvent = { type: 'session_stopping', cause: 'requested' };
  const executionTime = '2026-01-01T00:00:01.000Z';
  it.each([
    ['opened', [], { type: 'pending_execution' }],
    ['executed', [executed], { type: 'executed', executionTime }],
    ['being stopped', [executed, stopping], { type: 'executed', executionTime }],
    [
      'ended',
      [executed, stopping, ended],
      { type: 'closing', executionTime, closingTime: '2026-01-01T00:00:03.000Z' },
    ],
    [
      'closed',
      [executed, stopping, ended, { type: 'session_closed' }],
      {
        type: 'closed',
        executionTime,
        closingTime: '2026-01-01T00:00:03.000Z',
        closedTime: '2026-01-01T00:00:04.000Z',
      },
    ],
    [
      'closed without ever running',
      [{ type: 'session_closed' }],
      { type: 'closed', closedTime: '2026-01-01T00:00:01.000Z' },
    ],
  ] as [string, SessionEvent[], unknown][])('of one that was %s', (_name, events, status) => {
    const base = sessionBase(sessionOf(opened(plan('a')), ...events));
    expect(wire.SessionStateBase.parse(base)).toEqual({
      id: 's1',
      namespace: 'ns',
      timestamp: '2026-01-01T00:00:00.000Z',
      annotations: { owner: 'me' },
      status,
    });
  });
});

describe('the status of an agent', () => {
  const running = (connectionStatus: unknown, more = {}) => ({
    type: 'running',
    connectionStatus,
    startTime: new Date(at(4)).toISOString(),
    ...more,
  });
  const notConnected = { type: 'not_connected' };

  it('is waiting before and during its launch', () => {
    expect(agent().status).toEqual({ type: 'waiting' });
    expect(agent(launching('a')).status).toEqual({ type: 'waiting' });
  });

  it('is running from the start of its process, and tells whether it is connected and what it does', () => {
    const start = [launching('a'), started('a')];
    const connected: SessionEvent = { type: 'agent_connected', agent: 'a' };
    const wait: SessionEvent = { type: 'wait_started', agent: 'a', waitId: 'w', filters: [] };
    expect(agent(...start).status).toEqual(running(notConnected));
    expect(agent(...start, connected).status).toEqual(
      running({ type: 'connected', communicationStatus: { type: 'thinking' } }),
    );
    expect(agent(...start, connected, wait).status).toEqual(
      running({ type: 'connected', communicationStatus: { type: 'waiting_message' } }),
    );
    expect(agent(...start, connected, { type: 'agent_disconnected', agent: 'a' }).status).toEqual(
      running(notConnected),
    );
  });

  it('stays running while it cannot be seen, and says so', () => {
    const unseen: SessionEvent = { type: 'agent_observed', agent: 'a', attempt: 1, seen: false };
    expect(agent(launching('a'), started('a'), unseen).status).toEqual(
      running(notConnected, { observed: 'unknown' }),
    );
  });

  it('stays running until it is gone, also while it is being stopped', () => {
    const stop: SessionEvent = { type: 'agent_stopping', agent: 'a', attempt: 1, cause: 'requested' };
    expect(agent(launching('a'), started('a'), stop).status).toEqual(running(notConnected));
    expect(agent(launching('a'), stop).status).toEqual({ type: 'waiting' });
  });

  it('is waiting again between two attempts', () => {
    const retry: SessionEvent = {
      type: 'agent_retry_due',
      agent: 'a',
      attempt: 1,
      at: at(9),
      restarts: 1,
      reason: 'failed',
    };
    const view = agent(launching('a'), started('a'), exited('a', 1, at(5), 3), retry);
    expect(view.status).toEqual({ type: 'waiting' });
    expect(view.exit).toBeUndefined();
  });

  it('tells how it ended, when, and after how many restarts', () => {
    const retry: SessionEvent = {
      type: 'agent_retry_due',
      agent: 'a',
      attempt: 1,
      at: at(9),
      restarts: 1,
      reason: 'failed',
    };
    const view = agent(
      ...[launching('a'), started('a'), exited('a', 1, at(5), 3), retry],
      ...[launching('a', 2), started('a', 2), exited('a', 2, at(9))],
    );
    expect(view.status).toEqual({ type: 'stopped', startTime: new Date(at(8)).toISOString() });
    expect(view.exit).toEqual({
      reason: 'completed',
      detail: 'ended with exit code 0',
      exitCode: 0,
      time: new Date(at(9)).toISOString(),
      restarts: 1,
    });
  });

  it('has no start time when nothing ever ran', () => {
    const failed: SessionEvent = {
      type: 'agent_exited',
      agent: 'a',
      attempt: 1,
      exit: { reason: 'launch_failed', detail: 'nothing there', time: at(4) },
    };
    const view = agent(launching('a'), failed);
    expect(view.status).toEqual({ type: 'stopped' });
    expect(view.exit).toMatchObject({ reason: 'launch_failed', restarts: 0 });
  });
});

describe('an agent', () => {
  it('leaves out what it does not have and shows defaults', () => {
    expect(agent()).toEqual({
      name: 'a',
      registryAgentIdentifier: { name: 'a', version: '1.0.0', registrySourceId: { type: 'local' } },
      status: { type: 'waiting' },
      links: [],
      annotations: {},
      tokensByModel: {},
    });
  });

  it('shows description, links and annotations', () => {
    const state = sessionOf(
      opened(plan('a', { description: 'Looks.', links: ['b'], annotations: { t: '1' } })),
    );
    expect(sessionExtended(state).agents[0]).toMatchObject({
      description: 'Looks.',
      links: ['b'],
      annotations: { t: '1' },
    });
  });
});

describe('a thread', () => {
  const talk = [
    thread('t1', 'a', 'a', 'b'),
    said('t1', 'm1', 'a', 'one', 'b'),
    said('t1', 'm2', 'b', 'two'),
    said('t1', 'm3', 'a', 'three'),
  ];
  const closed: SessionEvent = { type: 'thread_closed', threadId: 't1', summary: 'done', by: 'a' };
  const start = [opened(plan('a'), plan('b')), executed] as const;

  it('shows who takes part and what was said', () => {
    const [view] = sessionExtended(sessionOf(...start, ...talk)).threads;
    expect(wire.Thread.parse(view)).toEqual({
      id: 't1',
      name: 'about t1',
      creatorName: 'a',
      participants: ['a', 'b'],
      messages: [
        expect.objectContaining({ id: 'm1' }),
        expect.objectContaining({ id: 'm2' }),
        expect.objectContaining({ id: 'm3' }),
      ],
      state: { state: 'open' },
      timestamp: new Date(at(3)).toISOString(),
    });
    expect(view?.messages[0]).toEqual({
      id: 'm1',
      threadId: 't1',
      text: 'one',
      senderName: 'a',
      mentionNames: ['b'],
      timestamp: new Date(at(4)).toISOString(),
    });
  });

  it.each([
    [0, [], 3],
    [2, ['m2', 'm3'], 1],
    [3, ['m1', 'm2', 'm3'], undefined],
    [9, ['m1', 'm2', 'm3'], undefined],
  ])('bounded to %i messages keeps the latest and counts the rest', (messages, ids, earlier) => {
    const [view] = sessionExtended(sessionOf(...start, ...talk), { messages }).threads;
    expect(view?.messages.map((message) => message.id)).toEqual(ids);
    expect(view?.earlierMessages).toBe(earlier);
  });

  it('once closed keeps its summary, and its messages only for the archive', () => {
    const state = sessionOf(...start, ...talk, closed);
    const summary = { state: 'closed', summary: 'done', timestamp: new Date(at(7)).toISOString() };
    expect(sessionExtended(state).threads[0]).toMatchObject({ messages: [], state: summary });
    const whole = sessionExtended(state, { whole: true, messages: 1 }).threads[0];
    expect(whole).toMatchObject({ earlierMessages: 2, state: summary });
    expect(whole?.messages.map((message) => message.id)).toEqual(['m3']);
  });

  it('is seen alone as well', () => {
    const found = sessionOf(...start, ...talk).threads.get('t1');
    expect(found && threadView(found, { limit: 1 }).messages).toHaveLength(1);
  });
});

describe('a session with an outcome', () => {
  it('shows the result an agent gave, and no field where none gave one', () => {
    const close = (result?: unknown): SessionEvent => ({
      type: 'session_stopping',
      cause: 'agent_request',
      by: 'a',
      ...(result !== undefined && { result }),
    });
    const state = sessionOf(opened(plan('a')), executed, close({ ok: true }), ended);
    expect(wire.SessionStateExtended.parse(sessionExtended(state)).result).toEqual({ ok: true });
    expect(sessionExtended(sessionOf(opened(plan('a')), executed, close()))).not.toHaveProperty('result');
  });
});

it('a namespace shows its settings and not when it was made', () => {
  const namespace = { name: 'n', deleteOnLastSessionExit: false, annotations: { a: 'b' }, createdAt: 1 };
  expect(namespaceBase(namespace)).toStrictEqual({
    name: 'n',
    deleteOnLastSessionExit: false,
    annotations: { a: 'b' },
  });
});
