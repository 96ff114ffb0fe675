import { createServer, type AddressInfo } from 'node:net';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTimeOf } from '../../src/process-identity.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;
beforeEach(() => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/patient.yaml': definition(
      'patient',
      '{executable: {path: sh, arguments: [-c, "echo $$; exec sleep 600"]}}',
    ),
    'teams/long.yaml': 'agents: {one: {use: patient}}',
  });
});
afterEach(() => project.remove());

/** A zombie that nobody has buried yet lives no more. */
const alive = (pid: string): boolean => startTimeOf(Number(pid)) !== undefined;

describe('coral serve', () => {
  it('says where it listens and shows the key it made once', async () => {
    const { server } = await project.serve();
    const [, key] = await server.saw(/The API key is (\S+) and is shown only now/);
    server.signal('SIGTERM');
    expect((await server.finished()).code).toBe(0);
    const again = await project.serve();
    await again.server.saw(/The API key lies in .*\.coral\/key/);
    expect(again.server.out).not.toContain(key);
  });

  it('wants the key', async () => {
    const { url } = await project.serve(['--auth.keys=good,better']);
    const status = async (key?: string): Promise<number> => {
      const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
      return (await fetch(`${url}/api/v1/local/namespace`, { headers })).status;
    };
    expect([await status('good'), await status('better'), await status('bad'), await status()]).toEqual([
      200, 200, 401, 401,
    ]);
  });

  it('lets commands in that may read its state folder, whatever its keys are', async () => {
    await project.serve(['--auth.keys=known-to-nobody-else']);
    const ps = project.start(['ps', `--stateDir=${join(project.folder, '.coral')}`]);
    expect((await ps.finished()).code).toBe(0);
    expect(ps.out + ps.err).toContain('No session lives.');
  });

  it('takes keys that are added while it runs, until they are revoked', async () => {
    const { url } = await project.serve();
    const add = project.start(['keys', 'add', '--name=ci', '--json']);
    expect((await add.finished()).code).toBe(0);
    const { id, key } = JSON.parse(add.out) as { id: string; key: string };
    const status = async (): Promise<number> =>
      (await fetch(`${url}/api/v1/local/namespace`, { headers: { authorization: `Bearer ${key}` } })).status;
    expect(await status()).toBe(200);
    const list = project.start(['keys', 'list']);
    expect((await list.finished()).code).toBe(0);
    expect(list.out).toContain(id);
    expect(list.out).not.toContain(key);
    expect((await project.start(['keys', 'revoke', 'ci']).finished()).code).toBe(0);
    expect(await status()).toBe(401);
    expect((await project.start(['keys', 'revoke', 'ci']).finished()).code).toBe(2);
  });

  it('tells machines where it listens', async () => {
    const server = project.start(['serve', '--network.bind-port=0', '--json']);
    const [line] = await server.saw(/\{.*\}/);
    const { url, pid, stateDir } = JSON.parse(line);
    expect([pid, stateDir]).toEqual([server.pid, join(project.folder, '.coral')]);
    expect((await fetch(`${url}/ready`)).status).toBe(200);
  });

  it('ends in good order on SIGTERM: agents stopped, sessions ended, the lock given back', async () => {
    const { server } = await project.serve();
    const run = project.start(['run', 'long', '--logs']);
    const [, pid = ''] = await run.saw(/one +\| (\d+)/);
    server.signal('SIGTERM');
    expect((await server.finished()).code).toBe(0);
    expect(alive(pid)).toBe(false);
    const { code, out, err } = await run.finished();
    expect(out, err).toMatch(/The server was shut down/);
    expect(code).toBe(1);
    expect(readdirSync(join(project.folder, '.coral')).filter((name) => name.startsWith('lock'))).toEqual([]);
    const shown = JSON.parse((await project.coral(['show', '--json'])).out);
    expect(shown.agents[0].exit).toMatchObject({ reason: 'stopped', cause: 'shutdown' });
  });

  it('leaves at once on a second signal, and kills the agents first', async () => {
    project.write(
      'agents/patient.yaml',
      definition(
        'patient',
        `{executable: {path: sh, arguments: [-c, "trap '' TERM; echo $$; while :; do sleep 1; done"]}}`,
      ),
    );
    const { server } = await project.serve();
    const run = project.start(['run', 'long', '--logs']);
    const [, pid = ''] = await run.saw(/one +\| (\d+)/);
    server.signal('SIGINT');
    await server.saw(/Stopping in good order/);
    server.signal('SIGINT');
    expect((await server.finished()).code).toBe(130);
    expect(alive(pid)).toBe(false);
  });

  it('keeps a second server out of its state folder', async () => {
    const { server, url } = await project.serve();
    const { code, err } = await project.coral(['serve', '--network.bind-port=0']);
    expect(err).toContain(`in use by process ${server.pid}`);
    expect(err).toContain(url);
    expect(code).toBe(1);
    const other = project.start(['serve', '--network.bind-port=0', '--state-dir', 'elsewhere']);
    await other.saw(/listens on/);
  });

  it('says who holds the port and which flag to change, and leaves no lock behind', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    try {
      const { port } = holder.address() as AddressInfo;
      const { code, err } = await project.coral(['serve', `--network.bind-port=${port}`]);
      expect(err).toContain(`127.0.0.1:${port} is in use by`);
      expect(err).toContain('--network.bind-port');
      expect(code).toBe(1);
    } finally {
      holder.close();
    }
    await project.serve();
  });

  it('refuses a bad configuration before anything starts', async () => {
    project.write('coral.config.yaml', 'network: {bindPort: -1}\njournal: {kind: paper}\n');
    const { code, err } = await project.coral(['serve']);
    expect(err).toMatch(/coral\.config\.yaml:1: .*bindPort/);
    expect(err).toMatch(/coral\.config\.yaml:2: .*sqlite, memory/);
    expect(code).toBe(2);
    expect(readdirSync(project.folder)).not.toContain('.coral');
  });

  it('refuses a journal of a newer version', async () => {
    await project.coral(['ps', '--all']);
    const { default: Database } = await import('better-sqlite3');
    const database = new Database(join(project.folder, '.coral', 'journal.db'));
    database.pragma('user_version = 999');
    database.close();
    const { code, err } = await project.coral(['serve', '--network.bind-port=0']);
    expect(err).toMatch(/journal\.db.*newer/);
    expect(code).toBe(1);
  });

  it('logs for machines when told so', async () => {
    project.write('agents/broken.yaml', 'agent: [');
    const { server } = await project.serve(['--logging.console-format=json']);
    const [line] = await server.saw(/^\{.*broken\.yaml.*\}$/m);
    expect(JSON.parse(line)).toMatchObject({ level: 'error' });
  });

  it('keeps its secrets for its owner', async () => {
    const { server } = await project.serve();
    const key = readFileSync(join(project.folder, '.coral', 'key'), 'utf8').trim();
    expect(key.length).toBeGreaterThanOrEqual(22);
    server.signal('SIGTERM');
    expect((await server.finished()).err).not.toContain(key);
  });
});
