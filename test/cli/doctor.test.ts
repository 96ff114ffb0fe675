import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { CONFIG, definition, Project } from '../support/coral-process.ts';
import { describeDocker } from '../support/docker.ts';

let project: Project;
afterEach(() => project.remove());

const DOCKER = definition('boxed', '{docker: {image: coral-test/none}}');
const NO_ENGINE = '--docker.socket=/nowhere/docker.sock';

interface Report {
  readonly ok: boolean;
  readonly findings: { readonly name: string; readonly status: string; readonly says: string[] }[];
}
const reportOf = async (args: readonly string[] = []): Promise<{ code: number | null; report: Report }> => {
  const { code, out } = await project.coral(['doctor', '--json', ...args]);
  return { code, report: JSON.parse(out) as Report };
};

describe('coral doctor', () => {
  it('finds nothing wrong where nothing is, engine or not', async () => {
    project = new Project({
      'coral.config.yaml': CONFIG,
      'agents/plain.yaml': definition('plain', '{executable: {path: "true"}}'),
      'teams/one.yaml': 'agents: {one: {use: plain}}',
    });
    const { code, out } = await project.coral(['doctor', NO_ENGINE]);
    expect(out).toMatch(/^✓ node +Node 20\.|^✓ node +Node 2\d\./m);
    expect(out).toMatch(/^✓ configuration +.*coral\.config\.yaml is valid\.$/m);
    expect(out).toMatch(/^✓ state +.*\.coral is made at the first start; no server holds it\.$/m);
    expect(out).toMatch(/^✓ journal +There is none yet\.$/m);
    expect(out).toMatch(/^✓ registry +1 agent and 1 team\.$/m);
    expect(out).toMatch(/^! docker +There is no Docker engine at \/nowhere\/docker\.sock; start it/m);
    expect(code).toBe(0);
  });

  it('is not content without an engine when an agent needs one', async () => {
    project = new Project({ 'coral.config.yaml': CONFIG, 'agents/boxed.yaml': DOCKER });
    const { code, report } = await reportOf([NO_ENGINE]);
    expect([code, report.ok]).toEqual([1, false]);
    expect(report.findings.filter(({ status }) => status === 'wrong').map(({ name }) => name)).toEqual([
      'docker',
    ]);
  });

  it.each<[string, string, () => void, RegExp]>([
    [
      'configuration',
      'a key that is none',
      () => project.write('coral.config.yaml', 'network: {bindPort: many}'),
      /coral\.config\.yaml:1.*bindPort/,
    ],
    [
      'registry',
      'a definition that cannot be read',
      () => project.write('agents/broken.yaml', 'edition: 4\nagent: {name: broken}'),
      /broken\.yaml/,
    ],
    [
      'journal',
      'a journal that is none',
      () => {
        mkdirSync(join(project.folder, '.coral'));
        writeFileSync(join(project.folder, '.coral', 'journal.db'), 'no journal, but long enough to be read');
      },
      /journal/,
    ],
    [
      'state',
      'a state folder that is a file',
      () => writeFileSync(join(project.folder, '.coral'), ''),
      /\.coral is no folder.*--state-dir/,
    ],
  ])('says of the %s what is wrong with %s', async (name, _, damage, sentence) => {
    project = new Project({ 'coral.config.yaml': CONFIG });
    damage();
    const { code, report } = await reportOf([NO_ENGINE]);
    expect(code).toBe(1);
    const wrong = report.findings.filter(({ status }) => status === 'wrong');
    expect(wrong.map((finding) => finding.name)).toEqual([name]);
    expect(wrong[0]!.says.join(' ')).toMatch(sentence);
  });

  it.runIf(process.getuid?.() !== 0)('sees a state folder that is not writable', async () => {
    project = new Project({ 'coral.config.yaml': CONFIG });
    mkdirSync(join(project.folder, '.coral'));
    chmodSync(join(project.folder, '.coral'), 0o500);
    expect((await project.coral(['doctor', NO_ENGINE])).out).toMatch(/^✗ state +.*is not writable/m);
  });

  it('tells who holds the state folder, and leaves the journal alone', async () => {
    project = new Project({ 'coral.config.yaml': CONFIG });
    const { server, url } = await project.serve();
    const { code, out } = await project.coral(['doctor', NO_ENGINE]);
    expect(out).toContain(`process ${server.pid} holds it since`);
    expect(out).toContain(`and listens on ${url}.`);
    expect(out).toMatch(/^✓ journal +It is in use/m);
    expect(code).toBe(0);
    server.signal('SIGTERM');
    await server.finished();
    expect((await project.coral(['doctor', NO_ENGINE])).out).toMatch(/^✓ journal +It is whole: 0 streams/m);
  });
});

describeDocker('with an engine', () => {
  it('coral serve logs, and coral doctor tells, that containers reach the server', async () => {
    project = new Project({ 'coral.config.yaml': CONFIG, 'agents/boxed.yaml': DOCKER });
    const server = project.start(['serve', '--network.bind-port=0', '--docker.subnet-pool=10.207.65.0/24']);
    await server.saw(/Containers reach this server at 10\.207\.65\.\d+:\d+/);
    const { code, out } = await project.coral(['doctor', '--docker.subnet-pool=10.207.66.0/24']);
    expect(out).toMatch(/^✓ docker +\S.*, API 1\.\d+\.\n +Containers reach this machine at 10\.207\.66\./m);
    expect(code).toBe(0);
    server.signal('SIGTERM');
    expect((await server.finished()).code).toBe(0);
  });
});
