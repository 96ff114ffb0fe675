/** The program as it is shipped, but for some of its modules. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = new URL('../..', import.meta.url).pathname;

export interface OtherBuild {
  /** Its main.js. */
  readonly program: string;
  remove(): void;
}

/** A build in a folder of its own, with other files in the place of ours: both paths from the root, or absolute. */
export function buildWith(replaced: Readonly<Record<string, string>>): OtherBuild {
  const folder = mkdtempSync(join(tmpdir(), 'coral-build-'));
  for (const name of ['package.json', 'node_modules', 'registry'])
    symlinkSync(join(ROOT, name), join(folder, name));
  const replace = Object.entries(replaced).flatMap(([file, other]) => ['--replace', `${file}=${other}`]);
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs'), '--into', folder, ...replace], {
    stdio: 'inherit',
  });
  return {
    program: join(folder, 'dist', 'main.js'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A build with steps at which it can be killed (src/ports/failpoint.ts). */
export function buildWithFailpoints(): OtherBuild {
  return buildWith({ 'src/ports/failpoint.ts': 'test/support/armed-failpoint.ts' });
}
