/** Where this installation lies: the folder of its package.json. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Absolute. The code runs from `dist/`, from a chunk below it, or from `src/`. */
export const PACKAGE_ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

/** The version of this program. */
export const VERSION = (
  JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string }
).version;

function findRoot(folder: string): string {
  try {
    const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name?: string };
    if (name === 'coral') return folder;
  } catch {
    // Not here: look further up.
  }
  const above = dirname(folder);
  if (above === folder) throw new Error('The package.json of coral was not found: reinstall it.');
  return findRoot(above);
}
