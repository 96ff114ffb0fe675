/** The report team with its analyst in a container among local processes, on the whole server. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApp } from '../../src/app.ts';
import type { App } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import type { SessionRequest } from '../../src/domain/wire/request.ts';
import { Engine } from '../../src/runtimes/docker/engine.ts';
import { pythonImage } from '../support/docker-images.ts';
import { describeDocker, ENDPOINT } from '../support/docker.ts';
import { leftIn } from '../runtimes/docker/world.ts';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

describeDocker('a team with one agent in a container', () => {
  let folder: string;
  let app: App;
  let engine: Engine;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'coral-docker-team-'));
    engine = new Engine({ endpoint: ENDPOINT });
    await pythonImage(engine, 'coral/analyst:1.0.0', at('agents/analyst'), [
      'USER 10001:10001',
      'ENTRYPOINT ["python3", "-B", "/app/main.py"]',
    ]);
    const registry = `registry: {localAgents: [${at('registry/*.yaml')}], includeCoralHomeAgents: false}`;
    const more = [
      'network: {bindPort: 0}',
      registry,
      `teams: [${at('registry/teams/*.yaml')}]`,
      'docker: {policy: {maxMemory: 512MiB}}',
    ];
    writeFileSync(join(folder, 'coral.config.yaml'), more.join('\n'));
    const { config, faults } = readConfig({ environment: {}, cwd: folder });
    if (config === undefined) throw new Error(JSON.stringify(faults));
    app = await startApp(config);
  });
  afterAll(async () => {
    await app.close();
    engine.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('writes its report, and leaves nothing in the engine', async () => {
    const path = join(folder, 'project');
    mkdirSync(path);
    writeFileSync(join(path, 'main.py'), 'print("hello")\n# TODO more\n');
    const output = join(folder, 'report.md');
    const team = app.coral.registry.team('repo-report-docker')!;
    const request = team.request({ inputs: { path, output } }, {});
    if (Array.isArray(request)) throw new Error(JSON.stringify(request));
    const key = await app.coral.open(request as SessionRequest);
    const types: string[] = [];
    for await (const { event } of app.coral.feed.session(key, 0, new AbortController().signal)) {
      types.push(event.type);
      if (event.type === 'session_ended') break;
    }
    expect(existsSync(output)).toBe(true);
    expect(readFileSync(output, 'utf8')).toContain('Python');
    expect(types).toEqual(expect.arrayContaining(['docker_container_created', 'docker_container_removed']));
    expect(await leftIn(engine, app.coral.instance)).toEqual([]);
  });
});
