import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, definition, Project, PROGRAM } from '../support/coral-process.ts';

let project: Project;
beforeAll(async () => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/talker.yaml': definition(
      'talker',
      '{executable: {path: sh, arguments: [-c, "echo first; echo second; echo trouble >&2"]}}',
      '{URL: {type: string, default: "x", display: {description: Where it looks}}, TOKEN: {type: string, secret: true, default: hush}}',
    ),
    'teams/short.yaml':
      'description: A short one.\nagents: {one: {use: talker}, two: {use: talker}}\nsession: {annotations: {owner: me}}',
  });
  expect((await project.coral(['run', 'short'])).code).toBe(0);
});
afterAll(() => project.remove());

const lines = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

const COMMANDS = 'run serve validate agents ps show logs events stop export doctor journal init dev'.split(
  ' ',
);

describe('help', () => {
  it('names every command', async () => {
    const { code, out } = await project.coral(['--help']);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^  ${command} `, 'm'));
  });

  it.each(COMMANDS)('of %s has examples', async (command) => {
    const { code, out } = await project.coral([command, '--help']);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`Examples:\\n  \\$ coral ${command}`));
  });
});

describe('journal', () => {
  it('is whole, can be copied once to a place, and compacted', async () => {
    const { code, out } = await project.coral(['journal', 'check']);
    expect([code, out]).toEqual([0, expect.stringMatching(/journal\.db is whole: \d+ streams, \d+ events/)]);
    const copy = await project.coral(['journal', 'backup', 'copy.db', '--json']);
    expect(JSON.parse(copy.out)).toMatchObject({ bytes: expect.any(Number) });
    expect(existsSync(join(project.folder, 'copy.db'))).toBe(true);
    expect((await project.coral(['journal', 'backup', 'copy.db'])).code).not.toBe(0);
    expect((await project.coral(['journal', 'compact'])).out).toMatch(/had \d+ bytes and has \d+ now/);
    expect((await project.coral(['ps', '--all'])).out).toContain('short/');
  });
});

describe('on an archived session, without a server that runs', () => {
  it('ps lists what lives: nothing; with --all everything', async () => {
    expect((await project.coral(['ps'])).err).toMatch(/No session lives/);
    const { out } = await project.coral(['ps', '--all']);
    expect(out).toMatch(
      /^SESSION +STATUS +AGE +AGENTS\nshort\/\S+ +closed +\d+s +one completed, two completed$/m,
    );
    expect(lines((await project.coral(['ps', '--all', '--json'])).out)).toMatchObject([
      { namespace: 'short', annotations: { owner: 'me' }, agents: [{ name: 'one' }, { name: 'two' }] },
    ]);
  });

  it('show tells of the agents, also by the end of the id', async () => {
    const [{ id }] = lines((await project.coral(['ps', '--all', '--json'])).out) as [{ id: string }];
    const { out } = await project.coral(['show', id.slice(-6)]);
    expect(out).toContain(`short/${id}`);
    expect(out).toMatch(/one +talker@1\.0\.0 +✓ completed/);
    const { code, err } = await project.coral(['show', 'nowhere']);
    expect(err).toMatch(/There is no session nowhere/);
    expect(code).toBe(2);
  });

  it('logs tells who printed what, and the last lines of one', async () => {
    const { out } = await project.coral(['logs']);
    expect(out.match(/(one|two) +\| first/g)).toHaveLength(2);
    expect(out.match(/(one|two) +! trouble/g)).toHaveLength(2);
    const last = await project.coral(['logs', '-a', 'two', '-n', '1', '--json']);
    expect(lines(last.out)).toMatchObject([{ agent: 'two' }]);
  });

  it.each([['logs'], ['events']])('%s -f ends with the session', async (command) => {
    expect((await project.coral([command, '-f'])).code).toBe(0);
  });

  it('events and export tell the same story', async () => {
    const events = lines((await project.coral(['events', '--json'])).out);
    const file = join(project.folder, 'story.jsonl');
    expect((await project.coral(['export', '-o', 'story.jsonl'])).code).toBe(0);
    expect(lines(readFileSync(file, 'utf8'))).toEqual(events);
    expect(lines((await project.coral(['export'])).out)).toEqual(events);
    expect(events[0]).toMatchObject({ type: 'session_opened', seq: 1 });
    const later = lines((await project.coral(['events', '--json', '--after', '3'])).out);
    expect(later).toEqual(events.slice(3));
  });

  it('stop says that nothing runs', async () => {
    const { code, err } = await project.coral(['stop', '--all']);
    expect(err).toMatch(/No server holds/);
    expect(code).toBe(2);
  });

  it.each(['events', 'export', 'events -f', 'logs -f', 'run short --logs'])(
    '%s ends well when nobody reads on',
    async (command) => {
      const script = `{ "$0" "$1" ${command}; echo "code $?" >&2; } | true`;
      const child = spawn('sh', ['-c', script, process.execPath, PROGRAM], {
        cwd: project.folder,
        env: { PATH: process.env['PATH'], HOME: project.folder },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let err = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
      await once(child, 'close');
      expect(err).toBe('code 0\n');
    },
  );

  it('leaves no server behind', () => {
    expect(existsSync(join(project.folder, '.coral', 'lock'))).toBe(false);
  });
});

describe('coral agents', () => {
  it('lists agents and teams', async () => {
    const { out } = await project.coral(['agents']);
    expect(out).toMatch(/^talker +1\.0\.0 +executable +Test\.$/m);
    expect(out).toMatch(/^short +one, two +A short one\.$/m);
  });

  it('shows one with its options, but no secret', async () => {
    const { out } = await project.coral(['agents', 'talker']);
    expect(out).toMatch(/^URL +string +"x" +Where it looks$/m);
    expect(out).not.toContain('hush');
    const json = await project.coral(['agents', 'talker@1.0.0', '--json']);
    expect(JSON.parse(json.out)).toMatchObject({ name: 'talker', options: { TOKEN: { secret: true } } });
    expect(json.out).not.toContain('hush');
  });

  it('names the nearest of one that is not there', async () => {
    const { code, err } = await project.coral(['agents', 'talkr']);
    expect(err).toMatch(/There is no agent talkr\. Did you mean `talker`\?/);
    expect(code).toBe(2);
  });

  it('has the built-in ones when told so', async () => {
    const { out } = await project.coral(['agents', '--registry.include-debug-agents']);
    for (const name of ['puppet', 'echo', 'seed', 'tool', 'socket'])
      expect(out).toMatch(new RegExp(`^${name} +1\\.0\\.0 +function`, 'm'));
  });
});
