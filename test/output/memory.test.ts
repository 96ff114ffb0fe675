import { describe, expect, it } from 'vitest';
import { openMemoryOutput } from '../../src/output/memory.ts';
import { line, OTHER, outputContract, SESSION } from '../contracts/output.ts';

outputContract('the memory output store', async (maxBytesPerAgent) => {
  const store = openMemoryOutput(maxBytesPerAgent === undefined ? {} : { maxBytesPerAgent });
  return { store, close: () => store.close() };
});

describe('the memory output store is bounded in all', () => {
  it('forgets released sessions first', async () => {
    const store = openMemoryOutput({ maxBytes: 10_000 });
    store.append(SESSION, line('x'.repeat(6_000)));
    store.append(OTHER, line('y'.repeat(3_000)));
    await store.release(SESSION);
    store.append(OTHER, line('y'.repeat(3_000)));
    expect(await store.read(SESSION, 0, 9)).toEqual([]);
    expect(await store.read(OTHER, 0, 9)).toHaveLength(2);
  });
});
