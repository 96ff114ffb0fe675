/** What a container prints is complete, wherever the server's clock stands that catches up with it: times in logs are the engine's. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ArchivedLines } from '../../src/http/archive-routes.ts';
import { Engine } from '../../src/runtimes/docker/engine.ts';
import { leftIn } from '../runtimes/docker/world.ts';
import { agentOf, Api } from '../support/api.ts';
import { CONFIG, definition, Project, type CoralProcess } from '../support/coral-process.ts';
import { BUSYBOX, busyboxImage } from '../support/docker-images.ts';
import { describeDocker, ENDPOINT } from '../support/docker.ts';
import { describeFakeTime, FakeTime } from '../support/fake-time.ts';

const HOUR = 3_600;
const KEY = 'a-key-of-this-test';
const COUNT = 'i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.02; done';

describeDocker('containers of a server', () => {
  describeFakeTime('whose clock jumps', () => {
    let project: Project;
    let engine: Engine;
    let server: CoralProcess;
    let api: Api;
    beforeEach(async () => {
      engine = new Engine({ endpoint: ENDPOINT });
      await busyboxImage(engine);
      const docker = { image: BUSYBOX, command: ['/bin/sh', '-c', COUNT], network: 'none', pull: 'never' };
      project = new Project({
        'coral.config.yaml': `${CONFIG}auth: {keys: [${KEY}]}\n`,
        'agents/counter.yaml': definition('counter', JSON.stringify({ docker })),
      });
    });
    afterEach(async () => {
      await project.coral(['stop', '--all']);
      const file = join(project.folder, '.coral', 'instance');
      if (existsSync(file)) expect(await leftIn(engine, readFileSync(file, 'utf8').trim())).toEqual([]);
      engine.close();
      await project.remove();
    });

    /** All that was printed so far, as it is kept. */
    const printed = async (id: string): Promise<number[]> => {
      const path = `/api/v1/archive/session/test/${id}/logs?limit=5000`;
      const { lines } = await api.get(ArchivedLines, path);
      return lines.flatMap(({ text }) => /^tick (\d+)$/.exec(text)?.[1] ?? []).map(Number);
    };

    it('say everything once, whatever the clock of the next server shows', async () => {
      const time = new FakeTime(project.folder);
      let id: string | undefined;
      let heard = 0;
      for (const seconds of [0, HOUR, -HOUR]) {
        time.shift(seconds);
        server = project.start(['serve', '--network.bind-port=0'], time.environment);
        const [, url = ''] = await server.saw(/listens on (http:\S+)/);
        // What tries the way back at every start would leave its container when it is killed.
        await server.saw(/Containers reach this server/);
        api = new Api(url, KEY);
        id ??= await api.open([agentOf('counter', 'docker')]);
        const before = heard;
        while (heard < before + 30) heard = (await printed(id)).length;
        time.shift(-seconds);
        while (heard < before + 60) heard = (await printed(id)).length;
        await server.kill();
      }
      const last = await project.serve();
      await last.server.saw(/Containers reach this server/);
      const { url } = last;
      api = new Api(url, KEY);
      const lines = await printed(id!);
      expect(lines.length).toBeGreaterThanOrEqual(heard);
      expect(lines).toEqual(lines.map((_, index) => index + 1));
    });
  });
});
