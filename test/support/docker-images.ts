/**
 * Images for tests, made from what this machine has, FROM scratch and without any registry: a static busybox with the
 * test programs, and the node binary with its libraries.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createHash } from 'node:crypto';
import type { Engine } from '../../src/runtimes/docker/engine.ts';
import { isRefusal } from '../../src/runtimes/docker/engine.ts';
import { tar } from './tar.ts';
import type { Entry } from './tar.ts';

const PROGRAMS = fileURLToPath(new URL('../fixtures/programs', import.meta.url));
export const BUSYBOX = 'coral-test/busybox:1';
export const NODE = 'coral-test/node:1';

const FOLDERS: Entry[] = [
  ...['bin', 'dev', 'proc', 'sys', 'etc', 'app', 'run', 'usr', 'usr/bin'].map((path): Entry => ({
    path: `${path}/`,
    folder: true,
  })),
  { path: 'tmp/', folder: true, mode: 0o1777 },
  { path: 'etc/passwd', data: 'root:x:0:0:root:/:/bin/sh\nagent:x:10001:10001::/:/bin/sh\n' },
  { path: 'etc/group', data: 'root:x:0:\nagent:x:10001:\n' },
  { path: 'etc/nsswitch.conf', data: 'hosts: files dns\n' },
];

/** The busybox image, made when it is not there yet; `changes` are lines of a Dockerfile. */
export async function busyboxImage(
  engine: Engine,
  reference = BUSYBOX,
  changes: readonly string[] = [],
): Promise<string> {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (busybox === undefined) throw new Error('There is no static busybox; install busybox-static.');
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  return importImage(engine, reference, changes, [
    ...FOLDERS,
    { path: 'bin/busybox', data: readFileSync(busybox), mode: 0o755 },
    ...applets
      .filter((name) => name !== 'busybox')
      .map((name): Entry => ({ path: `bin/${name}`, link: '/bin/busybox' })),
    ...programs(),
  ]);
}

/** Busybox and this process's own node, with the files of `more` in `/app`. */
export async function nodeImage(
  engine: Engine,
  more: Readonly<Record<string, string>> = {},
  reference = NODE,
): Promise<string> {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))!;
  const node = realpathSync(process.execPath);
  const libraries = [...execFileSync('ldd', [node], { encoding: 'utf8' }).matchAll(/(\/\S+)/g)].map(
    ([path]) => path,
  );
  const folders = new Set<string>();
  for (const library of libraries)
    for (let folder = dirname(library).slice(1); folder !== '.' && folder !== ''; folder = dirname(folder))
      folders.add(`${folder}/`);
  return importImage(
    engine,
    reference,
    ['ENV PATH=/bin:/usr/bin'],
    [
      ...FOLDERS,
      ...[...folders].sort().map((path): Entry => ({ path, folder: true })),
      { path: 'bin/busybox', data: readFileSync(busybox), mode: 0o755 },
      { path: 'bin/sh', link: '/bin/busybox' },
      { path: 'usr/bin/node', data: readFileSync(node), mode: 0o755 },
      ...libraries.map((path): Entry => ({ path: path.slice(1), data: readFileSync(path), mode: 0o755 })),
      ...Object.entries(more).map(([path, data]): Entry => ({ path: `app/${path}`, data })),
    ],
  );
}

/** Debian's python3 with its library, and the files of a folder in `/app`; what a Dockerfile of python's own image makes. */
export async function pythonImage(
  engine: Engine,
  reference: string,
  folder: string,
  changes: readonly string[],
): Promise<string> {
  const python = realpathSync('/usr/bin/python3');
  const library = `/usr/lib/${basename(python)}`;
  const files = new Map<string, Entry>();
  const add = (path: string): void => {
    for (let above = dirname(path); above !== '/'; above = dirname(above))
      files.set(above, { path: `${above.slice(1)}/`, folder: true });
    files.set(path, { path: path.slice(1), data: readFileSync(path), mode: 0o755 });
  };
  const modules = readdirSync(library, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() || (entry.isSymbolicLink() && !entry.name.endsWith('.a')))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(
      (path) =>
        !/\/(test|tests|config-[^/]*|__pycache__|ensurepip|idlelib|lib2to3|site-packages|dist-packages)\//.test(
          path,
        ),
    )
    .filter((path) => existsSync(path));
  const compiled = modules.filter((path) => path.endsWith('.so'));
  const libraries = execFileSync('ldd', [python, ...compiled], { encoding: 'utf8' });
  for (const [path] of libraries.matchAll(/(?<=\s)\/(?:usr\/)?lib\S+(?= \()/g)) add(path);
  for (const path of [...modules, python]) add(path);
  const app = readdirSync(folder).filter((name) => name.endsWith('.py'));
  return importImage(
    engine,
    reference,
    [`ENV PATH=/usr/bin:/bin`, ...changes],
    [
      ...FOLDERS,
      ...[...files.values()]
        .filter(({ path }) => FOLDERS.every((known) => known.path !== path))
        .sort((a, b) => (a.path < b.path ? -1 : 1)),
      { path: 'usr/bin/python3', link: python },
      ...app.map((name): Entry => ({ path: `app/${name}`, data: readFileSync(join(folder, name)) })),
    ],
  );
}

function programs(): Entry[] {
  return readdirSync(PROGRAMS).map((name) => ({
    path: `app/${name}`,
    data: readFileSync(join(PROGRAMS, name)),
    mode: 0o755,
  }));
}

/** Imported again only when what it is made of has changed. */
async function importImage(
  engine: Engine,
  reference: string,
  changes: readonly string[],
  entries: readonly Entry[],
): Promise<string> {
  const archive = tar(entries);
  const digest = createHash('sha256').update(archive).update(changes.join('\n')).digest('hex');
  const label = 'coral.test.made-of';
  try {
    const there = await engine.json<{ Config?: { Labels?: Record<string, string> | null } }>({
      path: `/images/${reference}/json`,
    });
    if (there.Config?.Labels?.[label] === digest) return reference;
  } catch (error) {
    if (!isRefusal(error, 404)) throw error;
  }
  const answer = await engine.text({
    method: 'POST',
    path: '/images/create',
    query: { fromSrc: '-', repo: reference, changes: [`LABEL ${label}=${digest}`, ...changes] },
    file: archive,
    deadlineMs: 120_000,
  });
  if (answer.includes('"error"')) throw new Error(`The image ${reference} could not be made: ${answer}`);
  return reference;
}
