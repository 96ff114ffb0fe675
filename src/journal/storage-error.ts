/**
 * What went wrong below SQLite, in a sentence that names the file and says what to do. The cause stays attached.
 */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { reasonOf } from '../domain/reason.ts';
import { JournalError } from '../ports/journal.ts';

/** Which file trouble is about: its kind as people call it, and where it lies. */
export interface StorageFile {
  readonly what: 'journal' | 'vault';
  readonly file: string;
}

const FULL = new Set(['SQLITE_FULL', 'ENOSPC', 'EDQUOT']);
const CORRUPT = /^SQLITE_(CORRUPT|NOTADB)/;
const BUSY = /^SQLITE_(BUSY|LOCKED)/;
const FORBIDDEN = /^(SQLITE_(READONLY|CANTOPEN|PERM|AUTH)|EROFS$|EACCES$|EPERM$)/;

/** Turns whatever SQLite or the file system threw while the file was `doing` into a JournalError. */
export function storageError(
  target: StorageFile,
  doing: 'opened' | 'read' | 'written',
  cause: unknown,
): JournalError {
  if (cause instanceof JournalError) return cause;
  const code = codeOf(cause);
  const detail = `${reasonOf(cause)}${code === '' ? '' : `, ${code}`}`;
  const subject = `The ${target.what} ${target.file}`;
  const fail = (kind: JournalError['code'], sentence: string): JournalError =>
    new JournalError(kind, sentence, { cause });
  if (FULL.has(code) || (code.startsWith('SQLITE_IOERR') && isFull(target.file))) {
    return fail(
      'full',
      `${subject} cannot grow because its disk is full: free some space there and it goes on by itself (${detail}).`,
    );
  }
  // A SyntaxError comes from JSON in a column.
  if (CORRUPT.test(code) || cause instanceof SyntaxError) {
    return fail(
      'corrupt',
      `${subject} is damaged or is not a ${target.what} of Coral: move it away or restore a backup (${detail}).`,
    );
  }
  if (BUSY.test(code)) {
    return fail(
      'unavailable',
      `${subject} could not be ${doing} because another program holds it: end that program, or wait until it is done (${detail}).`,
    );
  }
  if (FORBIDDEN.test(code)) {
    return fail(
      'unavailable',
      `${subject} could not be ${doing} because the file, its folder or its disk does not allow it: check owner, permissions and mount (${detail}).`,
    );
  }
  return fail('unavailable', `${subject} could not be ${doing}: ${detail}.`);
}

function codeOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' ? code : '';
}

/** Some calls below SQLite (growing the shared index, say) report a full disk as a plain I/O error. */
function isFull(file: string): boolean {
  try {
    return statfsSync(dirname(file)).bavail === 0;
  } catch {
    return false;
  }
}
