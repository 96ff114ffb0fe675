/** Where an executable's path leads. Source: docs/wire.md, "Environment of an agent". */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { isAbsolute, join, resolve, delimiter } from 'node:path';
import { LaunchFailure } from '../../ports/runtime.ts';

/** Where programs are looked for when the agent gets no PATH. */
const USUAL_PATH = '/usr/local/bin:/usr/bin:/bin';

/**
 * The absolute path of the program: `path` itself when absolute, else relative to `folder`, else (a bare name) on
 * `searchPath`. Rejects with LaunchFailure, which says where it was looked for.
 */
export async function findProgram(
  path: string,
  folder: string,
  searchPath: string | undefined,
): Promise<string> {
  const here = isAbsolute(path) ? path : resolve(folder, path);
  const first = await judge(here);
  if (first === 'executable') return here;
  const bare = !path.includes('/');
  if (!bare) {
    throw new LaunchFailure(
      first === 'missing'
        ? `The program "${path}" was not found at ${here}; check \`path\` in the agent's definition.`
        : refusal(path, here, first),
    );
  }

  const folders = (searchPath ?? USUAL_PATH).split(delimiter);
  for (const entry of folders) {
    const candidate = join(resolve(folder, entry), path);
    if ((await judge(candidate)) === 'executable') return candidate;
  }
  if (first !== 'missing') throw new LaunchFailure(refusal(path, here, first));
  throw new LaunchFailure(
    `The program "${path}" was not found: looked in the agent's folder ${folder} and on ` +
      `${searchPath === undefined ? 'the usual PATH (the agent is given none)' : 'PATH'} (${folders.join(delimiter)}); ` +
      `install it or change \`path\` in the agent's definition.`,
  );
}

type Judgement = 'executable' | 'missing' | 'folder' | 'not_executable' | 'unreachable';

async function judge(path: string): Promise<Judgement> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) return 'folder';
    await access(path, constants.X_OK);
    return 'executable';
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'missing';
    // stat fails with EACCES when a folder on the way is closed, access when the file itself is.
    return (error as NodeJS.ErrnoException).syscall === 'access' ? 'not_executable' : 'unreachable';
  }
}

function refusal(path: string, at: string, what: Exclude<Judgement, 'executable' | 'missing'>): string {
  switch (what) {
    case 'folder':
      return `The program "${path}" is a folder (${at}); \`path\` must name a file that can be executed.`;
    case 'not_executable':
      return `The program "${path}" was found at ${at} but may not be executed; try: chmod +x ${at}`;
    case 'unreachable':
      return `The program "${path}" cannot be reached at ${at}: the server's user may not enter a folder on the way.`;
  }
}
