/** A vault that lives as long as the process: goes with the memory journal. */
import { JournalError } from '../ports/journal.ts';
import type { Vault } from '../ports/vault.ts';

class MemoryVault implements Vault {
  readonly #secrets = new Map<string, Readonly<Record<string, string>>>();
  #closed = false;

  async seal(stream: string, secrets: Readonly<Record<string, string>>): Promise<void> {
    this.#assertOpen();
    const entries = Object.entries(secrets);
    if (entries.length === 0) this.#secrets.delete(stream);
    else this.#secrets.set(stream, Object.fromEntries(entries));
  }

  async open(stream: string): Promise<Readonly<Record<string, string>>> {
    this.#assertOpen();
    return { ...this.#secrets.get(stream) };
  }

  async erase(stream: string): Promise<void> {
    this.#assertOpen();
    this.#secrets.delete(stream);
  }

  async streams(): Promise<readonly string[]> {
    this.#assertOpen();
    return [...this.#secrets.keys()];
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#secrets.clear();
  }

  #assertOpen(): void {
    if (this.#closed) throw new JournalError('closed', 'The vault in memory was closed.');
  }
}

/** A vault in memory, empty. */
export function openMemoryVault(): Vault {
  return new MemoryVault();
}
