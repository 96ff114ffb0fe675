/** Commands without a common concern do not change what each other comes to. */
import { describe, expect, it } from 'vitest';
import type { Command } from '../../src/domain/command.ts';
import { concerns } from '../../src/domain/concerns.ts';
import { decide } from '../../src/domain/decide.ts';
import { Refusal } from '../../src/domain/refusal.ts';
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

const again = { mode: 'always', maxRetries: 5, delay: 0, maxDelay: 0, stableAfter: 60_000 } as const;

/** Ann and bob run and talk, cem is being launched, dee waits for her launch, eve stops, fay has ended. */
const STORY = [
  opened(...['ann', 'bob', 'cem', 'dee', 'eve', 'fay'].map((name) => plan(name, { restart: { ...plan(name).restart, ...again } }))),
  executed,
  ...['ann', 'bob', 'eve', 'fay'].flatMap((name) => [launching(name), started(name)]),
  launching('cem'),
  { type: 'agent_stopping', agent: 'eve', attempt: 1, cause: 'requested' },
  exited('fay', 1, at(12)),
  thread('t1', 'ann', 'ann', 'bob', 'cem'),
  thread('t2', 'bob', 'bob', 'ann'),
  said('t1', 'm1', 'ann', 'hello', 'bob'),
  { type: 'message_sent', threadId: 't2', messageId: 'm2', sender: 'bob', text: 'yes', mentions: [], key: 'k' },
  { type: 'wait_started', agent: 'bob', waitId: 'w1', filters: [] },
] as const; // prettier-ignore

const agents = ['ann', 'bob', 'cem', 'dee', 'eve', 'fay'] as const;
const threads = ['t1', 't2', 't3'] as const;

const OF_AGENTS: readonly Command[] = agents.flatMap((agent): Command[] => [
  { type: 'begin_launch', agent, attempt: 1, secretDigest: 'beef', port: 1 },
  { type: 'report_started', agent, attempt: 1, handle: { runtime: 'scripted', id: 'h' } },
  { type: 'report_exit', agent, attempt: 1, ending: { kind: 'exited', exitCode: 1, detail: 'x' }, jitter: 0 },
  { type: 'report_observed', agent, attempt: 1, seen: false },
  { type: 'report_container', agent, attempt: 1, fact: 'docker_container_created', containerId: 'c' },
  { type: 'stop_agent', agent, cause: 'requested' },
  { type: 'connect', agent },
  { type: 'disconnect', agent },
  { type: 'start_wait', agent, waitId: `new-${agent}`, filters: [] },
  { type: 'end_wait', agent, waitId: 'w1', filters: [], outcome: 'message', ordinal: 1 },
]);
const OF_THREADS: readonly Command[] = threads.flatMap((threadId) =>
  agents.slice(0, 3).flatMap((by): Command[] => [
    { type: 'create_thread', by, threadId, name: 'n', participants: ['dee'] },
    { type: 'close_thread', by, threadId, summary: 's' },
    { type: 'add_participant', by, threadId, name: 'dee' },
    { type: 'remove_participant', by, threadId, name: 'bob' },
    { type: 'send_message', by, threadId, messageId: 'm3', text: 'yes', mentions: ['ann'] },
    { type: 'send_message', by, threadId, messageId: 'm4', text: 'yes', mentions: [], key: 'k' },
  ]),
);
const COMMANDS = [...OF_AGENTS, ...OF_THREADS];

describe('commands that concern different things', () => {
  it('come to the same whichever was first', () => {
    const alone = new Map(COMMANDS.map((command) => [command, decide(sessionOf(...STORY), command, at(99))]));
    let pairs = 0;
    for (const [first, facts] of alone) {
      if (facts instanceof Refusal) continue;
      const after = sessionOf(...STORY, ...facts);
      for (const second of COMMANDS) {
        if (concerns(second)?.some((it) => concerns(first)?.includes(it))) continue;
        pairs += 1;
        expect(decide(after, second, at(99)), `${first.type}, then ${second.type}`).toEqual(
          alone.get(second),
        );
      }
    }
    expect(pairs).toBeGreaterThan(1_000);
  });

  it('are never those that look at the whole session', () => {
    for (const command of [
      { type: 'look' },
      { type: 'stop_session', cause: 'requested' },
      { type: 'dismiss_agent', agent: 'ann' },
      { type: 'read_state', agent: 'ann', upTo: 1 },
    ] as const)
      expect(concerns(command)).toBeUndefined();
  });
});
