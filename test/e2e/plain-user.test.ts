/**
 * The built server run by a user who is nobody special: agents run and survive it as ever, and where control groups were
 * delegated to that user (as `Delegate=yes` of systemd does) they are limited and nothing gets out of them.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTimeOf } from '../../src/process-identity.ts';
import { findPlaces } from '../../src/runtimes/executable/control-places.ts';
import { agentOf, Api } from '../support/api.ts';
import { CONFIG, CoralProcess, definition, Project, PROGRAM } from '../support/coral-process.ts';

const KEY = 'a-key-of-this-test';
const NOBODY = 65_534;
/** Where the server itself is, in what was delegated to it. */
const SUBGROUP = 'server';
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
/** With a descendant that left its group and its environment, and one that left its group. */
const SCRIPT =
  'setsid env -i sleep 600 & echo $! > hidden; setsid sleep 600 & echo $! > marked; echo $$ > leader; exec sleep 600';

let project: Project;
let servers: CoralProcess[];
/** Groups of the user's own, one in each hierarchy. */
let delegated: string[];

beforeEach((context) => {
  servers = [];
  delegated = [];
  const may =
    process.getuid?.() === 0 &&
    spawnSync(AS_NOBODY[0]!, [...AS_NOBODY.slice(1), 'test', '-r', PROGRAM]).status === 0;
  project = new Project({
    'coral.config.yaml': `${CONFIG}auth: {keys: [${KEY}]}\n`,
    'agents/family.yaml': definition(
      'family',
      `{executable: {path: sh, arguments: [-c, ${JSON.stringify(SCRIPT)}], resources: {memory: 256MiB, pids: 50}}}`,
    ),
  });
  if (!may) context.skip('becoming another user needs root, setpriv, and a program that anybody may read');
  execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, project.folder]);
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.kill()));
  for (const name of ['leader', 'marked', 'hidden']) kill(pidOf(name));
  const keeper = join(project.folder, '.coral/keeper/keeper.json');
  if (existsSync(keeper)) kill((JSON.parse(readFileSync(keeper, 'utf8')) as { pid: number }).pid);
  for (const folder of delegated) await expect.poll(() => isRemoved(folder), { timeout: 20_000 }).toBe(true);
  await project.remove();
});

function pidOf(name: string): number {
  const file = join(project.folder, 'agents', name);
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : Number.NaN;
}

const lives = (pid: number): boolean => !Number.isNaN(pid) && startTimeOf(pid) !== undefined;

function kill(pid: number): void {
  if (lives(pid)) process.kill(pid, 'SIGKILL');
}

/** Processes that were just killed are in their group for a moment. */
function isRemoved(folder: string): boolean {
  try {
    for (const name of readdirSync(folder))
      if (existsSync(join(folder, name, 'cgroup.procs'))) isRemoved(join(folder, name));
    rmdirSync(folder);
  } catch {
    return !existsSync(folder);
  }
  return true;
}

/** Gives the user a group of its own in each hierarchy where there can be one, as `Delegate=yes` with `DelegateSubgroup=` does. */
function delegate(): void {
  for (const { folder, controllers } of findPlaces(`test-${process.pid}`)) {
    delegated.push(folder);
    for (const group of [folder, join(folder, SUBGROUP)]) {
      mkdirSync(group);
      for (const name of ['', 'cgroup.procs', 'tasks', 'cgroup.subtree_control'])
        if (existsSync(join(group, name))) chownSync(join(group, name), NOBODY, NOBODY);
    }
    for (const one of controllers)
      spawnSync('sh', ['-c', `echo +${one} > ${join(dirname(folder), 'cgroup.subtree_control')}`]);
  }
}

/** The server as that user, in the groups that were delegated. */
async function serve(): Promise<Api> {
  const enter = delegated.map((folder) => `echo $$ > ${folder}/${SUBGROUP}/cgroup.procs`).join('; ');
  const through = ['sh', '-c', `${enter || ':'}; exec "$@"`, 'sh', ...AS_NOBODY];
  const server = new CoralProcess(['serve', '--network.bind-port=0'], project.folder, {}, PROGRAM, through);
  servers.push(server);
  const [, url = ''] = await server.saw(/listens on (http:\S+)/);
  expect(readFileSync(`/proc/${server.pid}/status`, 'utf8')).toMatch(
    new RegExp(`^Uid:\\s+${NOBODY}\\s`, 'm'),
  );
  return new Api(url, KEY);
}

async function launched(api: Api): Promise<string> {
  const id = await api.open([agentOf('family', 'executable')]);
  await api.until(id, ({ agents }) => agents[0]?.status.type === 'running' && lives(pidOf('leader')));
  return id;
}

it('runs agents, finds them after it was killed, and ends them with what left their group', async () => {
  const first = await serve();
  const id = await launched(first);
  const [agent] = (await first.session(id)).agents;
  expect(agent?.status).toMatchObject({
    unlimited: [
      expect.stringMatching(/^Its memory is not limited: /),
      expect.stringMatching(/^Its processes are not/),
    ],
  });
  const leader = pidOf('leader');
  await servers[0]!.kill();
  expect(lives(leader)).toBe(true);

  const second = await serve();
  expect((await second.session(id)).agents).toMatchObject([{ status: { type: 'running' } }]);
  expect((await second.ask('DELETE', `/api/v1/local/session/test/${id}`)).status).toBe(200);
  expect([lives(leader), lives(pidOf('marked'))]).toEqual([false, false]);
  // Documented as not promised: without control groups nothing leads to it.
  expect(lives(pidOf('hidden'))).toBe(true);
  servers[1]!.signal('SIGTERM');
  expect((await servers[1]!.finished()).code).toBe(0);
});

it('limits agents in groups that were delegated to it, and nothing gets out of them', async (context) => {
  delegate();
  const controllers = findPlaces(`test-${process.pid}`).flatMap((place) => [...place.controllers]);
  if (!['memory', 'pids'].every((one) => controllers.includes(one as never)))
    context.skip('this machine has no control groups for memory and processes to be delegated');
  const api = await serve();
  const id = await launched(api);
  const [agent] = (await api.session(id)).agents;
  expect(agent?.status).not.toHaveProperty('unlimited');
  const own = readFileSync(`/proc/${pidOf('leader')}/cgroup`, 'utf8');
  expect(own).toMatch(
    new RegExp(`/test-${process.pid}/(${SUBGROUP}/)?coral-[0-9a-f]{24}/[0-9a-f]{24}$`, 'm'),
  );
  await expect.poll(() => lives(pidOf('hidden'))).toBe(true);

  // Also of those that another server started.
  await servers[0]!.kill();
  const second = await serve();
  expect((await second.ask('DELETE', `/api/v1/local/session/test/${id}`)).status).toBe(200);
  expect(['leader', 'marked', 'hidden'].map((name) => lives(pidOf(name)))).toEqual([false, false, false]);
  servers[1]!.signal('SIGTERM');
  expect((await servers[1]!.finished()).code).toBe(0);
  const left = (): string[] =>
    delegated
      .flatMap((folder) => [folder, join(folder, SUBGROUP)])
      .flatMap((folder) => readdirSync(folder).filter((name) => name.startsWith('coral-')));
  await expect.poll(left).toEqual([]);
});
