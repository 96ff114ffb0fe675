/** The program as it is shipped, but with steps at which it can be killed (src/ports/failpoint.ts). */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = new URL('../..', import.meta.url).pathname;

/** A build in a folder of its own; `program` is its main.js. */
export function buildWithFailpoints(): { readonly program: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'coral-failpoints-'));
  for (const name of ['package.json', 'node_modules', 'registry'])
    symlinkSync(join(ROOT, name), join(folder, name));
  const replaced = 'src/ports/failpoint.ts=test/support/armed-failpoint.ts';
  execFileSync(
    process.execPath,
    [join(ROOT, 'scripts', 'build.mjs'), '--into', folder, '--replace', replaced],
    { stdio: 'inherit' },
  );
  return {
    program: join(folder, 'dist', 'main.js'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
