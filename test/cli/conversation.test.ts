import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import { Conversation, type ConversationOptions } from '../../src/cli/conversation.ts';
import { Outcome } from '../../src/cli/outcome.ts';
import { harmless, oneLine, span, table } from '../../src/cli/text.ts';
import type { WireEvent } from '../../src/domain/wire/event.ts';

const stamp = { seq: 1, timestamp: '2026-01-02T03:04:05.000Z' };
const THREAD = {
  id: 't1',
  name: 'plans',
  creatorName: 'anna',
  participants: ['anna', 'bo'],
  messages: [],
  state: { state: 'open' as const },
  timestamp: stamp.timestamp,
};
const said = (text: string, mentionNames: string[] = []): WireEvent => ({
  type: 'thread_message_sent',
  message: { id: 'm', threadId: 't1', text, senderName: 'anna', mentionNames, timestamp: stamp.timestamp },
  ...stamp,
});
const ended = (name: string, reason: 'completed' | 'failed' | 'stopped', more = {}): WireEvent => ({
  type: 'runtime_stopped',
  name,
  exit: { reason, detail: '', time: stamp.timestamp, restarts: 0, ...more },
  ...stamp,
});

/** What is shown of these events, without the time. */
function shown(events: readonly WireEvent[], options: Partial<ConversationOptions> = {}): string[] {
  const conversation = new Conversation({ colors: pc.createColors(false), ...options });
  conversation.expect(['anna', 'bo']);
  return events.flatMap((event) => conversation.lines(event)).map((line) => line.slice(10));
}

describe('a conversation', () => {
  it('is one line for each thread, message and exit', () => {
    const lines = shown([
      {
        type: 'session_opened',
        namespace: 'n',
        sessionId: 's',
        annotations: {},
        agents: ['anna', 'bo'],
        ...stamp,
      },
      { type: 'runtime_started', name: 'anna', ...stamp },
      { type: 'thread_created', thread: THREAD, ...stamp },
      said('Shall we?\nI think so.', ['bo']),
      { type: 'thread_closed', threadId: 't1', summary: 'We shall.', by: 'bo', ...stamp },
      ended('anna', 'completed'),
      ended('bo', 'failed', { exitCode: 3, detail: 'It exited with 3.', lastLines: ['oh no'] }),
    ]);
    expect(lines).toEqual([
      'anna  opened #plans with bo',
      'anna  #plans @bo Shall we? I think so.',
      'bo    closed #plans We shall.',
      'anna  ✓ completed',
      'bo    ✗ failed (exit code 3): It exited with 3.',
      '      | oh no',
    ]);
  });

  it('leaves blocks for machines out of its lines', () => {
    expect(shown([said('Here:\n```json\n{"a": 1}\n```\nDone.')])).toEqual(['anna  #t1 Here: {…} Done.']);
  });

  it('shows messages whole when asked', () => {
    expect(shown([said('one\n  two')], { full: true })).toEqual(['anna  #t1 one', '        two']);
  });

  it('fits the terminal, colours aside', () => {
    const colors = pc.createColors(true);
    const [line = ''] = new Conversation({ colors, width: 40 }).lines(said('x'.repeat(100)));
    expect(line.replace(/\u001b\[\d+m/g, '')).toHaveLength(40);
    expect(line).toContain('…');
  });

  it('cuts long messages where no terminal says how wide it is', () => {
    const [line = ''] = shown([said('word '.repeat(100))]);
    expect(line.length).toBeLessThan(230);
    expect(line).toMatch(/…$/);
  });

  it('obeys nothing that an agent says', () => {
    const [line = ''] = shown([said('\u001b[2J\u0007red\u202eder\r')]);
    expect(line).toBe('anna  #t1 [2Jredder');
  });
});

describe('the outcome of a session', () => {
  const of = (...events: readonly WireEvent[]): Outcome => {
    const outcome = new Outcome();
    for (const event of events) outcome.take(event);
    return outcome;
  };
  const end = (cause: 'agents_exited' | 'agent_request' | 'ttl' | 'requested'): WireEvent => ({
    type: 'session_ended',
    cause,
    ...stamp,
  });

  it.each([
    [0, 'every agent completed', of(ended('a', 'completed'), ended('b', 'completed'), end('agents_exited'))],
    [1, 'one failed', of(ended('a', 'completed'), ended('b', 'failed'), end('agents_exited'))],
    [
      0,
      'one failed and completed when it was started again',
      of(ended('a', 'failed'), ended('a', 'completed'), end('agents_exited')),
    ],
    [0, 'an agent closed the session', of(ended('a', 'stopped'), end('agent_request'))],
    [124, 'the ttl was up', of(ended('a', 'stopped'), end('ttl'))],
    [1, 'somebody stopped it', of(ended('a', 'stopped'), end('requested'))],
    [1, 'nobody saw the end', of(ended('a', 'completed'))],
  ])('means exit code %i when %s', (code, _when, outcome) => {
    expect(outcome.exitCode()).toBe(code);
  });

  it('keeps the result, also when that is null', () => {
    const stopping = { type: 'session_stopping', cause: 'agent_request', by: 'a', ...stamp } as const;
    expect(of(stopping).hasResult).toBe(false);
    expect(of({ ...stopping, result: null }).hasResult).toBe(true);
    expect(of({ ...stopping, result: { n: 1 } }).facts()).toMatchObject({ result: { n: 1 } });
  });
});

describe('pieces of text', () => {
  it('are cut by whole characters', () => {
    expect(oneLine('😀😀😀😀', 3)).toBe('😀😀…');
    expect(oneLine(' a \n\t b ')).toBe('a b');
  });

  it('keep new lines and tabs and lose what moves the cursor', () => {
    expect(harmless('a\tb\nc\u001b[1A\u009b2J')).toBe('a\tb\nc[1A2J');
  });

  it('stand in columns; those without content are left out', () => {
    expect(table(['a', 'b', 'c'], [['1', '', 'x'], ['22', '', 'y']])).toEqual(['A   C', '1   x', '22  y']); // prettier-ignore
  });

  it.each([
    [400, '0s'],
    [99_000, '99s'],
    [600_000, '10m'],
    [7_200_000, '2h'],
    [864_000_000, '10d'],
  ])('say %i ms as %s', (ms, text) => {
    expect(span(ms)).toBe(text);
  });
});
