/**
 * The built server when its disk takes nothing any more: new work is refused, what runs, runs, and all comes back by
 * itself. A file system with files open for writing cannot be remounted read-only; that every file and folder of it is
 * immutable is the same to those who write.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CoralClient } from '../../src/client/index.ts';
import type { CoralError, SessionIdentifier } from '../../src/client/index.ts';
import { startTimeOf } from '../../src/process-identity.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;
let state: string;

beforeEach(() => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/ticker.yaml': definition(
      'ticker',
      '{executable: {path: sh, arguments: [-c, "echo pid $$; while :; do echo tick; sleep 0.1; done"]}}',
    ),
  });
  state = join(project.folder, '.coral');
});
afterEach(async () => {
  writable(true);
  await project.remove();
});

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

it('refuses new work with 503, reads, kills no agent, and goes on when it may be written again', async (context) => {
  const { server, url } = await project.serve();
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

  if (!writable(false))
    context.skip('files are made immutable by root, on a file system that knows the flag');
  const refused = await open().then(
    () => undefined,
    (error: unknown) => error as CoralError,
  );
  expect(refused).toMatchObject({ status: 503, code: 'storage_unavailable' });
  expect(refused?.message).toContain(join(state, 'journal.db'));
  expect((await client.ready()).ready).toBe(false);
  expect((await client.sessions.extended(key)).agents).toMatchObject([{ status: { type: 'running' } }]);
  expect(await client.namespaces.extended()).toHaveLength(1);
  expect(startTimeOf(Number(pid))).toBeDefined();

  expect(writable(true)).toBe(true);
  await until('it takes work again', async () => (await client.ready()).ready);
  await client.sessions.close(await open());
  expect(startTimeOf(Number(pid))).toBeDefined();
  await client.sessions.close(key);
  expect(startTimeOf(Number(pid))).toBeUndefined();
  server.signal('SIGTERM');
  expect((await server.finished()).code).toBe(0);
});
