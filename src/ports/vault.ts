/**
 * Keeps option values that are secret beside the journal, sealed, so that no event ever holds one. Erased when the
 * session closes. `stream` is the session's journal stream. Trouble is a JournalError, as with the journal it stands
 * beside: `full`, `unavailable` (also: the key is missing or another), `corrupt`, `newer_version`, `closed`.
 * One contract suite (test/contracts/vault.ts) runs on every implementation.
 */
export interface Vault {
  /** Stores (or replaces) all secrets of a stream; durable when it resolves. */
  seal(stream: string, secrets: Readonly<Record<string, string>>): Promise<void>;
  /** The secrets of a stream; empty when there are none. */
  open(stream: string): Promise<Readonly<Record<string, string>>>;
  erase(stream: string): Promise<void>;
  /** Streams that have secrets: what no open session owns is erased at start. */
  streams(): Promise<readonly string[]>;
  close(): Promise<void>;
}
