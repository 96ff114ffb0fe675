/**
 * The lock of a state folder: a file that says which process holds it. One server per state folder.
 *
 * L1 A lock file is never half written: its text is complete before its name exists (written aside, then linked).
 * L2 Only its holder, or whoever proved that the holder is dead *while being the only one to act on that proof*,
 *    replaces it. The right to act on a dead holder's lock is itself a lock, named after that lock's exact text, so
 *    that a right won late belongs to a lock that is no longer there.
 * L3 A holder that was killed leaves its file; nobody has to clean up by hand.
 */
import { createHash, randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isAlive, ownIdentity, type ProcessIdentity } from './process-identity.ts';

/** Who holds a lock, as its file says. */
export interface LockHolder extends ProcessIdentity {
  /** Base URL of its server; absent until it listens. */
  readonly url?: string;
  /** When it took the lock, ISO-8601 UTC. */
  readonly since: string;
  /** It is a `coral run` (or another command) that serves itself and ends with it. */
  readonly embedded?: boolean;
}

/** A lock that we hold. */
export interface Lock {
  /** Tells others where the server listens. */
  announce(url: string): void;
  /** Gives the lock back. Doing it twice does nothing. */
  release(): void;
}

/** Somebody else holds the lock. */
export class LockHeld extends Error {
  constructor(
    readonly holder: LockHolder,
    folder: string,
  ) {
    const where = holder.url === undefined ? 'and is still starting' : `and listens on ${holder.url}`;
    super(
      `The state folder ${folder} is in use by process ${holder.pid} since ${holder.since} ${where}: ` +
        'use that server, stop it first, or name another folder with --state-dir.',
    );
    this.name = 'LockHeld';
  }
}

/**
 * Takes the lock file `path`, taking over one whose holder is dead. Throws LockHeld when the holder lives, and the
 * file system's error when the folder cannot be written.
 */
export function takeLock(path: string, folder: string, now: number, embedded: boolean): Lock {
  let mine: LockHolder = {
    ...ownIdentity(),
    since: new Date(now).toISOString(),
    ...(embedded ? { embedded: true } : {}),
  };
  let text = take(path, mine, folder);
  return {
    announce(url) {
      mine = { ...mine, url };
      const next = textOf(mine);
      const aside = writeAside(path, next);
      renameSync(aside, path);
      text = next;
    },
    release() {
      if (readLock(path)?.text === text) rmSync(path, { force: true });
    },
  };
}

/** Who holds the lock `path` and lives; undefined when nobody does. */
export function lockHolder(path: string): LockHolder | undefined {
  const found = readLock(path);
  return found?.holder !== undefined && isAlive(found.holder) ? found.holder : undefined;
}

/** Takes `path` for `mine` and returns the text it wrote there. */
function take(path: string, mine: LockHolder, folder: string): string {
  const text = textOf(mine);
  const aside = writeAside(path, text);
  try {
    for (;;) {
      try {
        linkSync(aside, path);
        return text;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const found = readLock(path);
      if (found === undefined) continue; // given back in this moment
      if (found.holder !== undefined && isAlive(found.holder)) throw new LockHeld(found.holder, folder);
      // L2: the holder is dead, or the text is nobody's.
      const right = `${path}.${createHash('sha256').update(found.text).digest('hex').slice(0, 16)}`;
      const rightText = take(right, mine, folder);
      try {
        if (readLock(path)?.text !== found.text) continue;
        renameSync(aside, path);
        return text;
      } finally {
        if (readLock(right)?.text === rightText) rmSync(right, { force: true });
      }
    }
  } finally {
    rmSync(aside, { force: true });
  }
}

function textOf(holder: LockHolder): string {
  // The nonce makes every text unlike any other, also of one process.
  return `${JSON.stringify({ ...holder, nonce: randomBytes(8).toString('hex') })}\n`;
}

function writeAside(path: string, text: string): string {
  const aside = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  writeFileSync(aside, text, { flag: 'wx', mode: 0o600 });
  return aside;
}

function readLock(path: string): { text: string; holder?: LockHolder } | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const holder = JSON.parse(text) as LockHolder;
    if (typeof holder.pid === 'number' && typeof holder.startTime === 'string') return { text, holder };
  } catch {
    // Not a lock's text: nobody holds it.
  }
  return { text };
}
