/**
 * Short sessions, one after the other and many at once, through the built server: in the end it holds what it held at
 * the start, and the journal has grown by what is archived and nothing else. `npm run soak` opens 2,000 of them.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { Engine } from '../../src/runtimes/docker/engine.ts';
import { SocketReader } from '../http/socket-reader.ts';
import { leftIn } from '../runtimes/docker/world.ts';
import { agentOf, Api } from '../support/api.ts';
import { CONFIG, definition, Project, type CoralProcess } from '../support/coral-process.ts';
import { BUSYBOX, busyboxImage } from '../support/docker-images.ts';
import { ENDPOINT, hasDocker } from '../support/docker.ts';

const SESSIONS = Number(process.env['CORAL_SOAK_SESSIONS'] ?? 300);
/** Opened before the first look, so that everything that is made once is there. */
const WARM_UP = 100;
const AT_ONCE = 12;
/** Caches that are bounded, and what is there once more or less. */
const HEAP_SLACK = 4 * 1024 * 1024;
/** Less than the smallest thing a session could leave behind. */
const HEAP_PER_SESSION = 100;
/** Timers that come and go with the seconds. */
const TIMERS_SLACK = 2;
/** Looks until what goes by itself must have gone. */
const MOST_LOOKS = 100;
const KEY = 'a-key-of-this-test';

let project: Project;
afterEach(() => project.remove());

interface Look {
  readonly heap: number;
  readonly timers: number;
  readonly descriptors: number;
}

/** What a server holds, its garbage collected. */
async function lookInto(server: CoralProcess, api: Api): Promise<Look> {
  const file = join(project.folder, 'look.json');
  rmSync(file, { force: true });
  server.signal('SIGUSR2');
  while (!existsSync(file)) await api.ask('GET', '/health');
  return JSON.parse(readFileSync(file, 'utf8')) as Look;
}

/** Pids of what these processes started and have not buried. */
function childrenOf(...parents: readonly number[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return parents.includes(Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
      } catch {
        return false;
      }
    })
    .map(Number);
}

const keeperPid = (): number =>
  (JSON.parse(readFileSync(join(project.folder, '.coral/keeper/keeper.json'), 'utf8')) as { pid: number })
    .pid;

