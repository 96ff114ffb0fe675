import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTimeOf } from '../../src/process-identity.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;
beforeEach(() => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/quick.yaml': definition('quick', '{scripted: {run_for: 20ms, output: [hello]}}'),
    'agents/broken.yaml': definition(
      'broken',
      '{executable: {path: sh, arguments: [-c, "echo some trouble >&2; exit 3"]}}',
    ),
    'agents/patient.yaml': definition(
      'patient',
      '{executable: {path: sh, arguments: [-c, "echo $$; exec sleep 600"]}}',
    ),
    'agents/missing.yaml': definition('missing', '{executable: {path: no-such-program-here}}'),
    'agents/typed.yaml': definition(
      'typed',
      '{scripted: {run_for: 1ms}}',
      '{COUNT: {type: u8, required: true}, TOKEN: {type: string, secret: true}, WORD: {type: string}}',
    ),
    'teams/good.yaml': 'agents: {one: {use: quick}, two: {use: quick}}',
    'teams/bad.yaml': 'agents: {one: {use: quick}, two: {use: broken}}',
    'teams/lost.yaml': 'agents: {one: {use: missing}}',
    'teams/long.yaml': 'agents: {one: {use: patient}}',
    'teams/late.yaml': 'agents: {one: {use: patient}}\nsession: {ttl: 200ms}',
    'teams/typed.yaml': `
inputs: {count: {description: How many}, word: {description: A word, default: so}}
agents: {one: {use: typed, options: {COUNT: "\${inputs.count}", TOKEN: "\${env.TOKEN}", WORD: "\${inputs.word}"}}}
`,
  });
});
afterEach(() => project.remove());

describe('the exit code of coral run', () => {
  it('is 0 when every agent completed', async () => {
    const { code, out } = await project.coral(['run', 'good']);
    expect(out).toMatch(/one +✓ completed/);
    expect(out).toMatch(/✓ 2 agents completed after \d+s\./);
    expect(code).toBe(0);
  });

  it('is 1 when one failed, which is named with its last words', async () => {
    const { code, out } = await project.coral(['run', 'bad']);
    expect(out).toMatch(/two +✗ failed \(exit code 3\)/);
    expect(out).toMatch(/\| some trouble/);
    expect(out).toMatch(/✗ 1 of 2 agents failed after \d+s: two\./);
    expect(code).toBe(1);
  });

  it('is 1 when one could not be launched, and says where it was looked for', async () => {
    const { code, out } = await project.coral(['run', 'lost']);
    expect(out).toMatch(/✗ launch failed.*no-such-program-here/);
    expect(code).toBe(1);
  });

  it('is 124 when the ttl ended it', async () => {
    const { code, out } = await project.coral(['run', 'late']);
    expect(out).toMatch(/time \(ttl\) was up/);
    expect(code).toBe(124);
  });

  it('is 130 after Ctrl-C, and the agents are gone', async () => {
    const run = project.start(['run', 'long', '--logs']);
    const [, pid] = await run.saw(/one +\| (\d+)/);
    run.signal('SIGINT');
    const { code, out, err } = await run.finished();
    expect(err).toMatch(/Closing the session in good order/);
    expect(out).toMatch(/one +■ stopped/);
    expect(code).toBe(130);
    expect(startTimeOf(Number(pid))).toBeUndefined();
  });

  it('is 130 after Ctrl-C twice, at once, and the agents are gone all the same', async () => {
    project.write(
      'agents/patient.yaml',
      definition(
        'patient',
        `{executable: {path: sh, arguments: [-c, "trap '' TERM; echo $$; while :; do sleep 1; done"]}}`,
      ),
    );
    const run = project.start(['run', 'long', '--logs']);
    const [, pid] = await run.saw(/one +\| (\d+)/);
    run.signal('SIGINT');
    await run.saw(/Closing the session in good order/);
    run.signal('SIGINT');
    expect((await run.finished()).code).toBe(130);
    expect(startTimeOf(Number(pid))).toBeUndefined();
  });

  it.each([
    [['run', 'godo'], /There is no team godo\. Did you mean `good`\?/],
    [['run'], /Say which team to run\. There is: .*good/],
    [['run', 'teams/none.yaml'], /There is no team file teams\/none\.yaml/],
    [['run', 'good', '--input', 'x'], /--input wants NAME=VALUE/],
    [['run', 'good', '--input', 'x=1'], /has no input `x`/],
    [['run', 'typed'], /--input count=/],
    [['run', 'typed', '-i', 'count=300', '-i', 'word=x'], /typed\.yaml:\d+: .*TOKEN/],
    [['run', 'good', '--no-such-flag'], /unknown option/],
    [['run', 'good', '--network.bind-port=x'], /--network\.bind-port: `network\.bindPort` must be a port/],
    [['no-such-command'], /unknown command/],
  ])('is 2 for %j', async (args, message) => {
    const { code, err } = await project.coral(args);
    expect(err).toMatch(message);
    expect(code).toBe(2);
  });
});

