/** The built server on a journal with bytes that flipped: it names the session they belong to and serves all others. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTimeOf } from '../../src/process-identity.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;

beforeEach(() => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/sleeper.yaml': definition(
      'sleeper',
      '{executable: {path: sh, arguments: [-c, "echo pid $$; exec sleep 600"]}}',
    ),
    'teams/good.yaml': 'agents: {unharmed: {use: sleeper}}',
    'teams/bad.yaml': 'agents: {stricken: {use: sleeper}}',
  });
});
afterEach(() => project.remove());

const journalFile = (): string => join(project.folder, '.coral', 'journal.db');
const alive = (pid: string): boolean => startTimeOf(Number(pid)) !== undefined;

/** Starts a team; its session and the pid of its agent. */
async function begin(team: string): Promise<{ id: string; pid: string }> {
  const run = project.start(['run', team, '--logs']);
  const [, pid = ''] = await run.saw(/pid (\d+)/);
  await run.kill();
  const { out } = await project.coral(['ps', '--json']);
  const [newest = ''] = out.split('\n');
  return { id: (JSON.parse(newest) as { id: string }).id, pid };
}

/** Changes every `from` in the file itself to `to`, as a disk does: under SQLite. */
function flip(from: string, to: string): void {
  const database = new Database(journalFile());
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
  const bytes = readFileSync(journalFile());
  let at = bytes.indexOf(from);
  expect(at).toBeGreaterThan(0);
  for (; at >= 0; at = bytes.indexOf(from, at + 1)) bytes.write(to, at);
  writeFileSync(journalFile(), bytes);
}

async function get(url: string, path: string): Promise<{ status: number; code?: string; message?: string }> {
  const key = readFileSync(join(project.folder, '.coral', 'key'), 'utf8').trim();
  const response = await fetch(url + path, { headers: { authorization: `Bearer ${key}` } });
  return { status: response.status, ...((await response.json()) as object) };
}

it('one session is in quarantine with its agent, the other goes on', async () => {
  const first = await project.serve();
  const good = await begin('good');
  const bad = await begin('bad');
  await first.server.kill();
  flip('"stricken"', '"strikken"');

  const checked = await project.coral(['journal', 'check']);
  expect(checked).toMatchObject({
    code: 1,
    out: expect.stringContaining(`Record 1 of session/${bad.id} is not what was written.`),
  });

  const { server, url } = await project.serve();
  await server.saw(new RegExp(`Session \\S+/${bad.id} is in quarantine and not served`));
  await server.saw(/Agents that run for sessions in quarantine: 1\. They are let be/);
  expect([alive(good.pid), alive(bad.pid)]).toEqual([true, true]);

  const listed = await project.coral(['ps']);
  expect(listed.out).toMatch(new RegExp(`/${good.id} +executed`));
  expect(listed.out).toMatch(new RegExp(`/${bad.id} +quarantined`));
  expect(listed.err).toContain(`of session/${bad.id} in the journal`);
  expect((await project.coral(['show', good.id])).out).toContain('unharmed');
  const doctor = await project.coral(['doctor']);
  expect(doctor).toMatchObject({ code: 1, out: expect.stringContaining('is in quarantine') });

  const namespace = (
    JSON.parse((await project.coral(['ps', '--json'])).out.split('\n')[0]!) as { namespace: string }
  ).namespace;
  for (const path of [
    `/api/v1/local/session/${namespace}/${bad.id}`,
    `/api/v1/local/session/${namespace}/${bad.id}/extended`,
    `/api/v1/local/session/${namespace}/${bad.id}/events`,
    `/api/v1/archive/session/${namespace}/${bad.id}`,
    `/api/v1/archive/session/${namespace}/${bad.id}/events`,
  ])
    expect(await get(url, path), path).toMatchObject({ status: 503, code: 'session_damaged' });
  expect(await get(url, '/ready')).toMatchObject({ status: 200 });

  expect((await project.coral(['stop', bad.id])).code).toBe(0);
  expect([alive(good.pid), alive(bad.pid)]).toEqual([true, false]);
  expect((await project.coral(['ps'])).out).not.toContain(bad.id);
  expect((await project.coral(['ps', '--all'])).out).toMatch(new RegExp(`/${bad.id} +closed`));
  server.signal('SIGTERM');
  expect((await server.finished()).code).toBe(0);
  expect(alive(good.pid)).toBe(false);
});

it('what was being written when the server was killed is cut off, and nothing else', async () => {
  const first = await project.serve();
  const good = await begin('good');
  await first.server.kill();
  // Half a frame, as a crash of the machine leaves it.
  const log = `${journalFile()}-wal`;
  const bytes = readFileSync(log);
  writeFileSync(log, Buffer.concat([bytes, bytes.subarray(32, 32 + 2000)]));

  await project.serve();
  expect(alive(good.pid)).toBe(true);
  expect((await project.coral(['show', good.id])).out).toContain('unharmed');
  expect((await project.coral(['stop', '--all'])).code).toBe(0);
  expect(alive(good.pid)).toBe(false);
});
