import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Project } from '../support/coral-process.ts';

let project: Project;
beforeEach(() => {
  project = new Project();
});
afterEach(() => project.remove());

describe('coral init', () => {
  it.each(['typescript', 'python'])('makes a team in %s that runs at once', async (language) => {
    const made = await project.coral(['init', 'word-counter', '--language', language]);
    expect(made.code).toBe(0);
    expect(made.out).toMatch(/cd word-counter\n +coral run word-counter/);
    const run = await project.coral([
      'run',
      'word-counter',
      '-q',
      '-i',
      'question=one two three',
      '--config',
      'word-counter/coral.config.yaml',
    ]);
    expect(run).toEqual({ code: 0, out: 'That question has 3 words.\n', err: '' });
    const checked = await project.coral(['validate', 'word-counter']);
    expect([checked.code, checked.out]).toEqual([0, '']);
  });

  it('adds one more agent to a project, its comments kept', async () => {
    project.write(
      'coral.config.yaml',
      '# my project\nregistry:\n  local_agents: [mine/*] # all mine\nnetwork: { bind-port: 0 }\n',
    );
    const made = await project.coral(['init', '--name', 'second', '-l', 'python']);
    expect(made.out).toMatch(/changed +coral\.config\.yaml/);
    const text = readFileSync(join(project.folder, 'coral.config.yaml'), 'utf8');
    expect(text).toContain('# my project');
    expect(text).toContain('# all mine');
    expect((await project.coral(['run', 'second', '-q'])).code).toBe(0);
    await project.coral(['init', '--name', 'third', '-l', 'python']);
    expect(readFileSync(join(project.folder, 'coral.config.yaml'), 'utf8')).toBe(text);
    expect((await project.coral(['run', 'third', '-q'])).code).toBe(0);
  });

  it('overwrites nothing and writes nothing by halves', async () => {
    project.write('teams/mine.yaml', 'agents: {}');
    const { code, err } = await project.coral(['init', '--name', 'mine']);
    expect(err).toMatch(/Nothing was written: teams\/mine\.yaml .* would be overwritten/);
    expect(code).toBe(2);
    expect(existsSync(join(project.folder, 'agents'))).toBe(false);
  });

  it('leaves what a project has of its own', async () => {
    writeFileSync(join(project.folder, 'package.json'), '{"name": "mine", "type": "module"}');
    mkdirSync(join(project.folder, 'node_modules'));
    await project.coral(['init', '--name', 'mine']);
    expect(readFileSync(join(project.folder, 'package.json'), 'utf8')).toBe(
      '{"name": "mine", "type": "module"}',
    );
    expect(statSync(join(project.folder, 'node_modules', 'coral', 'package.json')).isFile()).toBe(true);
    expect((await project.coral(['run', 'mine', '-q'])).code).toBe(0);
  });

  it.each(['Upper', 'a--b', '-', 'x'.repeat(33), 'asker'])('refuses the name %s', async (name) => {
    const { code, err } = await project.coral(['init', `--name=${name}`]);
    expect(err).toMatch(/name/);
    expect(code).toBe(2);
  });

  it('makes a name of the folder’s', async () => {
    const { out } = await project.coral(['init', 'My Team!', '-l', 'python', '--json']);
    expect(JSON.parse(out)).toMatchObject({ name: 'my-team' });
  });
});
