/** Servers and keepers of several versions of the program, in one state folder: an upgrade, and a step back. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { isAlive, startTimeOf } from '../../src/process-identity.ts';
import type { KeeperFile } from '../../src/runtimes/executable/keeper/protocol.ts';
import { OURS } from '../../src/runtimes/executable/keeper/versions.ts';
import { CONFIG, CoralProcess, definition, Project, PROGRAM } from '../support/coral-process.ts';
import { buildWith, type OtherBuild } from '../support/other-build.ts';

const VERSIONS = new URL('../../src/runtimes/executable/keeper/versions.ts', import.meta.url).pathname;

let folder: string;
/** Understands ours, too. */
let next: OtherBuild;
/** Understands nothing but itself. */
let foreign: OtherBuild;

function buildSpeaking(version: number, oldest: number): OtherBuild {
  const file = join(folder, `versions-${version}.ts`);
  const ours = `{ version: ${OURS.version}, oldest: ${OURS.oldest} }`;
  const text = readFileSync(VERSIONS, 'utf8');
  expect(text).toContain(ours);
  writeFileSync(file, text.replace(ours, `{ version: ${version}, oldest: ${oldest} }`));
  return buildWith({ [VERSIONS]: file });
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'coral-versions-'));
  next = buildSpeaking(OURS.version + 1, OURS.version);
  foreign = buildSpeaking(OURS.version + 2, OURS.version + 2);
});
afterAll(() => {
  next.remove();
  foreign.remove();
  rmSync(folder, { recursive: true, force: true });
});

let project: Project;
let servers: CoralProcess[];
beforeEach(() => {
  servers = [];
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/sleeper.yaml': definition(
      'sleeper',
      '{executable: {path: sh, arguments: [-c, "echo pid $$; exec sleep 600"]}}',
    ),
    'teams/sleep.yaml': 'agents: {sleeper: {use: sleeper}}',
  });
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.kill()));
  await project.coral(['stop', '--all']);
  await project.remove();
});

const keeper = (): KeeperFile =>
  JSON.parse(readFileSync(join(project.folder, '.coral/keeper/keeper.json'), 'utf8')) as KeeperFile;
const lives = (pid: string): boolean => startTimeOf(Number(pid)) !== undefined;

/** A server of one version, as soon as it listens. */
async function serve(program: string): Promise<CoralProcess> {
  const server = new CoralProcess(['serve', '--network.bind-port=0'], project.folder, {}, program);
  servers.push(server);
  await server.saw(/listens on (http:\S+)/);
  return server;
}

/** Launches an agent on the server that runs; its pid. */
async function launch(): Promise<string> {
  const run = project.start(['run', 'sleep', '--logs']);
  const [, pid = ''] = await run.saw(/sleeper +\| pid (\d+)/);
  await run.kill();
  return pid;
}

async function expectAdopted(pid: string, kept: KeeperFile): Promise<void> {
  expect(keeper()).toEqual(kept);
  const shown = await project.coral(['ps', '--json']);
  expect(shown.out).toContain('running');
  expect(lives(pid)).toBe(true);
}

it('goes on with the agents of a keeper that is older, or newer, and understands it', async () => {
  const old = await serve(PROGRAM);
  const pid = await launch();
  const kept = keeper();
  await old.kill();
  const newer = await serve(next.program);
  await expectAdopted(pid, kept);
  await newer.kill();
  await serve(PROGRAM);
  await expectAdopted(pid, kept);
  await project.coral(['stop', '--all']);
  expect(lives(pid)).toBe(false);

  // And the other way round: a step back.
  for (const server of servers) await server.kill();
  const first = await serve(next.program);
  const later = await launch();
  expect(keeper()).toMatchObject({ version: OURS.version + 1 });
  await first.kill();
  await serve(PROGRAM);
  await expectAdopted(later, keeper());
});

it('leaves the agents of a keeper that it does not understand as they are, and says what to do', async () => {
  const theirs = await serve(foreign.program);
  const pid = await launch();
  const kept = keeper();
  await theirs.kill();

  const sentence = `The keeper of agents (pid ${kept.pid}) is of another version of Coral`;
  for (const args of [['serve', '--network.bind-port=0'], ['ps']]) {
    const refused = await project.coral(args);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining(sentence)]);
    expect(refused.err).toContain('coral stop --all');
  }
  const doctor = await project.coral(['doctor']);
  expect([doctor.code, doctor.out]).toEqual([1, expect.stringContaining(sentence)]);
  expect([lives(pid), isAlive(kept)]).toEqual([true, true]);

  const again = await serve(foreign.program);
  await expectAdopted(pid, kept);
  await again.kill();
  const stopped = await project.coral(['stop', '--all']);
  expect([stopped.code, stopped.err]).toEqual([0, '']);
  expect([lives(pid), isAlive(kept)]).toEqual([false, false]);
  // What was theirs is in nobody's way any more.
  await serve(PROGRAM);
  expect((await project.coral(['ps', '--json'])).out).not.toContain('running');
});
