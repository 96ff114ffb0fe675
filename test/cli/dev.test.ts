import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;
beforeEach(() => {
  project = new Project();
});
afterEach(() => project.remove());

describe('coral dev', () => {
  it('leaves one agent to its author, who starts it with the environment that is printed', async () => {
    await project.coral(['init', '.', '--name', 'words', '-l', 'python']);
    const dev = project.start(['dev', 'words', 'words', '-i', 'question=one two']);
    await dev.saw(/Start words with this environment/);
    // The other one is launched and asks.
    await dev.saw(/asker +#question @words one two/);
    const exports = dev.out;
    const agent = spawn('sh', ['-c', `${exports}\nexec python3 -u main.py`], {
      cwd: join(project.folder, 'agents', 'words'),
      env: { PATH: process.env['PATH'] },
      stdio: 'ignore',
    });
    const closed = once(agent, 'close');
    const { code, err } = await dev.finished();
    expect(err).toMatch(/words +#question @asker That question has 2 words\./);
    expect(code).toBe(0);
    agent.kill('SIGKILL');
    await closed;
  });

  it('prints the options of the agent just as it would get them', async () => {
    project.write('coral.config.yaml', CONFIG);
    project.write(
      'agents/typed.yaml',
      definition(
        'typed',
        '{executable: {path: ./prog, arguments: ["a b"], environment: {FIXED: "1"}}}',
        '{WORD: {type: string}, LIST: {type: "list[string]", base64: true}, FILE: {type: string, transport: fs}, TOKEN: {type: string, secret: true}}',
      ),
    );
    project.write(
      'teams/one.yaml',
      `agents: {me: {use: typed, prompt: Be kind., options: {WORD: "it's", LIST: [a, b], FILE: inside, TOKEN: hush}}}`,
    );
    const dev = project.start(['dev', 'one', 'me', '--json']);
    await dev.saw(/"type":"start_by_hand".*\n/);
    const line = dev.out.split('\n').find((text) => text.includes('start_by_hand')) ?? '';
    const { environment, folder, command } = JSON.parse(line);
    expect(environment).toMatchObject({
      FIXED: '1',
      WORD: "it's",
      LIST: 'YQ==,Yg==',
      TOKEN: 'hush',
      CORAL_AGENT_ID: 'me',
      CORAL_RUNTIME_ID: 'executable',
      CORAL_PROMPT_SYSTEM: 'Be kind.',
    });
    expect([folder, command]).toEqual([join(project.folder, 'agents'), ['./prog', 'a b']]);
    const cat = spawn('cat', [environment.FILE], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [text] = await once(cat.stdout, 'data');
    expect(String(text)).toBe('inside');
    dev.signal('SIGINT');
    expect((await dev.finished()).code).toBe(130);
    // The file goes with the agent, and nobody else is shown the secret.
    const gone = spawn('cat', [environment.FILE], { stdio: 'ignore' });
    expect((await once(gone, 'close'))[0]).not.toBe(0);
    expect((await project.coral(['logs'])).out).not.toContain('hush');
  });

  it('names the agents of a team that has no such one', async () => {
    project.write('coral.config.yaml', CONFIG);
    project.write('agents/fine.yaml', definition('fine', '{scripted: {run_for: 1ms}}'));
    project.write('teams/one.yaml', 'agents: {first: {use: fine}}');
    const { code, err } = await project.coral(['dev', 'one', 'frist']);
    expect(err).toMatch(/The team has no agent frist\. Did you mean `first`\?/);
    expect(code).toBe(2);
  });
});
