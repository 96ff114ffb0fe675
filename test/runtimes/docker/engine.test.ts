/** What a call to an engine costs us; the engine is a plain HTTP server. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import util from 'node:util';
import { expect, it, vi } from 'vitest';
import { Engine } from '../../../src/runtimes/docker/engine.ts';

it('a call costs the same however many streams are open', async () => {
  const server = createServer((_, response) => void response.write('a line'));
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const engine = new Engine({ endpoint: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const words = vi.spyOn(util, 'inspect');
  /** Characters into which one call was put. */
  const called = async (): Promise<number> => {
    words.mockClear();
    await engine.stream({ path: '/logs' });
    return Math.max(...words.mock.results.map(({ value }) => String(value).length));
  };
  try {
    const first = await called();
    for (let open = 1; open < 20; open += 1) await engine.stream({ path: '/logs' });
    expect(await called()).toBe(first);
  } finally {
    words.mockRestore();
    engine.close();
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});
