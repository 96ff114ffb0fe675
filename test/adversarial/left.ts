/** What a server has left in the world: looked for by its marks, in its folder, and (while it lives) in its process. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteVault } from '../../src/journal/vault.ts';
import type { Engine } from '../../src/runtimes/docker/engine.ts';
import { LABEL } from '../../src/runtimes/docker/spec.ts';
import { MARK_VARIABLE } from '../../src/runtimes/mark.ts';
import { ask } from './ask.ts';

/** What may lie in a state folder that nobody uses: files of the folder itself, but no lock, socket or half a file. */
const KEPT =
  /^(?!lock$)[^/]+(?<!\.new|-wal|-shm)$|^output\/|^options\/coral-(options|doors|endings)-\w+$|^keeper\/(agents|gone|keeper\.log)$/;

/** Everything of a server that has ended and should be gone, a phrase each. */
export async function leftOf(folder: string, engine?: Engine): Promise<string[]> {
  const instance = readFileSync(join(folder, 'instance'), 'utf8').trim();
  return [
    ...processesOf(folder, instance).map(({ pid, command }) => `process ${pid} (${command})`),
    ...filesOf(folder),
    ...(await secretsOf(folder)),
    ...(await objectsOf(instance, engine)),
  ];
}

/** Live processes that bear the instance's mark, and keepers of the folder. */
export function processesOf(
  folder: string,
  instance: string,
): { readonly pid: number; readonly command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const command = textOf(`/proc/${pid}/cmdline`).split('\0');
      // A zombie has no command any more.
      if (command.join('') === '') return [];
      const ours = textOf(`/proc/${pid}/environ`)
        .split('\0')
        .some((entry) => entry.startsWith(`${MARK_VARIABLE}=${instance}/`));
      // A keeper has a title in place of its arguments; what it says goes to its folder.
      const serves = linkOf(`/proc/${pid}/fd/2`).startsWith(`${folder}/keeper/`);
      return ours || serves ? [{ pid: Number(pid), command: command.join(' ').slice(0, 200) }] : [];
    });
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => !KEPT.test(path))
    .map((path) => `${path} in the state folder`);
}

async function secretsOf(folder: string): Promise<string[]> {
  const file = join(folder, 'vault.db');
  if (!existsSync(file)) return [];
  const vault = openSqliteVault({ file, keyFile: join(folder, 'vault.key') });
  try {
    return (await vault.streams()).map((stream) => `sealed secrets of ${stream}`);
  } finally {
    await vault.close();
  }
}

async function objectsOf(instance: string, engine: Engine | undefined): Promise<string[]> {
  if (engine === undefined) return [];
  const filters = JSON.stringify({ label: [`${LABEL.instance}=${instance}`] });
  const containers = await engine.json<{ Names: string[] }[]>({
    path: '/containers/json',
    query: { all: 1, filters },
  });
  const networks = await engine.json<{ Name: string }[]>({ path: '/networks', query: { filters } });
  return [
    ...containers.map(({ Names }) => `container ${Names.join(' ')}`),
    ...networks.map(({ Name }) => `network ${Name}`),
  ];
}

/** What a living server holds open, by kind: `socket`, `pipe`, `anon_inode`, or the path of a file. */
export function descriptorsOf(pid: number): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    const target = linkOf(`/proc/${pid}/fd/${name}`);
    if (target === '') continue; // closed meanwhile
    const kind = target.replace(/^(socket|pipe|anon_inode):.*$/, '$1');
    found.set(kind, (found.get(kind) ?? 0) + 1);
  }
  return found;
}

/** Timers a living server has, by its own numbers. */
export async function timersOf(url: string): Promise<number> {
  const { text } = await ask('GET', `${url}/metrics`);
  return Number(/^nodejs_active_resources\{type="Timeout"\} (\d+)/m.exec(text)?.[1] ?? 0);
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