/** Every name below a folder from which things may go meanwhile. */
function namesBelow(folder: string): string[] {
  for (;;) {
    try {
      return readdirSync(folder, { recursive: true }) as string[];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** Files and folders of the state folder, but for the output of sessions, of which each archived one may keep its own. */
function files(): string[] {
  const state = join(project.folder, '.coral');
  return namesBelow(state)
    .filter((name) => !name.startsWith('output'))
    .filter((name) => !/-(wal|shm)$/.test(name))
    .sort();
}

/** What the files of a server that has stopped hold: sessions, other streams, events of neither, secrets. */
function stored(): { sessions: string[]; open: number; kinds: string[]; strays: number; sealed: number } {
  const read = <T>(file: string, query: string): T[] => {
    const database = new Database(join(project.folder, '.coral', file), { readonly: true });
    try {
      return database.prepare(query).all() as T[];
    } finally {
      database.close();
    }
  };
  const count = (file: string, rows: string): number =>
    read<{ n: number }>(file, `SELECT count(*) AS n FROM ${rows}`)[0]!.n;
  const streams = read<{ kind: string; id: string }>('journal.db', 'SELECT kind, id FROM streams');
  const sessions = streams.filter(({ kind }) => kind === 'session');
  return {
    sessions: sessions.map(({ id }) => id).sort(),
    open: count('journal.db', "streams WHERE kind = 'session' AND closed_at IS NULL"),
    kinds: [...new Set(streams.map(({ kind }) => kind))].sort(),
    strays: count('journal.db', 'events WHERE stream NOT IN (SELECT ref FROM streams)'),
    sealed: count('vault.db', "sealed WHERE stream LIKE 'session/%'"),
  };
}

/** The ids of all sessions of the archive. */
async function archived(api: Api): Promise<string[]> {
  const Page = z.object({ sessions: z.array(z.object({ id: z.string() })), next: z.string().optional() });
  const ids: string[] = [];
  for (let cursor = ''; ;) {
    const page = await api.get(Page, `/api/v1/archive/session?limit=100${cursor}`);
    ids.push(...page.sessions.map(({ id }) => id));
    if (page.next === undefined) return ids.sort();
    cursor = `&cursor=${encodeURIComponent(page.next)}`;
  }
}

/** A session of the soak: every kind comes round, containers less often. */
function sessionOf(n: number): object[] {
  if (n % 40 === 0 && hasDocker) return [agentOf('container', 'docker')];
  if (n % 10 === 0) return [agentOf('program', 'executable')];
  if (n % 5 === 1) {
    const options = {
      SEED_MESSAGE_COUNT: { type: 'u32', value: 3 },
      PARTICIPANTS: { type: 'list[string]', value: ['quick'] },
    };
    return [agentOf('seed', 'function', { options }), agentOf('quick', 'scripted')];
  }
  if (n % 5 === 2)
    return [agentOf('sealed', 'scripted', { options: { API_KEY: { type: 'string', value: 'a-secret' } } })];
  if (n % 5 === 3) return [agentOf('again', 'scripted')];
  return [agentOf('quick', 'scripted'), agentOf('quick', 'scripted', { name: 'other' })];
}

it(`${SESSIONS} short sessions leave a server as it was`, async () => {
  const scripted = '{scripted: {run_for: 5ms, output: [one, two]}}';
  const again = `${definition('again', '{scripted: {run_for: 1ms, exit_code: 1}}')}restart: {policy: on_failure, max_restarts: 1, delay: 1ms}\n`;
  project = new Project({
    'coral.config.yaml': `${CONFIG.replace('includeCoralHomeAgents: false', 'includeCoralHomeAgents: false, includeDebugAgents: true')}auth: {keys: [${KEY}]}\nlogging: {logBufferSize: 64}\n`,
    'agents/quick.yaml': definition('quick', scripted),
    'agents/sealed.yaml': definition('sealed', scripted, '{API_KEY: {type: string, secret: true}}'),
    'agents/again.yaml': again,
    'agents/container.yaml': definition(
      'container',
      `{docker: {image: '${BUSYBOX}', command: [echo, one], network: none, pull: never}}`,
    ),
    'agents/program.yaml': definition(
      'program',
      '{executable: {path: sh, arguments: [-c, "echo $CORAL_AGENT_ID"]}}',
    ),
  });
  const engine = hasDocker ? new Engine({ endpoint: ENDPOINT }) : undefined;
  if (engine !== undefined) await busyboxImage(engine);
  const server = project.start(['serve', '--network.bind-port=0'], {
    NODE_OPTIONS: `--expose-gc --import ${new URL('../support/self-look.mjs', import.meta.url).pathname}`,
    CORAL_TEST_SELF_LOOK: join(project.folder, 'look.json'),
  });
  const [, url = ''] = await server.saw(/listens on (http:\S+)/);
  const api = new Api(url, KEY);
  const events = await SocketReader.open(`${url}/ws/v1/events/${KEY}/lsm`);
  let read = 0;
  let ended = 0;
  const closed = (): number => {
    for (; read < events.seen.length; read += 1) if (events.seen[read]?.type === 'session_closed') ended += 1;
    return ended;
  };

  /** Opens so many, a few at a time; resolves when the last one is closed. */
  let opened = 0;
  const run = async (count: number): Promise<void> => {
    const until = opened + count;
    const open = async (): Promise<void> => {
      while (opened < until) {
        opened += 1;
        const mine = opened;
        await api.open(sessionOf(mine));
        // No more under way than that.
        await events.until(() => closed() > mine - 2 * AT_ONCE);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, open));
    await events.until(() => closed() >= until);
  };
  await run(WARM_UP);
  const before = { look: await lookInto(server, api), files: files() };
  await run(SESSIONS);

  // Connections that are kept alive, MCP sessions not swept away yet and what the keeper is still putting away are no
  // leak: they go by themselves.
  let after = await lookInto(server, api);
  const leaks = (): string[] => {
    const grown = {
      processes: childrenOf(server.pid, keeperPid()).filter((pid) => pid !== keeperPid()).length,
      files: files().length - before.files.length,
      descriptors: after.descriptors - before.look.descriptors,
      timers: after.timers - before.look.timers - TIMERS_SLACK,
      heap: Math.max(0, after.heap - before.look.heap - HEAP_SLACK - HEAP_PER_SESSION * SESSIONS),
    };
    return Object.entries(grown).flatMap(([what, by]) => (by > 0 ? [`${what}: ${by} more`] : []));
  };
  for (let looks = 0; looks < MOST_LOOKS && leaks().length > 0; looks += 1) {
    await pause(500);
    after = await lookInto(server, api);
  }
  expect(leaks()).toEqual([]);
  expect(files()).toEqual(before.files);
  const sessions = await archived(api);
  expect(sessions).toHaveLength(WARM_UP + SESSIONS);
  // eslint-disable-next-line no-console
  console.info(`${SESSIONS} sessions; before and after: ${JSON.stringify([before.look, after])}`);
  events.ws.terminate();
  server.signal('SIGTERM');
  expect((await server.finished()).code).toBe(0);
  if (engine !== undefined) {
    expect(
      await leftIn(engine, readFileSync(join(project.folder, '.coral/instance'), 'utf8').trim()),
    ).toEqual([]);
    engine.close();
  }
  // A session's output may be kept with it; nobody else's is.
  const output = readdirSync(join(project.folder, '.coral/output'));
  expect(sessions).toEqual(expect.arrayContaining(output));
  expect(stored()).toEqual({ sessions, open: 0, kinds: ['namespaces', 'session'], strays: 0, sealed: 0 });
}, 600_000);
