/**
 * API keys that are added and revoked while the server runs: `keys.json` in the state folder, which holds their digests
 * only. The server looks at the file whenever it is asked, so that a change counts at once. Source: docs/wire.md,
 * "Authentication".
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const KeyEntry = z.object({
  id: z.string(),
  name: z.string().optional(),
  /** Hex SHA-256; keys are random, so that nobody can guess one from it. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  created: z.iso.datetime(),
});
const KeyList = z.object({ keys: z.array(KeyEntry) });

/** A key, as much of it as is kept. */
export type KeyEntry = z.output<typeof KeyEntry>;

/** The keys of one state folder. */
export class ApiKeys {
  private readonly file: string;
  private known: readonly KeyEntry[] = [];
  private stamp = '';

  constructor(private readonly folder: string) {
    this.file = join(folder, 'keys.json');
  }

  /** True for a key that is on the list now. Takes the same time wherever two keys differ. */
  check(key: string): boolean {
    this.look();
    if (this.known.length === 0) return false;
    const digest = createHash('sha256').update(key).digest();
    let good = false;
    for (const entry of this.known) {
      if (timingSafeEqual(digest, Buffer.from(entry.digest, 'hex'))) good = true;
    }
    return good;
  }

  /** Oldest first. */
  list(): readonly KeyEntry[] {
    this.stamp = '';
    this.look();
    return this.known;
  }

  /** Makes a key; it is shown this once. `now`: wall-clock ms. */
  add(name: string | undefined, now: number): { readonly key: string; readonly entry: KeyEntry } {
    const key = `coral_${randomBytes(24).toString('base64url')}`;
    const entry: KeyEntry = {
      id: randomBytes(4).toString('hex'),
      ...(name !== undefined && { name }),
      digest: createHash('sha256').update(key).digest('hex'),
      created: new Date(now).toISOString(),
    };
    this.write([...this.list(), entry]);
    return { key, entry };
  }

  /** Takes a key off the list, by its id or its name if only one bears it; undefined when there is none. */
  revoke(word: string): KeyEntry | undefined {
    const all = this.list();
    const named = all.filter(({ name }) => name === word);
    const entry = all.find(({ id }) => id === word) ?? (named.length === 1 ? named[0] : undefined);
    if (entry !== undefined) this.write(all.filter((other) => other !== entry));
    return entry;
  }

  /** Reads the file if it is another one than before. One that cannot be read lets nobody in. */
  private look(): void {
    const stat = statSync(this.file, { throwIfNoEntry: false });
    const stamp = stat === undefined ? 'none' : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
    if (stamp === this.stamp) return;
    this.known = stat === undefined ? [] : this.read();
    this.stamp = stamp;
  }

  private read(): readonly KeyEntry[] {
    try {
      return KeyList.parse(JSON.parse(readFileSync(this.file, 'utf8'))).keys;
    } catch (error) {
      throw new Error(
        `The keys in ${this.file} cannot be read: mend the file, or delete it and add the keys again with coral keys add.`,
        { cause: error },
      );
    }
  }

  private write(keys: readonly KeyEntry[]): void {
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    const aside = `${this.file}.${process.pid}.new`;
    try {
      writeFileSync(aside, `${JSON.stringify({ keys }, null, 2)}\n`, { mode: 0o600 });
      renameSync(aside, this.file);
    } finally {
      rmSync(aside, { force: true });
    }
  }
}
