/**
 * The state folder (`.coral/` beside the configuration): the server's memory on this machine. Only its owner can
 * read it. It holds the instance id (on every mark the server leaves in the world), the lock, the API key made when
 * none is configured, and secrets that must be the same after a restart.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lockHolder, takeLock, type Lock, type LockHolder } from './state-lock.ts';

const LOCAL_KEY = 'local-key';

/** Secrets of a server that outlive it. Each is a text of 256 random bits. */
export interface PersistedSecrets {
  readonly webhookSecret: string;
  readonly customToolSecret: string;
  /** Signs the ids of MCP sessions, so that they stay valid over a restart. */
  readonly signingKey: string;
  /** Seals the cookies of browsers, so that they stay logged in over a restart. */
  readonly cookieSecret: string;
  /** An API key for whoever may read this folder: how commands find their way in, whatever keys are configured. */
  readonly localKey: string;
}

/** A state folder whose lock we hold. */
export interface StateFolder {
  /** Absolute. */
  readonly path: string;
  /** One id for the life of the folder. */
  readonly instance: string;
  readonly lock: Lock;
  /** The API key kept here in `file`, made when there is none yet (then `fresh`). */
  apiKey(): { readonly key: string; readonly fresh: boolean; readonly file: string };
  secrets(): PersistedSecrets;
  /** The port a server of this folder last listened on. */
  lastPort(): number | undefined;
  keepPort(port: number): void;
}

/**
 * Makes the folder if need be and takes its lock. Throws LockHeld when another server has it, or an error that
 * says what cannot be written.
 */
export function openStateFolder(path: string, now: number, embedded = false): StateFolder {
  let lock: Lock | undefined;
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
    lock = takeLock(join(path, 'lock'), path, now, embedded);
    // From here on nobody else writes in the folder.
    keep(join(path, '.gitignore'), () => '*');
    return {
      path,
      instance: keep(join(path, 'instance'), () => randomBytes(16).toString('hex')).text,
      lock,
      apiKey: () => {
        const file = join(path, 'key');
        const kept = keep(file, () => randomBytes(24).toString('base64url'));
        return { key: kept.text, fresh: kept.made, file };
      },
      secrets: () => ({
        webhookSecret: secret(path, 'webhook-secret'),
        customToolSecret: secret(path, 'custom-tool-secret'),
        signingKey: secret(path, 'signing-key'),
        cookieSecret: secret(path, 'cookie-secret'),
        localKey: secret(path, LOCAL_KEY),
      }),
      lastPort() {
        const port = Number(readKept(join(path, 'port')));
        return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
      },
      keepPort(port) {
        const file = join(path, 'port');
        if (readKept(file) !== String(port)) write(file, String(port));
      },
    };
  } catch (error) {
    lock?.release();
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new Error(
      `The state folder ${path} cannot be used (${code}): make it writable, or name another with --state-dir.`,
      { cause: error },
    );
  }
}

/** Who serves this state folder now, without touching it; undefined when nobody does. */
export function holderOf(path: string): LockHolder | undefined {
  return lockHolder(join(path, 'lock'));
}

/** The instance id kept in a state folder; undefined before its first server. */
export function readInstance(path: string): string | undefined {
  return readKept(join(path, 'instance'));
}

/** The API key for commands that may read a state folder; undefined before its first server. */
export function readLocalKey(path: string): string | undefined {
  return readKept(join(path, LOCAL_KEY));
}

function secret(path: string, name: string): string {
  return keep(join(path, name), () => randomBytes(32).toString('base64url')).text;
}

/** The text kept in `file`; made, 0600, when there is none (an empty file is what a full disk left: none). */
function keep(file: string, make: () => string): { readonly text: string; readonly made: boolean } {
  const there = readKept(file);
  if (there !== undefined) return { text: there, made: false };
  const text = make();
  write(file, text);
  return { text, made: true };
}

/** The whole text, or what was there before. */
function write(file: string, text: string): void {
  const aside = `${file}.${process.pid}.new`;
  try {
    writeFileSync(aside, `${text}\n`, { mode: 0o600 });
    renameSync(aside, file);
  } finally {
    rmSync(aside, { force: true });
  }
}

function readKept(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8').trim();
    return text === '' ? undefined : text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
