/**
 * Secrets beside the journal, in a file of their own so that neither the journal nor its backups hold them. Each
 * value is sealed with AES-256-GCM under the key file's key and bound to its stream and name: moved to another row,
 * it does not open.
 *
 * Invariants
 * - **V1** No secret is on the disk in the clear, and no message or cause carries one.
 * - **V2** What `seal` resolved for survives a power failure: a session that is in the journal can be launched.
 * - **V3** Erased is gone: rows are overwritten and the write-ahead log is emptied.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type Database from 'better-sqlite3';
import { JournalError } from '../ports/journal.ts';
import type { Vault } from '../ports/vault.ts';
import { openSqliteFile } from './sqlite-file.ts';
import { storageError } from './storage-error.ts';
import { makeKey, readKey } from './vault-key.ts';

/** Where the vault and its key lie. */
export interface SqliteVaultOptions {
  /** Path of the database file; made, with its folder, when it is not there. */
  readonly file: string;
  /** Path of the key file; made (mode 0600) when it is not there and nothing is sealed yet. */
  readonly keyFile: string;
  /** How long opening waits for another program that holds the file, ms (default 500). */
  readonly busyTimeoutMs?: number;
}

interface Sealed {
  readonly name: string;
  readonly nonce: Buffer;
  readonly tag: Buffer;
  readonly value: Buffer;
}

/** "Corv". */
const APPLICATION_ID = 0x436f7276;
const FORMAT = 1;
const NONCE_BYTES = 12;
/** A row that is always there: it opens with the right key only. No session's stream has this name. */
const PROOF = { stream: '', name: 'proof' } as const;

const TABLES = `
  CREATE TABLE sealed (
    stream TEXT NOT NULL,
    name TEXT NOT NULL,
    nonce BLOB NOT NULL,
    tag BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (stream, name)
  ) WITHOUT ROWID;
`;

class SqliteVault implements Vault {
  readonly #file: string;
  readonly #database: Database.Database;
  readonly #key: Buffer;
  readonly #insert: Database.Statement;
  readonly #select: Database.Statement;
  readonly #delete: Database.Statement;
  /** Streams that have rows: most sessions have no secrets, and closing them must cost nothing. */
  readonly #streams: Set<string>;
  #closed = false;

