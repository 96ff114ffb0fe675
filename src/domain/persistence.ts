/** How long an ended session is held before it closes. Source: docs/wire.md, "Life of a session". */
import type { PersistenceMode } from './wire/request.ts';

/** When a session that ended at `endedAt` closes; undefined: at once. All wall-clock ms. */
export function heldUntil(mode: PersistenceMode, createdAt: number, endedAt: number): number | undefined {
  switch (mode.mode) {
    case 'none':
      return undefined;
    case 'minimum_time': {
      const until = createdAt + mode.time;
      return until > endedAt ? until : undefined;
    }
    case 'hold_after_exit':
      return mode.duration > 0 ? endedAt + mode.duration : undefined;
  }
}
