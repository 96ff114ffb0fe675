/** A copy of the journal of a server that is being written to, and a server that goes on with the copy. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CoralClient } from '../../src/client/index.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;

beforeEach(() => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/worker.yaml': definition(
      'worker',
      '{executable: {path: sh, arguments: [-c, "echo token $TOKEN; exec sleep 600"]}}',
      '{TOKEN: {type: string, secret: true}}',
    ),
  });
});
afterEach(() => project.remove());

const state = (...path: string[]): string => join(project.folder, '.coral', ...path);
const clientOf = (url: string): CoralClient =>
  new CoralClient({ url, key: readFileSync(state('key'), 'utf8').trim() });
const open = async (client: CoralClient, note: string, mode: 'defer' | 'immediate'): Promise<string> => {
  const { sessionId } = await client.sessions.create({
    agentGraphRequest: {
      agents: [
        {
          id: { name: 'worker', version: '1.0.0', registrySourceId: { type: 'local' } },
          name: 'worker',
          provider: { type: 'local', runtime: 'executable' },
          options: { TOKEN: { type: 'string', value: 'a-value-nobody-may-see' } },
        },
      ],
      groups: [['worker']],
    },
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'test' } },
    annotations: { note },
    execution: { mode },
  });
  return sessionId;
};

it('is consistent, holds all that was acknowledged before, and can be restored', async () => {
  const { server, url } = await project.serve();
  const client = clientOf(url);
  const before = [await open(client, 'x', 'defer')];
  let copied = false;
  const writing = Promise.all(
    ['a', 'b', 'c'].map(async (writer) => {
      for (let n = 0; !copied; n += 1) {
        const id = await open(client, `${writer}${n} ${'x'.repeat(2_000)}`, 'defer');
        if (n < 20) before.push(id);
      }
    }),
  );
  while (before.length < 50) await client.namespaces.list();
  const acknowledged = [...before];
  const copy = join(project.folder, 'copy.db');
  const done = await project.coral(['journal', 'backup', 'copy.db']);
  copied = true;
  await writing;
  expect(done).toMatchObject({
    code: 0,
    out: expect.stringMatching(/copy\.db holds a copy of .*journal\.db/),
  });
  expect((statSync(copy).mode & 0o777).toString(8)).toBe('600');
  expect(readFileSync(copy).includes('a-value-nobody-may-see')).toBe(false);
  expect(readdirSync(state('copies'))).toEqual([]);
  expect((await project.coral(['journal', 'backup', 'copy.db'])).err).toContain('exists already');

  server.signal('SIGTERM');
  expect((await server.finished()).code).toBe(0);
  for (const name of ['journal.db', 'journal.db-wal', 'journal.db-shm']) rmSync(state(name), { force: true });
  copyFileSync(copy, state('journal.db'));
  expect((await project.coral(['journal', 'check'])).code).toBe(0);
  const again = clientOf((await project.serve()).url);
  const [found] = await again.namespaces.extended();
  expect(found!.sessions.map(({ id }) => id)).toEqual(expect.arrayContaining(acknowledged));
  // With the vault of the same folder, its secrets too.
  const [first] = acknowledged;
  const session = { namespace: 'test', sessionId: first! };
  await again.sessions.execute(session, {});
  for await (const line of again.logs(session)) {
    expect(line.text).toMatch(/^token /);
    break;
  }
  await again.sessions.close(session);
});

it('a session whose secrets were not restored is not launched without them', async () => {
  const { server, url } = await project.serve();
  const sessionId = await open(clientOf(url), 'x', 'defer');
  expect((await project.coral(['journal', 'backup', 'copy.db'])).code).toBe(0);
  await server.kill();
  rmSync(state(), { recursive: true });
  mkdirSync(state());
  copyFileSync(join(project.folder, 'copy.db'), state('journal.db'));
  const again = clientOf((await project.serve()).url);
  await again.sessions.execute({ namespace: 'test', sessionId }, {});
  const { agents } = await again.finished({ namespace: 'test', sessionId });
  expect(agents).toMatchObject([
    { exit: { reason: 'launch_failed', detail: expect.stringContaining('TOKEN') } },
  ]);
  expect(existsSync(state('vault.db'))).toBe(true);
});
