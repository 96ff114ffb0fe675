/**
 * Options with transport `fs`: files in a folder of the attempt's own. The folder's name follows from the mark, so
 * that it is found and removed without memory after a crash. Source: docs/wire.md, "Environment of an agent".
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Labels, OptionFile } from '../domain/launch.ts';
import { markOf } from './mark.ts';

/** Writes, removes and sweeps the option files of one server's attempts. */
export class OptionFiles {
  /** `folder` is this server's alone. */
  constructor(private readonly folder: string) {}

  /**
   * Writes the files (mode 0400, in a folder of mode 0700) and resolves with the variables that hold their paths,
   * those of a list joined with the path delimiter. Leaves nothing behind when it rejects.
   */
  async write(labels: Labels, files: readonly OptionFile[]): Promise<Record<string, string>> {
    if (files.length === 0) return {};
    const folder = this.folderOf(labels);
    try {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const variables: Record<string, string> = {};
      for (const [n, { variable, parts }] of files.entries()) {
        const name = `${n}-${variable.replaceAll(/[^\w$]/g, '_').slice(0, 64)}`;
        const paths = parts.map((_, i) => join(folder, parts.length === 1 ? name : `${name}.${i}`));
        for (const [i, part] of parts.entries()) await writeFile(paths[i]!, part, { mode: 0o400 });
        variables[variable] = paths.join(delimiter);
      }
      return variables;
    } catch (error) {
      await this.remove(labels);
      throw error;
    }
  }

  /** The attempt is over. Never rejects: what cannot be removed now is found by `sweep`. */
  async remove(labels: Labels): Promise<void> {
    await rm(this.folderOf(labels), { recursive: true, force: true }).catch(() => undefined);
  }

  /** Removes the folders of all attempts but these. */
  async sweep(alive: readonly Labels[]): Promise<void> {
    const kept = new Set(alive.map(nameOf));
    const names = await readdir(this.folder).catch(() => []);
    for (const name of names) {
      if (kept.has(name)) continue;
      await rm(join(this.folder, name), { recursive: true, force: true }).catch(() => undefined);
    }
  }

  private folderOf(labels: Labels): string {
    return join(this.folder, nameOf(labels));
  }
}

/** A hash: agents' names may hold anything, a folder's may not. */
function nameOf(labels: Labels): string {
  return createHash('sha256').update(markOf(labels)).digest('hex').slice(0, 32);
}
