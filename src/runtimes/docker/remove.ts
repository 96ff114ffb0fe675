/** Removing containers, with their volumes and whatever they are doing, and networks. */
import { isRefusal } from './engine.ts';
import type { Engine } from './engine.ts';

/** Another removal under way is looked at this often, ms, so many times. */
const LOOK = 100;
const LOOKS = 100;

/** Resolves when it is gone, or was; rejects when the engine cannot be reached, or will not. */
export async function removeContainer(engine: Engine, id: string): Promise<void> {
  try {
    await engine.text({
      method: 'DELETE',
      path: `/containers/${encodeURIComponent(id)}`,
      query: { v: 1, force: 1 },
    });
  } catch (error) {
    if (isRefusal(error, 404)) return;
    // "Removal is already in progress", which Podman says with 500.
    if (!isRefusal(error, 409, 500)) throw error;
    for (let look = 0; look < LOOKS; look += 1) {
      if (!(await exists(engine, id))) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
    throw error;
  }
}

async function exists(engine: Engine, id: string): Promise<boolean> {
  try {
    await engine.text({ path: `/containers/${encodeURIComponent(id)}/json` });
    return true;
  } catch (error) {
    if (isRefusal(error, 404)) return false;
    throw error;
  }
}

/** Resolves when it is gone, or was. A container that is being removed still holds it for a moment. */
export async function removeNetwork(engine: Engine, id: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await engine.text({ method: 'DELETE', path: `/networks/${id}` });
      return;
    } catch (error) {
      if (isRefusal(error, 404)) return;
      if (!isRefusal(error) || tries === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
