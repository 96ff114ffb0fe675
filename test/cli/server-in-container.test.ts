/** The built server in a container of the engine whose containers it launches. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Engine } from '../../src/runtimes/docker/engine.ts';
import { removeContainer } from '../../src/runtimes/docker/remove.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';
import { NODE, nodeImage } from '../support/docker-images.ts';
import { describeDocker, ENDPOINT } from '../support/docker.ts';

const root = (path: string): string => realpathSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)));

/** Calls its endpoint once, and prints the answer's status and what its option file holds. */
const CALLER = `
const { request } = require('node:http');
const { readFileSync } = require('node:fs');
const url = new URL(process.env.CORAL_CONNECTION_URL);
const to = process.env.CORAL_SOCKET ? { socketPath: process.env.CORAL_SOCKET, path: url.pathname } : { host: url.hostname, port: url.port, path: url.pathname };
const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
request({ ...to, method: 'POST', headers }, (response) => {
  response.resume().on('end', () => console.log('answered ' + response.statusCode + ' ' + readFileSync(process.env.NOTE, 'utf8')));
}).end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }));
`;
const NETWORKS = ['session', 'internal', 'none'] as const;

describeDocker('a server in a container', () => {
  let project: Project;
  let engine: Engine;

  beforeEach(async () => {
    engine = new Engine({ endpoint: ENDPOINT });
    await nodeImage(engine);
    project = new Project({ 'coral.config.yaml': CONFIG });
    for (const network of NETWORKS) {
      const docker = { image: NODE, command: ['/usr/bin/node', '-e', CALLER], network, pull: 'never' };
      const options = `{NOTE: {type: string, transport: fs, default: "from ${network}"}}`;
      project.write(`agents/${network}.yaml`, definition(network, JSON.stringify({ docker }), options));
    }
    const agents = NETWORKS.map((network) => `${network}: {use: ${network}}`).join(', ');
    project.write('teams/all.yaml', `agents: {${agents}}\nsession: {ttl: 1m}`);
  });
  afterEach(async () => {
    engine.close();
    await project.remove();
  });

  /** A command in a container that has the engine's socket, and this project where it is on this machine. */
  const inContainer = async (args: readonly string[]): Promise<{ code: number; said: string }> => {
    const mount = (Source: string, Target = Source, ReadOnly = true): object => ({
      ...{ Type: 'bind', Source, Target, ReadOnly },
    });
    const { Id } = await engine.json<{ Id: string }>({
      method: 'POST',
      path: '/containers/create',
      body: {
        Image: NODE,
        Cmd: ['/usr/bin/node', '/coral/dist/main.js', ...args],
        WorkingDir: project.folder,
        Tty: true, // its output as it is, without frames
        HostConfig: {
          Init: true,
          Mounts: [
            mount(root('dist'), '/coral/dist'),
            mount(root('node_modules'), '/coral/node_modules'),
            mount(root('package.json'), '/coral/package.json'),
            mount(project.folder, project.folder, false),
            mount(realpathSync(ENDPOINT.replace(/^unix:\/\//, '')), '/var/run/docker.sock'),
          ],
        },
      },
    });
    try {
      await engine.text({ method: 'POST', path: `/containers/${Id}/start` });
      const { StatusCode: code } = await engine.json<{ StatusCode: number }>({
        method: 'POST',
        path: `/containers/${Id}/wait`,
        deadlineMs: 60_000,
      });
      const said = await engine.text({ path: `/containers/${Id}/logs`, query: { stdout: 1, stderr: 1 } });
      return { code, said };
    } finally {
      await removeContainer(engine, Id);
    }
  };

  it.each([
    ['its own loopback', '127.0.0.1'],
    ['every address', '0.0.0.0'],
  ])('that listens on %s is reached by the containers it launches', async (_, address) => {
    const { code, said } = await inContainer(['run', 'all', '--logs', `--network.bind-address=${address}`]);
    for (const network of NETWORKS) expect(said).toContain(`answered 200 from ${network}`);
    expect(code, said).toBe(0);
  });
});
