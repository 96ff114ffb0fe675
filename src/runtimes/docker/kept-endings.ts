/**
 * Endings between a container's removal and the moment when they are written down elsewhere: a file each, so that a
 * crash in between loses none. The engine itself forgets a container with its removal.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ending } from '../../domain/exit.ts';
import type { Labels } from '../../domain/launch.ts';

/** How a container ended, and whose it was. */
export interface KeptEnding {
  readonly labels: Labels;
  readonly ending: Ending;
}

/** The endings that one server keeps, by the id of the container. */
export class KeptEndings {
  /** `folder` is this server's alone. */
  constructor(private readonly folder: string) {}

  /** Never rejects: without room on the disk it is kept in memory alone, by whoever was told. */
  async keep(id: string, kept: KeptEnding): Promise<void> {
    const file = this.fileOf(id);
    if (file === undefined) return;
    try {
      await mkdir(this.folder, { recursive: true, mode: 0o700 });
      await writeFile(`${file}.new`, JSON.stringify(kept), { mode: 0o600 });
      await rename(`${file}.new`, file);
    } catch {
      await rm(`${file}.new`, { force: true }).catch(() => undefined);
    }
  }

  /** Nothing when none is kept. */
  async find(id: string): Promise<KeptEnding | undefined> {
    const file = this.fileOf(id);
    const text = file === undefined ? undefined : await readFile(file, 'utf8').catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as KeptEnding);
  }

  /** Ids and labels of all. */
  async all(): Promise<readonly { readonly id: string; readonly labels: Labels }[]> {
    const names = await readdir(this.folder).catch(() => []);
    const found = names.map(async (id) => ({ id, kept: await this.find(id) }));
    return (await Promise.all(found)).flatMap(({ id, kept }) =>
      kept === undefined ? [] : [{ id, labels: kept.labels }],
    );
  }

  /** It is written down elsewhere. Never rejects. */
  async forget(id: string): Promise<void> {
    const file = this.fileOf(id);
    if (file !== undefined) await rm(file, { force: true }).catch(() => undefined);
  }

  /** Ids of containers are hexadecimal; nothing else is looked for. */
  private fileOf(id: string): string | undefined {
    return /^[0-9a-f]+$/.test(id) ? join(this.folder, id) : undefined;
  }
}
