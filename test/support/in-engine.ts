/** What a server has in an engine. */
import type { Engine } from '../../src/runtimes/docker/engine.ts';
import { LABEL } from '../../src/runtimes/docker/spec.ts';

/** What bears an instance's label in the engine, in words. */
export async function inEngine(engine: Engine, instance: string): Promise<string[]> {
  const filters = JSON.stringify({ label: [`${LABEL.instance}=${instance}`] });
  const containers = await engine.json<{ Names: string[] }[]>({
    path: '/containers/json',
    query: { all: 1, filters },
  });
  const networks = await engine.json<{ Name: string }[]>({ path: '/networks', query: { filters } });
  return [
    ...containers.map(({ Names }) => `container ${Names.join(' ')}`),
    ...networks.map(({ Name }) => `network ${Name}`),
  ];
}
