import { describe, expect, it } from 'vitest';
import { barrierPeers } from '../../src/domain/barrier.ts';
import { opened, plan, sessionOf } from '../support/story.ts';

describe('blocking agents', () => {
  const link = (name: string, blocking: boolean, ...links: string[]) => plan(name, { blocking, links });
  const state = sessionOf(
    opened(
      link('a', true, 'b'),
      link('b', true, 'a', 'c'),
      link('c', true, 'b', 'free'),
      link('free', false, 'c', 'far'),
      link('far', true, 'free'),
    ),
  );
  it('wait for every blocking agent they reach through blocking agents', () => {
    expect([...barrierPeers(state, 'a')].toSorted()).toEqual(['b', 'c']);
    expect([...barrierPeers(state, 'far')]).toEqual([]);
  });
  it('are the only ones that wait', () => {
    expect([...barrierPeers(state, 'free')]).toEqual([]);
  });
});
