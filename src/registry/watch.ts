/**
 * Tells when the files that patterns mean, or that definitions refer to, may have changed. What changed is for the
 * listener to find out: it looks at everything anew.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { watch as watchFiles } from 'chokidar';
import { reasonOf } from '../domain/reason.ts';
import { concerns } from './patterns.ts';
import type { Pattern } from './patterns.ts';

/** Changes come in bursts: an editor writes, renames, touches. ms. */
const SETTLE_MS = 60;
/** How often everything is looked at where the system cannot watch (out of watches, odd file systems). ms. */
const FALLBACK_MS = 1_000;

/** A watch that goes on until it is closed. */
export interface Watch {
  /** Files outside the patterns that matter too, in place of those of before. */
  alsoWatch(files: ReadonlySet<string>): void;
  close(): Promise<void>;
}

/** Resolves once nothing that happens from now on is missed. `failed` is told once, with the system's reason. */
export async function watch(
  patterns: readonly Pattern[],
  changed: () => void,
  failed: (reason: string) => void,
): Promise<Watch> {
  let others: ReadonlySet<string> = new Set();
  let settling: NodeJS.Timeout | undefined;
  let fallback: NodeJS.Timeout | undefined;
  const roots = [...new Set(patterns.map(({ base }) => nearestFolder(base)))];
  const matters = (path: string): boolean =>
    others.has(path) ||
    patterns.some((pattern) => concerns(pattern, path)) ||
    [...others].some((file) => file.startsWith(`${path}/`));
  const watcher = watchFiles(roots, {
    ignoreInitial: true,
    ignorePermissionErrors: true,
    ignored: (path) => !roots.includes(path) && !matters(path),
  });
  const happened = (): void => {
    settling ??= setTimeout(() => {
      settling = undefined;
      changed();
    }, SETTLE_MS);
  };
  watcher.on('all', happened);
  // The watcher drops what follows a change within 50 ms; what the system says reaches here all the same.
  watcher.on('raw', (_event, name: string | null, details) => {
    const { watchedPath } = details as { watchedPath?: string };
    if (watchedPath === undefined || name === null || name === '') return;
    const ofFile = basename(watchedPath) === name && matters(watchedPath);
    if (ofFile || matters(join(watchedPath, name))) happened();
  });
  watcher.on('error', (cause) => {
    if (fallback !== undefined) return;
    fallback = setInterval(changed, FALLBACK_MS);
    fallback.unref();
    failed(reasonOf(cause));
  });
  await new Promise<void>((ready) => watcher.once('ready', ready));
  return {
    alsoWatch(files) {
      const added = [...files].filter((file) => !others.has(file));
      others = files;
      // A file that is not there yet is found through its folder.
      if (added.length > 0)
        watcher.add(added.map((file) => (existsSync(file) ? file : nearestFolder(dirname(file)))));
    },
    async close() {
      clearTimeout(settling);
      clearInterval(fallback);
      await watcher.close();
    },
  };
}

function nearestFolder(path: string): string {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
