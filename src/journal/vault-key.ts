/**
 * The key that seals secrets: 32 random bytes in a file of its own, for its owner alone. Whoever has only the
 * database, or a backup of it, has nothing.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { reasonOf } from '../domain/reason.ts';
import { JournalError } from '../ports/journal.ts';

const KEY_BYTES = 32;
const LINE = /^coral-vault-key-1 ([0-9A-Za-z+/]{43}=)\s*$/;

/** The key in `file`, or undefined when there is no such file. Throws JournalError `unavailable` when it is unfit. */
export function readKey(file: string): Buffer | undefined {
  let text: string;
  let mode: number;
  try {
    mode = statSync(file).mode & 0o777;
    text = readFileSync(file, 'latin1');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw unfit(`The key file ${file} cannot be read: ${reasonOf(cause)}.`, cause);
  }
  if ((mode & 0o077) !== 0) {
    throw unfit(
      `The key file ${file} is open to others (mode ${mode.toString(8)}): close it with "chmod 600 ${file}", and replace the secrets if somebody may have read it.`,
    );
  }
  const match = LINE.exec(text);
  if (match === null) {
    throw unfit(
      `The key file ${file} does not hold a key of Coral: restore it, or remove it to have a new one made.`,
    );
  }
  return Buffer.from(match[1]!, 'base64');
}

/**
 * Makes a key in `file`. The file appears whole or not at all, and one that is there is never replaced. Throws
 * JournalError `unavailable`.
 */
export function makeKey(file: string): Buffer {
  const key = randomBytes(KEY_BYTES);
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const descriptor = openSync(draft, 'wx', 0o600);
    try {
      writeSync(descriptor, `coral-vault-key-1 ${key.toString('base64')}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    linkSync(draft, file);
    return key;
  } catch (cause) {
    throw unfit(`The key file ${file} cannot be made: ${reasonOf(cause)}.`, cause);
  } finally {
    rmSync(draft, { force: true });
  }
}

function unfit(message: string, cause?: unknown): JournalError {
  return new JournalError('unavailable', message, { cause });
}
