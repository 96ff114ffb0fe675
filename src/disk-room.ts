/**
 * Logs give way before the journal does: of the disk they share, the last part is the journal's. What agents print
 * meanwhile is dropped and counted; the journal goes on, and with it everything that is acknowledged.
 */
import { statfsSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

/** Kept for the journal: this many bytes, or this share of a disk that is small. */
const KEPT_BYTES = 64 * 1024 * 1024;
const KEPT_SHARE = 0.1;
/** Pause between two looks, ms: what is written in between is little beside what is kept. */
const LOOK_EVERY = 100;

/** Returns a question: whether logs may still be written on the disk of `folder`. A disk that cannot be asked may. */
export function roomForLogs(folder: string): () => boolean {
  let lookedAt = -Infinity;
  let hasRoom = true;
  return () => {
    const now = performance.now();
    if (now - lookedAt < LOOK_EVERY) return hasRoom;
    lookedAt = now;
    try {
      const { bavail, blocks, bsize } = statfsSync(folder);
      hasRoom = bavail * bsize >= Math.min(KEPT_BYTES, blocks * bsize * KEPT_SHARE);
    } catch {
      hasRoom = true;
    }
    return hasRoom;
  };
}
