import { describe, it } from 'vitest';
import { given } from '../support/given.ts';
import { executed, launching, opened, plan, started, thread } from '../support/story.ts';

const THREE = [
  opened(plan('ann'), plan('bob'), plan('eve')),
  executed,
  launching('ann'),
  started('ann'),
] as const;
const TALK = [...THREE, thread('t1', 'ann', 'ann', 'bob')] as const;
const CLOSED = [...TALK, { type: 'thread_closed', threadId: 't1', summary: 'done', by: 'ann' }] as const;
const send = (by: string, mentions: readonly string[] = [], threadId = 't1') =>
  ({ type: 'send_message', by, threadId, messageId: 'm1', text: 'hi', mentions }) as const;

describe('threads', () => {
  it('always have their creator, first and once', () => {
    given(...THREE)
      .when({
        type: 'create_thread',
        by: 'ann',
        threadId: 't1',
        name: 'x',
        participants: ['bob', 'ann', 'bob'],
      })
      .then({ type: 'thread_created', creator: 'ann', participants: ['ann', 'bob'] });
  });
  it('take agents of the session only', () => {
    given(...THREE)
      .when({ type: 'create_thread', by: 'ann', threadId: 't1', name: 'x', participants: ['zoe'] })
      .thenRefused('agent_not_in_session', /"zoe".*ann, bob, eve/);
  });
  it('are closed by a participant, once', () => {
    const close = (by: string) => ({ type: 'close_thread', by, threadId: 't1', summary: 'done' }) as const;
    given(...TALK)
      .when(close('bob'))
      .then({ type: 'thread_closed', by: 'bob', summary: 'done' });
    given(...TALK)
      .when(close('eve'))
      .thenRefused('not_participating');
    given(...CLOSED)
      .when(close('bob'))
      .thenRefused('thread_closed');
  });
  it('let participants bring others in and out', () => {
    const add = (by: string, name: string) =>
      ({ type: 'add_participant', by, threadId: 't1', name }) as const;
    const remove = (by: string, name: string) =>
      ({ type: 'remove_participant', by, threadId: 't1', name }) as const;
    given(...TALK)
      .when(add('bob', 'eve'))
      .then({ type: 'thread_participant_added', name: 'eve', by: 'bob' });
    given(...TALK)
      .when(add('bob', 'ann'))
      .thenRefused('already_participating', /"ann"/);
    given(...TALK)
      .when(add('eve', 'eve'))
      .thenRefused('not_participating');
    given(...TALK)
      .when(add('ann', 'zoe'))
      .thenRefused('agent_not_in_session');
    given(...TALK)
      .when(remove('bob', 'ann'))
      .then({ type: 'thread_participant_removed', name: 'ann' });
    given(...TALK)
      .when(remove('ann', 'eve'))
      .thenRefused('not_participating', /"eve"/);
    given(...TALK)
      .when(remove('eve', 'ann'))
      .thenRefused('not_participating');
    given(...CLOSED)
      .when(add('ann', 'eve'))
      .thenRefused('thread_closed');
  });
});

describe('messages', () => {
  it('are sent by participants into open threads', () => {
    given(...TALK)
      .when(send('ann', ['bob', 'bob']))
      .then({ type: 'message_sent', sender: 'ann', mentions: ['bob'] });
    given(...TALK)
      .when(send('eve'))
      .thenRefused('not_participating');
    given(...TALK)
      .when(send('ann', [], 'nowhere'))
      .thenRefused('unknown_thread', /nowhere/);
    given(...CLOSED)
      .when(send('ann'))
      .thenRefused('thread_closed');
  });
  it('mention participants, and never oneself', () => {
    given(...TALK)
      .when(send('ann', ['ann']))
      .thenRefused('invalid_mention');
    given(...TALK)
      .when(send('ann', ['eve']))
      .thenRefused('unknown_mention', /does not participate.*bob/);
    given(...TALK)
      .when(send('ann', ['zoe']))
      .thenRefused('unknown_mention', /no agent "zoe"/);
  });
  it('can be sent while a session stops, and not when it has ended or not begun', () => {
    const stopping = [...TALK, { type: 'session_stopping', cause: 'requested' }] as const;
    given(...stopping)
      .when(send('ann'))
      .then({ type: 'message_sent' });
    given(...stopping, { type: 'session_ended', cause: 'requested' })
      .when(send('ann'))
      .thenRefused('session_ended');
    given(opened(plan('ann')))
      .when(send('ann'))
      .thenRefused('agent_not_running');
  });
});

describe('waits', () => {
  const start = { type: 'start_wait', agent: 'bob', waitId: 'w', filters: [] } as const;
  const end = (outcome: 'message' | 'timeout') =>
    ({
      type: 'end_wait',
      agent: 'bob',
      waitId: 'w',
      filters: [],
      outcome,
      ...(outcome === 'message' && { ordinal: 1 }),
    }) as const;
  it('begin only while the session runs', () => {
    given(...TALK)
      .when(start)
      .then({ type: 'wait_started' });
    given(...TALK, { type: 'session_stopping', cause: 'requested' })
      .when(start)
      .thenRefused('session_ended');
  });
  it('record their beginning with their end when they were answered at once', () => {
    given(...TALK)
      .when(end('message'))
      .then({ type: 'wait_started' }, { type: 'wait_ended', ordinal: 1 });
    given(...TALK, { type: 'wait_started', agent: 'bob', waitId: 'w', filters: [] })
      .when(end('message'))
      .then({ type: 'wait_ended' });
    given(...TALK)
      .when(end('timeout'))
      .thenNothing();
  });
});

describe('reading the state', () => {
  it('is a fact only when it hands something over', () => {
    const read = { type: 'read_state', agent: 'bob', upTo: 1 } as const;
    const said = (mentions: string[]) =>
      ({ type: 'message_sent', threadId: 't1', messageId: 'm', sender: 'ann', text: 'x', mentions }) as const;
    given(...TALK, said([]))
      .when(read)
      .then({ type: 'state_read', upTo: 1 });
    given(...TALK, said(['bob']))
      .when(read)
      .thenNothing();
    given(...TALK)
      .when(read)
      .thenNothing();
  });
});
