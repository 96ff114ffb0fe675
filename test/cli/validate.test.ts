import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;
beforeEach(() => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/fine.yaml': definition('fine', '{scripted: {run_for: 1ms}}', '{COUNT: {type: u8}}'),
    'teams/good.yaml': 'agents: {one: {use: fine}}',
  });
});
afterEach(() => project.remove());

describe('coral validate', () => {
  it('finds nothing wrong where nothing is, and says how much it looked at', async () => {
    expect(await project.coral(['validate'])).toEqual({ code: 0, out: '', err: '3 files: no fault.\n' });
  });

  it('finds the faults of a configuration and of everything it names', async () => {
    project.write('coral.config.yaml', `${CONFIG}netwrok: {bindPort: 1}\n`);
    project.write('agents/broken.yaml', definition('Broken', '{executable: {path: ""}}'));
    project.write(
      'teams/bad.yaml',
      'agents:\n  one:\n    use: fine\n    options: {COUNT: 300}\n  two: {use: fin}\n',
    );
    const { code, out } = await project.coral(['validate']);
    expect(out).toMatch(/^warning: coral\.config\.yaml:4: `netwrok` means nothing.*`network`/m);
    expect(out).toMatch(/^error: agents\/broken\.yaml:\d+: .*agent\.name/m);
    expect(out).toMatch(/^error: agents\/broken\.yaml:\d+: .*runtimes\.executable\.path/m);
    expect(out).toMatch(/^error: teams\/bad\.yaml:4: .*COUNT/m);
    expect(out).toMatch(/^error: teams\/bad\.yaml:5: .*fin/m);
    expect(code).toBe(2);
  });

  it('is content with warnings', async () => {
    project.write('coral.config.yaml', `${CONFIG}netwrok: {bindPort: 1}\n`);
    const { code, err } = await project.coral(['validate', 'coral.config.yaml']);
    expect([code, err]).toEqual([0, '3 files: 1 warning.\n']);
  });

  it('holds a team against the agents of the nearest configuration', async () => {
    project.write('elsewhere/other.yaml', 'agents: {one: {use: nobody}}');
    const { code, out } = await project.coral(['validate', 'elsewhere/other.yaml']);
    expect(out).toMatch(/^error: elsewhere\/other\.yaml:1: .*nobody/m);
    expect(code).toBe(2);
  });

  it('looks at everything in a folder', async () => {
    project.write('agents/notes.yaml', 'just: notes');
    const { err, out } = await project.coral(['validate', 'agents']);
    expect([out, err]).toEqual(['', '1 file: no fault.\n']);
  });

  it.each([
    ['missing.yaml', 'missing: x', /does not exist|cannot be read/],
    ['half.yaml', 'agents: {one: [', /half\.yaml:1: .*YAML/],
    ['strange.yaml', 'just: notes', /neither an agent definition/],
    ['coral.config.toml', 'a = ', /coral\.config\.toml:1: .*TOML/],
  ])('says what is wrong with %s', async (file, text, message) => {
    if (!file.startsWith('missing')) project.write(`x/${file}`, text);
    const { code, out } = await project.coral(['validate', `x/${file}`]);
    expect(out).toMatch(message);
    expect(code).toBe(2);
  });

  it('tells machines', async () => {
    project.write('teams/bad.yaml', 'agents: {one: {use: fine, optins: {}}}');
    const { code, out } = await project.coral(['validate', '--json', 'teams/bad.yaml']);
    expect(JSON.parse(out).faults).toMatchObject([{ severity: 'error', line: 1 }]);
    expect(code).toBe(2);
  });
});
