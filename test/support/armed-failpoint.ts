/**
 * In the place of src/ports/failpoint.ts in the build of test/support/other-build.ts: at the step that is written in
 * the file `failpoint` of the state folder the process dies, and the file is renamed, so that it happens once and can be
 * seen to have happened.
 */
import { readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { JournalEvent } from '../../src/domain/event.ts';
import type { Place } from '../../src/ports/failpoint.ts';

/** Name of the file that arms a step, and what it is called once the step was reached. */
export const ARMED = 'failpoint';
export const REACHED = 'failpoint-reached';

/** A keeper is told its folder, which lies in the state folder; a server is started beside its own. */
function stateFolder(): string {
  const [, , given = ''] = process.argv;
  if (!given.startsWith('{')) return join(process.cwd(), '.coral');
  return dirname((JSON.parse(given) as { folder: string }).folder);
}

const folder = stateFolder();

export function failpoint(place: Place, subject: readonly JournalEvent[] = []): void {
  let armed: string;
  try {
    armed = readFileSync(join(folder, ARMED), 'utf8');
  } catch {
    return;
  }
  if (armed !== place && !subject.some(({ type }) => armed === `${type} ${place}`)) return;
  renameSync(join(folder, ARMED), join(folder, REACHED));
  process.kill(process.pid, 'SIGKILL');
  for (;;); // not one instruction more of the program
}
