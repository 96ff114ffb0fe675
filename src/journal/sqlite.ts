/**
 * The embedded journal: one SQLite file in WAL mode, one connection that has it to itself.
 *
 * Invariants
 * - **J1** An append is acknowledged only after the COMMIT that holds it returned.
 * - **J2** What is remembered between commits (last seqs, next position) is what the tables say. After a commit
 *   failed, all of it is forgotten and read again: so the journal recovers by itself when the disk does.
 * - **J3** Between two turns of the event loop the connection is in no transaction, whatever failed.
 * - **J4** A position is never given twice, even when the newest records were dropped.
 *
 * Appends made in one turn of the event loop are committed together right after it: as soon as a connection's
 * data was read and handled, every other connection that had data ready has been handled too. A lone append waits
 * for nothing else.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import { EVENT_VERSION } from '../domain/event.ts';
import { failpoint } from '../ports/failpoint.ts';
import { JournalError } from '../ports/journal.ts';
import type { Append, Journal, JournalRecord, StreamPage, StreamQuery } from '../ports/journal.ts';
import { copyDatabase } from './backup.ts';
import { conflict, headerMissing, journalClosed, stillOpen } from './refusals.ts';
import { listStreams } from './sqlite-catalogue.ts';
import type { SyncMode } from './sqlite-file.ts';
import { recordIn, recordsIn, sumOf } from './sqlite-record.ts';
import type { EventRow, StreamRowValues } from './sqlite-record.ts';
import { areMilestones, openJournalFile } from './sqlite-schema.ts';
import { prepareStatements } from './sqlite-statements.ts';
import type { Statements, StreamRow } from './sqlite-statements.ts';
import { storageError } from './storage-error.ts';

/** How a journal file is opened. */
export interface SqliteJournalOptions {
  /** Path of the database file; made, with its folder, when it is not there. */
  readonly file: string;
  /** `normal`: durable against the death of the process; `full`: also against power failure. */
  readonly sync: SyncMode;
  /** Wall-clock ms. */
  readonly now: () => number;
  /** Told after every commit, once its appends are acknowledged. */
  readonly onCommit?: (commit: Commit) => void;
  /** How long opening waits for another program that holds the file, ms (default 500). */
  readonly busyTimeoutMs?: number;
  /** Hears, in a sentence, of records that are lost without a trace in the file. */
  readonly warn?: (sentence: string) => void;
}

/** What one commit held. */
export interface Commit {
  readonly appends: number;
  readonly events: number;
  /** How long the transaction took, ms with fractions: the event loop stood still that long. */
  readonly ms: number;
}

/** Counters since this journal was opened. */
export interface JournalStats {
  readonly commits: number;
  readonly events: number;
  readonly lastCommitMs: number;
}

/** The journal in one SQLite file. Its commits hold the appends of one turn of the event loop. */
export interface SqliteJournal extends Journal {
  /** Counts since the journal was opened. */
  stats(): JournalStats;
  /**
   * Copies the journal as it is at one moment to `target`, which must not exist: whole or not at all, a portion a
   * turn while appends go on. Secrets are not in it: they lie in the vault. Rejects with JournalError.
   */
  backup(target: string): Promise<{ readonly bytes: number }>;
}

interface Pending {
  readonly append: Append;
  readonly bodies: readonly string[];
  readonly resolve: (records: readonly JournalRecord[]) => void;
  readonly reject: (error: unknown) => void;
}

/** An open stream as of the last commit. */
interface Known {
  readonly ref: number;
  lastSeq: number;
}

const DEFAULT_BUSY_TIMEOUT_MS = 500;
/** Records deleted in one transaction when a stream is dropped: some milliseconds. */
const DROP_RECORDS = 1000;

class OpenedJournal implements SqliteJournal {
  readonly #file: string;
  readonly #now: () => number;
  readonly #onCommit: ((commit: Commit) => void) | undefined;
  readonly #database: Database.Database;
  readonly #statements: Statements;
  readonly #known = new Map<string, Known>();
  /** The last position given; undefined: ask the tables (J2). */
  #position: number | undefined;
  #pending: Pending[] = [];
  #stats = { commits: 0, events: 0, lastCommitMs: 0 };
  #closed = false;
  readonly #flush = (): void => this.#commitPending();