describe('coral run', () => {
  it('names every fault of a team at once', async () => {
    project.write('teams/wrong.yaml', 'agents:\n  one: {use: quik}\n  two: {use: quick, options: {X: 1}}\n');
    const { code, err } = await project.coral(['run', 'wrong']);
    expect(err).toMatch(/teams\/wrong\.yaml:2: .*quik/);
    expect(err).toMatch(/teams\/wrong\.yaml:3: .*X/);
    expect(code).toBe(2);
  });

  it('prints the request of a team with --dry-run, without what is secret', async () => {
    const { code, out } = await project.coral(['run', 'typed', '--dry-run', '-i', 'count=7'], {
      TOKEN: 'hush',
    });
    expect(code).toBe(0);
    const [agent] = JSON.parse(out).agentGraphRequest.agents;
    expect(agent.options).toEqual({
      COUNT: { type: 'u8', value: 7 },
      TOKEN: { type: 'string', value: '***' },
      WORD: { type: 'string', value: 'so' },
    });
    expect(out).not.toContain('hush');
  });

  it('takes a team file that the configuration does not know', async () => {
    project.write('elsewhere/other.yaml', 'agents: {one: {use: quick}}');
    expect((await project.coral(['run', 'elsewhere/other.yaml'])).code).toBe(0);
  });

  it('tells every event and the end as JSON', async () => {
    const { out, code } = await project.coral(['run', 'bad', '--json']);
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toMatchObject({ type: 'session_opened', seq: 1 });
    expect(lines.at(-1)).toMatchObject({
      type: 'run_ended',
      namespace: 'bad',
      exitCode: 1,
      cause: 'agents_exited',
      agents: { one: { reason: 'completed' }, two: { reason: 'failed', exitCode: 3 } },
    });
    expect(code).toBe(1);
  });

  it('shows what the agents print with --logs', async () => {
    const { out } = await project.coral(['run', 'good', '--logs']);
    expect(out.match(/(one|two) +\| hello/g)).toHaveLength(2);
  });

  it('says nothing with --quiet when all is well', async () => {
    expect(await project.coral(['run', 'good', '-q'])).toEqual({ code: 0, out: '', err: '' });
  });

  it('uses the server that holds the state folder, and leaves it running', async () => {
    const { server, url } = await project.serve();
    expect((await project.coral(['run', 'good'])).code).toBe(0);
    expect(server.err).toBe('');
    expect((await fetch(`${url}/health`)).status).toBe(200);
    const { out } = await project.coral(['ps', '--all', '--json']);
    expect(JSON.parse(out)).toMatchObject({ namespace: 'good', status: { type: 'closed' } });
  });

  it('is interrupted on a server that goes on', async () => {
    const { url } = await project.serve();
    const run = project.start(['run', 'long', '--logs']);
    await run.saw(/one +\| \d+/);
    run.signal('SIGINT');
    expect((await run.finished()).code).toBe(130);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it('says so when the server is lost on the way', async () => {
    const { server } = await project.serve();
    const run = project.start(['run', 'long', '--logs']);
    await run.saw(/one +\| \d+/);
    await server.kill();
    const { code, err } = await run.finished();
    expect(err).toMatch(/cannot be reached|could not be resumed/);
    expect(code).toBe(1);
  });

  it('does not end its own server while another run uses it', async () => {
    const first = project.start(['run', 'long', '--logs']);
    await first.saw(/one +\| \d+/);
    const second = project.start(['run', 'long', '--logs']);
    await second.saw(/one +\| \d+/);
    const { out } = await project.coral(['ps', '--json']);
    const sessions = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).id as string);
    expect(sessions).toHaveLength(2);
    // The older one is the first run's.
    expect((await project.coral(['stop', sessions[1]!])).code).toBe(0);
    await first.saw(/it stays until they have ended/);
    second.signal('SIGINT');
    const { code, err } = await second.finished();
    expect([code, err]).toEqual([130, expect.not.stringMatching(/reached|resumed/)]);
    expect((await first.finished()).code).toBe(1);
  });

  it('colours only a terminal, or when it must', async () => {
    const plain = await project.coral(['run', 'good']);
    expect(plain.out).not.toContain('\u001b[');
    const forced = await project.coral(['run', 'good'], { FORCE_COLOR: '1' });
    expect(forced.out).toContain('\u001b[');
    const never = await project.coral(['run', 'good'], { FORCE_COLOR: '1', NO_COLOR: '1' });
    expect(never.out).not.toContain('\u001b[');
  });
});
