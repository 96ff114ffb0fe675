/**
 * The built server when its disk takes nothing any more: new work is refused, and what runs, runs. Once because every file
 * and folder is immutable, which can be taken back, so that all comes back by itself; once because the kernel found its
 * file system damaged and made it read-only under those who write to it, which is for the life of the mount.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CoralClient } from '../../src/client/index.ts';
import type { CoralError, SessionIdentifier } from '../../src/client/index.ts';
import { startTimeOf } from '../../src/process-identity.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;
let state: string;
/** Undoes what a test did to the machine, last first. */
let undo: (() => void)[];

beforeEach(() => {
  undo = [];
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/ticker.yaml': `${definition(
      'ticker',
      '{executable: {path: sh, arguments: [-c, "echo pid $$; while :; do echo tick; sleep 0.1; done"]}}',
    )}timeouts: {stop: 500ms}\n`,
  });
  state = join(project.folder, '.coral');
});
afterEach(async () => {
  writable(true);
  await project.end();
  for (const step of undo.reverse()) step();
  await project.remove();
});

/** Runs a command; what it says, or undefined when it fails. */
function run(command: string, ...args: string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** A file system of its own for the state folder, that the kernel can be told to find damaged; undefined: there can be none. */
function ownFileSystem(): { fail(): void; mend(): boolean } | undefined {
  const image = join(project.folder, 'disk');
  writeFileSync(image, '');
  truncateSync(image, 48 * 1024 * 1024);
  if (run('mkfs.ext4', '-q', '-F', image) === undefined) return undefined;
  const device = run('losetup', '--find', '--show', image);
  if (device === undefined) return undefined;
  undo.push(() => void run('losetup', '--detach', device));
  mkdirSync(state);
  const mount = (): boolean => run('mount', '-o', 'errors=remount-ro', device, state) !== undefined;
  if (!mount()) return undefined;
  undo.push(() => void run('umount', '-l', state));
  return {
    fail: () => {
      // What the kernel still holds back would be lost, as when the power fails.
      run('sync', '--file-system', state);
      writeFileSync(`/sys/fs/ext4/${device.replace('/dev/', '')}/trigger_fs_error`, '1');
    },
    mend: () => {
      if (run('umount', state) === undefined) return false;
      spawnSync('e2fsck', ['-fy', device]);
      return mount();
    },
  };
}

/** Whether the state folder and what is in it may be changed. False: this system does not let us say so. */
function writable(may: boolean): boolean {
  // Sockets, which have no such flag, are passed over with a complaint.
  spawnSync('chattr', ['-R', may ? '-i' : '+i', state]);
  const { status } = spawnSync('touch', [join(state, 'written')]);
  return (status === 0) === may;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await holds()); waited += 50) {
    if (waited > 30_000) throw new Error(`It never came to this: ${what}.`);
    await pause(50);
  }
}

/** A session with an agent that runs, spoken with through a client of its own. */
async function begin(url: string) {
  const client = new CoralClient({ url, key: readFileSync(join(state, 'key'), 'utf8').trim() });
  const open = (): Promise<SessionIdentifier> =>
    client.sessions.create({
      agentGraphRequest: {
        agents: [
          {
            id: { name: 'ticker', version: '1.0.0', registrySourceId: { type: 'local' } },
            name: 'ticker',
            provider: { type: 'local', runtime: 'executable' },
          },
        ],
        groups: [],
      },
      namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'test' } },
    });
  const key = await open();
  let pid = '';
  await until('the agent has said its pid', async () => {
    for await (const { text } of client.archive.logs(key)) pid = /^pid (\d+)$/.exec(text)?.[1] ?? pid;
    return pid !== '';
  });
  return { client, open, key, runs: () => startTimeOf(Number(pid)) !== undefined };
}

type Begun = Awaited<ReturnType<typeof begin>>;

async function expectNothingTaken({ client, open, key, runs }: Begun): Promise<void> {
  const refused = await open().then(
    () => undefined,
    (error: unknown) => error as CoralError,
  );
  expect(refused).toMatchObject({ status: 503, code: 'storage_unavailable' });
  expect(refused?.message).toContain(join(state, 'journal.db'));
  expect((await client.ready()).ready).toBe(false);
  expect((await client.sessions.extended(key)).agents).toMatchObject([{ status: { type: 'running' } }]);
  expect(await client.namespaces.extended()).toHaveLength(1);
  expect(runs()).toBe(true);
}

it('refuses new work with 503, reads, kills no agent, and goes on when it may be written again', async (context) => {
  const { server, url } = await project.serve();
  const begun = await begin(url);
  const { client, open, key, runs } = begun;
  if (!writable(false))
    context.skip('files are made immutable by root, on a file system that knows the flag');
  await expectNothingTaken(begun);

  expect(writable(true)).toBe(true);
  await until('it takes work again', async () => (await client.ready()).ready);
  await client.sessions.close(await open());
  expect(runs()).toBe(true);
  await client.sessions.close(key);
  expect(runs()).toBe(false);
  server.signal('SIGTERM');
  expect((await server.finished()).code).toBe(0);
});

it('does the same on a file system that turned read-only, ends all the same, and goes on with what is there', async (context) => {
  const disk = ownFileSystem();
  if (disk === undefined) return context.skip('a file system of its own needs root, loop devices and ext4');
  const { server, url } = await project.serve();
  const begun = await begin(url);
  disk.fail();
  await expectNothingTaken(begun);

  // What cannot be written down keeps no server from ending, and no agent running.
  server.signal('SIGTERM');
  const { code, err } = await server.finished();
  expect([code, err]).toEqual([1, expect.stringContaining(begun.key.sessionId)]);
  expect(begun.runs()).toBe(false);
  await until('the disk is mended', async () => disk.mend());

  const next = await project.serve();
  const client = new CoralClient({ url: next.url, key: readFileSync(join(state, 'key'), 'utf8').trim() });
  await until('the session is over', async () => {
    const { base, agents } = await client.archive.state(begun.key);
    return base.status.type === 'closed' && agents.every(({ status }) => status.type === 'stopped');
  });
  await client.sessions.close((await begin(next.url)).key);
});
