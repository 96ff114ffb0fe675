/**
 * What an operator does to a journal file that no server has open: check it, copy it, make it small. A running
 * server has its journal to itself; it copies it (`SqliteJournal.backup`), and the copy can be checked.
 */
import { existsSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { reasonOf } from '../domain/reason.ts';
import { JournalError } from '../ports/journal.ts';
import { copyDatabase } from './backup.ts';
import { JOURNAL_APPLICATION_ID, JOURNAL_FORMAT, openJournalFile } from './sqlite-schema.ts';
import { lossIn, newerVersion } from './sqlite-file.ts';
import { sumOf } from './sqlite-record.ts';
import { damageOfWal } from './sqlite-wal.ts';
import { storageError } from './storage-error.ts';

/** What a check found. */
export interface JournalCheck {
  /** One sentence each; none: the journal is whole. At most 100 of a kind. */
  readonly problems: readonly string[];
  readonly streams: number;
  readonly events: number;
  readonly bytes: number;
}

const PROBLEMS_OF_A_KIND = 100;

/** Left out of the questions to a file of a format that had no sums. */
const WITH_SUMS = 'OR e.sum <> sum_of(e.position, e.stream, e.seq, e.time, e.version, e.body)';

const GAP = 'Records are missing from the stream';

/** How many records there must be, by the highest position and what was dropped, and are not. */
const MISSING = `SELECT (SELECT max(coalesce((SELECT max(position) FROM events), 0),
                         coalesce((SELECT value FROM facts WHERE name = 'highest_position'), 0)))
                       - (SELECT count(*) FROM events) - value
                   FROM facts WHERE name = 'dropped_records'`;

/** Questions about the rows, each answered by what is wrong: `subject` says with what. */
const QUESTIONS: readonly { readonly sql: string; readonly problem: (subject: string) => string }[] = [
  {
    sql: `SELECT s.stream || ' (' || count(e.seq) || ' records, numbered ' || coalesce(min(e.seq), 0) || ' to ' || coalesce(max(e.seq), 0) || ')'
            FROM streams s LEFT JOIN events e ON e.stream = s.ref GROUP BY s.ref
            HAVING count(e.seq) = 0 OR min(e.seq) <> 1 OR max(e.seq) <> count(e.seq)`,
    problem: (subject) => `${GAP} ${subject}.`,
  },
  {
    sql: `SELECT DISTINCT stream FROM events
            WHERE stream NOT IN (SELECT ref FROM streams) AND stream NOT IN (SELECT stream FROM dropped)`,
    problem: (subject) => `There are records of a stream that is not in the catalogue (number ${subject}).`,
  },
  {
    sql: `SELECT e.seq || ' of ' || coalesce(s.stream, 'stream number ' || e.stream)
            FROM events e LEFT JOIN streams s ON s.ref = e.stream
            WHERE CASE WHEN json_valid(e.body) THEN e.body ->> '$.type' IS NOT e.type ELSE 1 END
               ${WITH_SUMS}`,
    problem: (subject) => `Record ${subject} is not what was written.`,
  },
  {
    sql: `SELECT stream FROM streams WHERE NOT json_valid(annotations)`,
    problem: (subject) => `The annotations of the stream ${subject} cannot be read.`,
  },
];

/**
 * Looks at every page and every record without changing anything. Throws JournalError when the file cannot be looked
 * at at all: `unavailable` (also: in use), `newer_version`, or `corrupt` when it is not a journal of Coral.
 */
export function checkJournal(file: string): JournalCheck {
  const loss = damageOfWal(file);
  return withFile(file, (database) => {
    const problems = loss === undefined ? [] : [lossIn({ what: 'journal', file }, loss)];
    /** Damaged pages end a look early; that is a finding too. */
    const look = <T>(work: () => T, otherwise: T): T => {
      try {
        return work();
      } catch (cause) {
        const error = storageError({ what: 'journal', file }, 'read', cause);
        if (error.code !== 'corrupt') throw error;
        const finding = damage(reasonOf(cause));
        if (!problems.includes(finding)) problems.push(finding);
        return otherwise;
      }
    };
    look(() => {
      const pages = database.prepare(`PRAGMA integrity_check(${PROBLEMS_OF_A_KIND})`).pluck().iterate();
      for (const finding of pages as Iterable<string>) if (finding !== 'ok') problems.push(damage(finding));
    }, undefined);
    database.function('sum_of', { deterministic: true }, sumOf as (...numbers: unknown[]) => number);
    const hasSums = (database.pragma('user_version', { simple: true }) as number) > 1;
    for (const { sql: question, problem } of QUESTIONS) {
      const sql = hasSums ? question : question.replace(WITH_SUMS, '');
      look(() => {
        const subjects = database.prepare(`${sql} LIMIT ${PROBLEMS_OF_A_KIND}`).pluck().iterate();
        for (const subject of subjects) problems.push(problem(String(subject)));
      }, undefined);
    }
    const missing = look(() => (database.prepare(MISSING).pluck().get() as number | undefined) ?? 0, 0);
    // Gaps are told stream by stream; what is missing at the end of a stream shows only in their number.
    if (missing > 0 && !problems.some((problem) => problem.startsWith(GAP)))
      problems.push(
        `${missing} of the records that were written are not there, at the end of one stream or several.`,
      );
    const count = (table: string): number =>
      look(() => database.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number, 0);
    return { problems, streams: count('streams'), events: count('events'), bytes: statSync(file).size };
  });
}

function damage(finding: string): string {
  return `SQLite finds damage: ${finding}.`;
}

/**
 * Copies the journal to `target`, which must not exist; the copy appears whole or not at all. Secrets are not in it:
 * they lie in the vault. Rejects with JournalError: `unavailable` when a server has the file (which copies it itself:
 * `SqliteJournal.backup`).
 */
export async function backupJournal(file: string, target: string): Promise<{ readonly bytes: number }> {
  const database = openForReading(file);
  try {
    return await copyDatabase(database, target);
  } finally {
    database.close();
  }
}

/**
 * Gives the space of dropped streams back to the disk. Needs as much free space as the journal has left. Sizes in bytes. Throws JournalError: `unavailable` when the file is in use.
 */
export function compactJournal(file: string): { readonly before: number; readonly after: number } {
  assertThere(file);
  const database = openJournalFile(file, 'full', 0);
  try {
    const before = statSync(file).size;
    database.exec(
      `BEGIN IMMEDIATE;
       UPDATE facts SET value = value + (SELECT count(*) FROM events WHERE stream IN (SELECT stream FROM dropped))
         WHERE name = 'dropped_records';
       DELETE FROM events WHERE stream IN (SELECT stream FROM dropped);
       DELETE FROM dropped;
       COMMIT;
       VACUUM;`,
    );
    database.pragma('wal_checkpoint(TRUNCATE)');
    return { before, after: statSync(file).size };
  } catch (cause) {
    throw storageError({ what: 'journal', file }, 'written', cause);
  } finally {
    database.close();
  }
}

function withFile<T>(file: string, look: (database: Database.Database) => T): T {
  const database = openForReading(file);
  try {
    return look(database);
  } catch (cause) {
    throw storageError({ what: 'journal', file }, 'read', cause);
  } finally {
    database.close();
  }
}

function openForReading(file: string): Database.Database {
  assertThere(file);
  let database: Database.Database | undefined;
  try {
    database = new Database(file, { readonly: true, fileMustExist: true });
    const format = database.pragma('user_version', { simple: true }) as number;
    if (database.pragma('application_id', { simple: true }) !== JOURNAL_APPLICATION_ID) {
      throw new JournalError(
        'corrupt',
        `${file} is not a journal of Coral: name the journal in the state folder.`,
      );
    }
    if (format > JOURNAL_FORMAT) {
      throw newerVersion({ what: 'journal', file }, `format ${format}`, `format ${JOURNAL_FORMAT}`);
    }
    return database;
  } catch (cause) {
    database?.close();
    throw storageError({ what: 'journal', file }, 'opened', cause);
  }
}

function assertThere(file: string): void {
  if (!existsSync(file)) {
    throw new JournalError(
      'unavailable',
      `There is no journal at ${file}: name the journal in the state folder.`,
    );
  }
}
