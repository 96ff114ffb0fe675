/** The built server on a small disk that fills up: logs give way first, then new work; what runs, runs, and all comes back. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CoralClient } from '../../src/client/index.ts';
import type { SessionIdentifier, CoralError } from '../../src/client/index.ts';
import { startTimeOf } from '../../src/process-identity.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;
let disk: string;
let isMounted: boolean;

beforeEach(() => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/ticker.yaml': definition(
      'ticker',
      '{executable: {path: sh, arguments: [-c, "echo pid $$; i=0; while :; do i=$((i+1)); echo tick $i; echo $i > ticks; sleep 0.02; done"]}}',
    ),
    'teams/ticks.yaml': 'agents: {ticker: {use: ticker}}',
  });
  disk = join(project.folder, '.coral');
  mkdirSync(disk);
  isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'coral-test', disk]).status === 0;
});
afterEach(async () => {
  await project.remove().catch(() => undefined); // the mount point itself is busy
  if (isMounted) spawnSync('umount', ['-l', disk]);
  await project.remove();
});

/** Takes all but `left` bytes of the disk. */
function fill(left: number): void {
  const { bavail, bsize } = statfsSync(disk);
  try {
    appendFileSync(join(disk, 'ballast'), Buffer.alloc(Math.max(0, bavail * bsize - left)));
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
  }
}

/** Asks until it holds. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await holds()); waited += 50) {
    if (waited > 30_000) throw new Error(`It never came to this: ${what}.`);
    await pause(50);
  }
}

it('refuses new work with 507, reads, kills no agent, and goes on when there is room', async (context) => {
  if (!isMounted) context.skip('mounting a small disk needs root');
  const { server, url } = await project.serve();
  const client = new CoralClient({ url, key: readFileSync(join(disk, 'key'), 'utf8').trim() });
  const open = (note = ''): Promise<SessionIdentifier> =>
    client.sessions.create({
      agentGraphRequest: {
        agents: [
          {
            id: { name: 'ticker', version: '1.0.0', registrySourceId: { type: 'local' } },
            name: 'ticker',
            provider: { type: 'local', runtime: 'executable' },
          },
        ],
        groups: [['ticker']],
      },
      namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'test' } },
      annotations: { note },
      ...(note !== '' && { execution: { mode: 'defer' } }),
    });
  const lastLine = async (key: SessionIdentifier): Promise<string> => {
    let last = '';
    for await (const { text } of client.archive.logs(key)) last = text;
    return last;
  };
  /** What the agent itself has counted to, on another disk. */
  const ticks = (): number => Number(readFileSync(join(project.folder, 'agents/ticks'), 'utf8'));
  const key = await open();
  let pid = '';
  await until('the agent has said its pid', async () => {
    for await (const { text } of client.archive.logs(key)) pid = /^pid (\d+)$/.exec(text)?.[1] ?? pid;
    return pid !== '';
  });

  // Nearly full: what agents print gives way, and the journal takes all that comes.
  fill(1024 * 1024);
  let kept = '';
  await until('it prints on, and nothing of that is kept', async () => {
    kept = await lastLine(key);
    const before = ticks();
    await until('it has printed on', async () => ticks() > before + 50);
    return (await lastLine(key)) === kept;
  });
  await client.sessions.close(await open('x'));

  // Full: new work is refused. Filled further, so that at no moment there is room for lines again.
  fill(0);
  const refused = await (async () => {
    for (;;) {
      try {
        await open('x'.repeat(4_000));
      } catch (error) {
        return error as CoralError;
      }
    }
  })();
  expect(refused).toMatchObject({ status: 507, code: 'storage_full' });
  expect(refused.message).toContain(join(disk, 'journal.db'));
  expect((await client.ready()).ready).toBe(false);
  expect((await client.sessions.extended(key)).agents).toMatchObject([{ status: { type: 'running' } }]);
  expect(await lastLine(key)).toBe(kept);
  expect(await client.namespaces.extended()).toHaveLength(1);
  expect(startTimeOf(Number(pid))).toBeDefined();

  rmSync(join(disk, 'ballast'));
  await until('it takes work again', async () => (await client.ready()).ready);
  await client.sessions.close(await open());
  await until('lines are kept again', async () => (await lastLine(key)) !== kept);
  expect(startTimeOf(Number(pid))).toBeDefined();
  await client.sessions.close(key);
  expect(startTimeOf(Number(pid))).toBeUndefined();
  server.signal('SIGTERM');
  expect((await server.finished()).code).toBe(0);
});
