/** The keeper that lives in a folder, for who has not spoken with it: whether there is one, whether it is one of ours, its end. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KEEPER_FILE } from './protocol.ts';
import type { KeeperFile } from './protocol.ts';
import { goTogether, OURS } from './versions.ts';

/** Tells whether exactly the process lives that a keeper's file names. */
export type Look = (keeper: Pick<KeeperFile, 'pid' | 'startTime'>) => boolean;

/** Until a keeper that was told to end is gone, with what it has to end first, ms. */
const ENDING = 15_000;
const ENDING_LOOK = 20;

/** The keeper that the file in its folder names, if that very process lives. */
export function livingKeeper(folder: string, isAlive: Look): KeeperFile | undefined {
  try {
    const keeper = JSON.parse(readFileSync(join(folder, KEEPER_FILE), 'utf8')) as KeeperFile;
    return isAlive(keeper) ? keeper : undefined;
  } catch {
    return undefined;
  }
}

/** Why this program cannot work with a keeper of another version, and what to do; undefined: it can. */
export function strangeness(keeper: KeeperFile): string | undefined {
  if (goTogether(OURS, keeper)) return undefined;
  return (
    `The keeper of agents (pid ${keeper.pid}) is of another version of Coral (it speaks version ${keeper.version} of its protocol, ` +
    `this program ${OURS.version}); its agents run on: start the version of Coral that started it to go on with them, or end them with coral stop --all.`
  );
}

/** Why this program cannot work with the keeper that lives in a folder; undefined: it can, or there is none. */
export function strangerIn(folder: string, isAlive: Look): string | undefined {
  const keeper = livingKeeper(folder, isAlive);
  return keeper && strangeness(keeper);
}

/**
 * Ends a keeper of any version with all its agents, if one lives (a server that needs one again starts another);
 * resolves when it is gone. Rejects when it does not go.
 */
export async function endKeeper(folder: string, isAlive: Look): Promise<void> {
  const keeper = livingKeeper(folder, isAlive);
  if (keeper === undefined) return;
  process.kill(keeper.pid, 'SIGTERM');
  for (let waited = 0; isAlive(keeper); waited += ENDING_LOOK) {
    if (waited > ENDING) {
      throw new Error(`The keeper of agents (pid ${keeper.pid}) does not end; end it by hand.`);
    }
    await new Promise((resolve) => setTimeout(resolve, ENDING_LOOK));
  }
}