  constructor(options: SqliteVaultOptions) {
    this.#file = options.file;
    this.#database = openSqliteFile({
      what: 'vault',
      file: options.file,
      applicationId: APPLICATION_ID,
      format: FORMAT,
      tables: TABLES,
      sync: 'full', // V2
      busyTimeoutMs: options.busyTimeoutMs ?? 500,
    });
    try {
      this.#database.pragma('secure_delete = ON');
      this.#insert = this.#database.prepare('INSERT OR REPLACE INTO sealed VALUES (?, ?, ?, ?, ?)');
      this.#select = this.#database.prepare('SELECT name, nonce, tag, value FROM sealed WHERE stream = ?');
      this.#delete = this.#database.prepare('DELETE FROM sealed WHERE stream = ?');
      const streams = this.#database.prepare("SELECT DISTINCT stream FROM sealed WHERE stream <> ''").pluck();
      this.#streams = new Set(streams.all() as string[]);
      this.#key = this.#provenKey(options.keyFile);
    } catch (cause) {
      this.#database.close();
      throw this.#error('opened', cause);
    }
  }

  async seal(stream: string, secrets: Readonly<Record<string, string>>): Promise<void> {
    const rows = Object.entries(secrets);
    if (rows.length === 0) return this.erase(stream);
    this.#write(() => {
      this.#delete.run(stream);
      for (const [name, secret] of rows) this.#insertSealed(this.#key, stream, name, secret);
    });
    this.#streams.add(stream);
  }

  async open(stream: string): Promise<Readonly<Record<string, string>>> {
    this.#assertOpen();
    if (!this.#streams.has(stream)) return {};
    let rows: Sealed[];
    try {
      rows = this.#select.all(stream) as Sealed[];
    } catch (cause) {
      throw this.#error('read', cause);
    }
    return Object.fromEntries(
      rows.map((row) => {
        const secret = unsealed(this.#key, stream, row);
        if (secret === undefined) throw this.#tampered(stream, row.name);
        return [row.name, secret];
      }),
    );
  }

  async erase(stream: string): Promise<void> {
    this.#assertOpen();
    if (!this.#streams.has(stream)) return;
    this.#write(() => this.#delete.run(stream));
    this.#streams.delete(stream);
    try {
      this.#database.pragma('wal_checkpoint(TRUNCATE)'); // V3
    } catch {
      // The rows are gone; what the log still holds is sealed, and the next checkpoint overwrites it.
    }
  }

  async streams(): Promise<readonly string[]> {
    this.#assertOpen();
    return [...this.#streams];
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#database.close();
    this.#key.fill(0);
  }

  /** The key file's key, proved to be the one the rows were sealed with; a new one when nothing is sealed. */
  #provenKey(keyFile: string): Buffer {
    const key = readKey(keyFile);
    const proof = (this.#select.all(PROOF.stream) as Sealed[]).find((row) => row.name === PROOF.name);
    if (key !== undefined && proof !== undefined && unsealed(key, PROOF.stream, proof) !== undefined)
      return key;
    if (this.#streams.size > 0) throw this.#keyTrouble(keyFile, key === undefined);
    const fresh = key ?? makeKey(keyFile);
    this.#write(() => this.#insertSealed(fresh, PROOF.stream, PROOF.name, ''));
    return fresh;
  }

  #insertSealed(key: Buffer, stream: string, name: string, secret: string): void {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(boundTo(stream, name));
    const value = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
    this.#insert.run(stream, name, nonce, cipher.getAuthTag(), value);
  }

  #write(work: () => void): void {
    this.#assertOpen();
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      work();
      this.#database.exec('COMMIT');
    } catch (cause) {
      try {
        if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
      } catch {
        // Out of the transaction all the same.
      }
      throw this.#error('written', cause);
    }
  }

  #keyTrouble(keyFile: string, missing: boolean): JournalError {
    const count = this.#streams.size;
    const held = `the vault ${this.#file} holds secrets of ${count} session${count === 1 ? '' : 's'}`;
    return new JournalError(
      'unavailable',
      missing
        ? `The key file ${keyFile} is missing but ${held} sealed with it: restore the key file, or remove the vault to go on without those secrets.`
        : `The key in ${keyFile} is another one, but ${held} sealed with the one before: restore the right key file, or remove the vault to go on without those secrets.`,
    );
  }

  #tampered(stream: string, name: string): JournalError {
    return new JournalError(
      'corrupt',
      `The secret "${name}" of ${stream} in the vault ${this.#file} was changed or damaged since it was sealed: the session cannot be launched with it; create the session anew.`,
    );
  }

  #error(doing: 'opened' | 'read' | 'written', cause: unknown): JournalError {
    return storageError({ what: 'vault', file: this.#file }, doing, cause);
  }

  #assertOpen(): void {
    if (this.#closed) throw new JournalError('closed', `The vault ${this.#file} was closed.`);
  }
}

/** The secret, or undefined when key, place or content is not what it was sealed with. */
function unsealed(key: Buffer, stream: string, row: Sealed): string | undefined {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, row.nonce, { authTagLength: 16 })
      .setAAD(boundTo(stream, row.name))
      .setAuthTag(row.tag);
    return Buffer.concat([decipher.update(row.value), decipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}

function boundTo(stream: string, name: string): Buffer {
  return Buffer.from(JSON.stringify(['coral-vault-1', stream, name]), 'utf8');
}

/**
 * Opens the vault in `file` under the key in `keyFile`, making either when it is not there. Throws JournalError as the
 * port says, naming the file and what to do.
 */
export function openSqliteVault(options: SqliteVaultOptions): Vault {
  return new SqliteVault(options);
}
