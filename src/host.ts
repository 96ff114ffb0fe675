/** The one place where time, ids and randomness come from (`ports/host.ts`). */
import { randomFillSync } from 'node:crypto';
import { V7Generator } from 'uuidv7';
import { anchoredClock } from './clock.ts';
import type { Host } from './ports/host.ts';

/** The longest delay `setTimeout` takes, ms; above it Node fires at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Unsigned 32-bit integers from the system's generator, which is asked for many at once. */
function bufferedRandom(): () => number {
  const buffer = new Uint32Array(256);
  let next = buffer.length;
  return () => {
    if (next === buffer.length) {
      randomFillSync(buffer);
      next = 0;
    }
    return buffer[next++] ?? 0;
  };
}

/** Random bytes from the system's generator, which is asked for those of many secrets at once. */
function bufferedSecrets(bytes: number): () => string {
  const buffer = Buffer.alloc(bytes * 64);
  let next = buffer.length;
  return () => {
    if (next === buffer.length) {
      randomFillSync(buffer);
      next = 0;
    }
    const secret = buffer.toString('base64url', next, (next += bytes));
    buffer.fill(0, next - bytes, next);
    return secret;
  };
}

/** A host on the real clock. Its alarms keep the process alive until they fire or are cancelled. */
export function createHost(): Host {
  const now = anchoredClock();
  const ids = new V7Generator({ nextUint32: bufferedRandom() });
  const secret = bufferedSecrets(24);

  return {
    now,
    uuid: () => ids.generateOrResetCore(now(), 10_000).toString(),
    secret,
    random: () => Math.random(),
    at(time, wake) {
      let timer: NodeJS.Timeout;
      const arm = (): void => {
        const delay = Math.min(Math.max(0, time - now()), LONGEST_TIMEOUT);
        timer = setTimeout(look, delay);
      };
      // Timers may fire up to a millisecond early, and far ones are armed in steps: so look before waking.
      const look = (): void => {
        if (now() < time) arm();
        else wake();
      };
      arm();
      return () => clearTimeout(timer);
    },
  };
}
