/** Making a container, whatever stands in the way. */
import { EngineRefusal, EngineUnreachable } from './engine.ts';
import type { Engine } from './engine.ts';
import { removeContainer } from './remove.ts';

/** Resolves with its id. What a crash left under the same name is removed; when it rejects, nothing is there. */
export async function createContainer(
  engine: Engine,
  name: string,
  body: Record<string, unknown>,
): Promise<string> {
  const call = { method: 'POST', path: '/containers/create', query: { name }, body } as const;
  try {
    try {
      return (await engine.json<{ Id: string }>(call)).Id;
    } catch (error) {
      if (!(error instanceof EngineRefusal) || !/name .*already in use/i.test(error.reason)) throw error;
      await removeContainer(engine, name);
      return (await engine.json<{ Id: string }>(call)).Id;
    }
  } catch (error) {
    // Without an answer it may have been made all the same.
    if (error instanceof EngineUnreachable) await removeContainer(engine, name).catch(() => undefined);
    throw error;
  }
}