  constructor(options: SqliteJournalOptions) {
    this.#file = options.file;
    this.#now = options.now;
    this.#onCommit = options.onCommit;
    this.#database = openJournalFile(
      options.file,
      options.sync,
      options.busyTimeoutMs ?? DEFAULT_BUSY_TIMEOUT_MS,
      options.warn,
    );
    try {
      this.#statements = prepareStatements(this.#database);
      // A drop that a crash or a close cut short goes on; nobody waits for it.
      if (this.#statements.dropped.all().length > 0) void this.#deleteDropped().catch(() => {});
    } catch (cause) {
      this.#database.close();
      throw this.#error('opened', cause);
    }
  }

  append(append: Append): Promise<readonly JournalRecord[]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw journalClosed(this.#file);
      const bodies = append.events.map((event) => JSON.stringify(event));
      failpoint('decided', append.events);
      if (this.#pending.push({ append, bodies, resolve, reject }) === 1) setImmediate(this.#flush);
    });
  }

  async read(stream: string, after: number, limit: number): Promise<readonly JournalRecord[]> {
    return this.#reading(() => {
      const ref = this.#known.get(stream)?.ref ?? (this.#statements.refOf.get(stream) as number | undefined);
      if (ref === undefined) return [];
      const rows = this.#statements.read.all(ref, after, Math.max(0, limit)) as StreamRowValues[];
      return recordsIn({ name: stream, ref }, rows, after, this.#file);
    });
  }

  async readTypes(types: readonly string[], after: number, limit: number): Promise<readonly JournalRecord[]> {
    return this.#reading(() => {
      const statement = areMilestones(types) ? this.#statements.readMilestones : this.#statements.readTypes;
      for (let behind = after; ;) {
        const rows = statement.all(JSON.stringify(types), behind, Math.max(0, limit)) as EventRow[];
        const records = rows.flatMap((row) => recordIn(row) ?? []);
        const last = rows[rows.length - 1];
        // None means that there are none yet: a page of nothing but damaged ones is gone over.
        if (last === undefined || records.length > 0) return records;
        behind = last.position;
      }
    });
  }

  async lastPosition(): Promise<number> {
    return this.#reading(() => this.#statements.lastPosition.get() as number);
  }

  async streams(query: StreamQuery): Promise<StreamPage> {
    return this.#reading(() => listStreams(this.#database, query));
  }

  async drop(stream: string): Promise<void> {
    this.#assertOpen();
    this.#commitPending();
    const found = this.#writing(() => {
      const row = this.#statements.stream.get(stream) as StreamRow | undefined;
      if (row === undefined) return false;
      if (row.closed_at === null) throw stillOpen(stream);
      const { ref } = row;
      this.#statements.keepHighestPosition.run();
      this.#statements.dropAnnotations.run(ref);
      this.#statements.dropStream.run(ref);
      this.#statements.rememberDropped.run(ref);
      return true;
    });
    if (found) await this.#deleteDropped();
  }

  async probe(): Promise<void> {
    this.#assertOpen();
    this.#writing(() => this.#statements.probe.run(Math.round(this.#now())));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#commitPending();
    this.#closed = true;
    this.#database.close();
  }

  stats(): JournalStats {
    return { ...this.#stats };
  }

  async backup(target: string): Promise<{ readonly bytes: number }> {
    this.#assertOpen();
    return copyDatabase(this.#database, target);
  }

  #commitPending(): void {
    const batch = this.#pending;
    if (batch.length === 0) return;
    this.#pending = [];
    const failure = this.#commit(batch);
    if (failure === undefined) return;
    // A disk that has no room for all may have room for some, and what is wrong may be wrong with one of them.
    // A disk that takes nothing is asked once.
    const onesOwn = batch.length > 1 && failure.code !== 'unavailable';
    for (const pending of batch) {
      const error = onesOwn ? this.#commit([pending]) : failure;
      if (error !== undefined) pending.reject(error);
    }
  }

  /** Commits the appends and settles each (J1); when the transaction fails, settles none and returns why. */
  #commit(batch: readonly Pending[]): JournalError | undefined {
    const started = performance.now();
    const outcomes: (readonly JournalRecord[] | JournalError)[] = [];
    const { begin, commit } = this.#statements;
    try {
      begin.run();
      for (const pending of batch) outcomes.push(this.#write(pending));
      commit.run();
    } catch (cause) {
      this.#rollBack();
      return this.#error('written', cause);
    }
    let events = 0;
    for (const [at, outcome] of outcomes.entries()) {
      const { resolve, reject } = batch[at]!;
      if (outcome instanceof JournalError) reject(outcome);
      else {
        failpoint('durable', batch[at]!.append.events);
        events += outcome.length;
        resolve(outcome);
      }
    }
    const ms = performance.now() - started;
    this.#stats.commits++;
    this.#stats.events += events;
    this.#stats.lastCommitMs = ms;
    this.#onCommit?.({ appends: batch.length, events, ms });
    return undefined;
  }

  /** Inside a transaction. Returns why this append alone is turned away, before anything of it was written. */
  #write({ append, bodies }: Pending): readonly JournalRecord[] | JournalError {
    const { stream, time, events } = append;
    let known = this.#known.get(stream) ?? this.#lookUp(stream);
    const lastSeq = known?.lastSeq ?? 0;
    if (append.expectedSeq !== lastSeq) return conflict(append, lastSeq);
    if (known === undefined) {
      if (events.length === 0) return [];
      if (append.header === undefined) return headerMissing(append);
      known = this.#openStream(append, append.header);
    }
    const { insertEvent } = this.#statements;
    const { ref } = known;
    let position = (this.#position ??= this.#statements.highestPosition.get() as number);
    const records: JournalRecord[] = [];
    for (let at = 0; at < events.length; at++) {
      const event = events[at]!;
      const seq = lastSeq + at + 1;
      position++;
      const body = bodies[at]!;
      const sum = sumOf(position, ref, seq, time, EVENT_VERSION, body);
      insertEvent.run(position, ref, seq, time, event.type, EVENT_VERSION, body, sum);
      records.push({ stream, seq, position, time, event });
    }
    this.#position = position;
    known.lastSeq = lastSeq + events.length;
    if (append.closes === true) {
      this.#statements.closeStream.run(time, ref);
      this.#known.delete(stream);
    }
    return records;
  }

  #openStream(append: Append, header: NonNullable<Append['header']>): Known {
    const { stream, time } = append;
    const { kind, id, namespace, annotations } = header;
    const { insertStream, insertAnnotation } = this.#statements;
    const row = insertStream.run(stream, kind, id, namespace, JSON.stringify(annotations), time);
    const ref = Number(row.lastInsertRowid);
    for (const [key, value] of Object.entries(annotations)) insertAnnotation.run(key, value, time, ref);
    const known = { ref, lastSeq: 0 };
    this.#known.set(stream, known);
    return known;
  }

  /** From the tables. Closed streams are not remembered: there is no end to them, and hardly anybody adds to one. */
  #lookUp(stream: string): Known | undefined {
    const row = this.#statements.stream.get(stream) as StreamRow | undefined;
    if (row === undefined) return undefined;
    const known = { ref: row.ref, lastSeq: row.last_seq };
    if (row.closed_at === null) this.#known.set(stream, known);
    return known;
  }

  /** Deletes the records of dropped streams, a portion at a time so that the event loop breathes. */
  async #deleteDropped(): Promise<void> {
    for (;;) {
      await nextTurn();
      if (this.#closed) return; // goes on when the journal is opened again
      const done = this.#writing(() => {
        const ref = this.#statements.dropped.get() as number | undefined;
        if (ref === undefined) return true;
        const { changes } = this.#statements.deleteSome.run(ref, DROP_RECORDS);
        this.#statements.countDropped.run(changes);
        if (changes < DROP_RECORDS) this.#statements.forgetDropped.run(ref);
        return false;
      });
      if (done) return;
    }
  }

  #reading<T>(work: () => T): T {
    this.#assertOpen();
    try {
      return work();
    } catch (cause) {
      throw this.#error('read', cause);
    }
  }

  /** Runs `work` in a transaction of its own. */
  #writing<T>(work: () => T): T {
    try {
      this.#statements.begin.run();
      const result = work();
      this.#statements.commit.run();
      return result;
    } catch (cause) {
      this.#rollBack();
      throw this.#error('written', cause);
    }
  }

  /** Ends a failed transaction (J3), which SQLite may have ended itself, and forgets what it built on (J2). */
  #rollBack(): void {
    this.#known.clear();
    this.#position = undefined;
    try {
      if (this.#database.inTransaction) this.#statements.rollback.run();
    } catch {
      // The connection is out of the transaction even when undoing it ran into the same disk.
    }
  }

  #error(doing: 'opened' | 'read' | 'written', cause: unknown): JournalError {
    return storageError({ what: 'journal', file: this.#file }, doing, cause);
  }

  #assertOpen(): void {
    if (this.#closed) throw journalClosed(this.#file);
  }
}

/**
 * Opens the journal in `file`, making it when it is not there. Throws JournalError: `newer_version`, `corrupt`,
 * `full` or `unavailable`.
 */
export function openSqliteJournal(options: SqliteJournalOptions): SqliteJournal {
  return new OpenedJournal(options);
}
