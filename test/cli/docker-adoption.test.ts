/** The built server, killed while its agents run in containers: the next one takes them over. */
import { createServer } from 'node:net';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { CoralClient, type SessionIdentifier } from '../../src/client/index.ts';
import { Engine } from '../../src/runtimes/docker/engine.ts';
import { BUSYBOX, busyboxImage, NODE, nodeImage } from '../support/docker-images.ts';
import { describeDocker, ENDPOINT } from '../support/docker.ts';
import { CONFIG, definition, Project, type CoralProcess } from '../support/coral-process.ts';
import { leftIn } from '../runtimes/docker/world.ts';

/** Asks its endpoint again and again, and prints how often it was answered by which name. */
const CALLER = `
const { request } = require('node:http');
const url = new URL(process.env.CORAL_CONNECTION_URL);
const to = process.env.CORAL_SOCKET ? { socketPath: process.env.CORAL_SOCKET, path: url.pathname } : { host: url.hostname, port: url.port, path: url.pathname };
const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
let answers = 0;
console.log('url ' + url);
const ask = () => {
  const call = request({ ...to, method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' } }, (response) => {
    response.resume().on('end', () => { if (response.statusCode === 200) console.log('answer ' + ++answers); setTimeout(ask, 50); });
  });
  call.on('error', () => setTimeout(ask, 50));
  call.end(body);
};
ask();
`;
const inContainer = (image: string, network: string, command: readonly string[]): string =>
  JSON.stringify({ docker: { image, command, network, pull: 'never', resources: { memory: '128MiB' } } });
const shell = (script: string): readonly string[] => ['/bin/sh', '-c', script];

interface Exit {
  readonly reason: string;
  readonly exitCode?: number;
  readonly time: string;
  readonly detail: string;
}

describeDocker('a server that is killed with agents in containers', () => {
  let project: Project;
  let engine: Engine;
  let client: CoralClient;
  let url: string;
  let session: SessionIdentifier;
  const instance = (): string => readFileSync(join(project.folder, '.coral', 'instance'), 'utf8').trim();

  beforeAll(async () => {
    engine = new Engine({ endpoint: ENDPOINT });
    await busyboxImage(engine);
    await nodeImage(engine);
    return () => engine.close();
  });
  beforeEach(() => {
    const caller = (network: string): string => inContainer(NODE, network, ['/usr/bin/node', '-e', CALLER]);
    project = new Project({
      'coral.config.yaml': CONFIG,
      'agents/caller.yaml': definition('caller', caller('session')),
      'agents/hermit.yaml': definition('hermit', caller('none')),
      'agents/ticker.yaml': definition(
        'ticker',
        inContainer(
          BUSYBOX,
          'internal',
          shell(
            'i=0; while :; do i=$((i+1)); echo tick $i; [ $((i % 7)) = 0 ] && echo tock $i >&2; sleep 0.02; done',
          ),
        ),
      ),
      'agents/leaver.yaml': definition(
        'leaver',
        inContainer(
          BUSYBOX,
          'session',
          shell('trap "echo leaving; exit 7" USR1; echo here; while :; do sleep 0.05; done'),
        ),
      ),
      'teams/all.yaml':
        'agents: {caller: {use: caller}, hermit: {use: hermit}, ticker: {use: ticker}, leaver: {use: leaver}}\nsession: {ttl: 1h}',
      'teams/pair.yaml': 'agents: {caller: {use: caller}, hermit: {use: hermit}}',
    });
  });
  afterEach(async () => {
    if (existsSync(join(project.folder, '.coral', 'instance'))) {
      await project.coral(['stop', '--all', `--docker.socket=${ENDPOINT}`]);
      expect(await leftIn(engine, instance())).toEqual([]);
    }
    await project.remove();
  });

  /** Ids by agent, of those that run. */
  const containers = async (): Promise<Record<string, string>> => {
    const filters = JSON.stringify({ label: [`coral.instance=${instance()}`] });
    const found = await engine.json<{ Id: string; Labels: Record<string, string> }[]>({
      path: '/containers/json',
      query: { filters },
    });
    return Object.fromEntries(found.map(({ Id, Labels }) => [Labels['coral.agent']!, Id]));
  };
  /** A server, and who speaks with it. */
  const serve = async (args: readonly string[] = []): Promise<CoralProcess> => {
    const started = await project.serve([`--docker.socket=${ENDPOINT}`, ...args]);
    url = started.url;
    // What tries the way back at every start would leave its container when it is killed.
    await started.server.saw(/Containers reach this server/);
    const key = readFileSync(join(project.folder, '.coral', 'key'), 'utf8').trim();
    client = new CoralClient({ url, key });
    return started.server;
  };
  const printed = async (agent: string): Promise<string[]> => {
    const texts: string[] = [];
    for await (const { text } of client.archive.logs(session, { agent })) texts.push(text);
    return texts;
  };
  const heard = (agent: string, line: string): Promise<void> =>
    until(async () => (await printed(agent)).includes(line));
  const begin = async (team: string): Promise<void> => {
    session = await client.teams.run(team);
  };
  const answers = async (agent: string): Promise<number> =>
    (await printed(agent)).filter((line) => line.startsWith('answer ')).length;
  /** Its door is where it was: it is answered again and again. */
  const answered = async (agent: string): Promise<void> => {
    const now = await answers(agent);
    await until(async () => (await answers(agent)) > now + 3);
  };
  const exitSeen = async (name: string): Promise<Exit> => {
    for (;;) {
      const { agents } = await client.archive.state(session);
      const exit = agents.find((agent) => agent.name === name)?.exit;
      if (exit) return exit as Exit;
      await pause(20);
    }
  };
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) await pause(20);
  };

  it('is followed by one that goes on with the same containers, doors and secrets; no line is lost or told twice', async () => {
    const first = await serve();
    const firstUrl = url;
    await begin('all');
    await heard('ticker', 'tick 50');
    await heard('leaver', 'here');
    for (const name of ['caller', 'hermit']) await heard(name, 'answer 1');
    const before = await containers();
    await first.kill();
    const signal = { method: 'POST', query: { signal: 'SIGUSR1' } } as const;
    await engine.text({ ...signal, path: `/containers/${before['leaver']!}/kill` });
    await until(async () => !('leaver' in (await containers())));
    const leftBy = Date.now();

    const second = await serve();
    expect(url).toBe(firstUrl);
    const exit = await exitSeen('leaver');
    expect(exit).toMatchObject({ reason: 'failed', exitCode: 7 });
    expect(Date.parse(exit.time)).toBeLessThanOrEqual(leftBy);
    expect(await printed('leaver')).toEqual(['here', 'leaving']);
    for (const name of ['caller', 'hermit']) await answered(name);

    // Once more, so that the place in the output is found in the middle of what was read from the logs.
    await second.kill();
    await serve();
    for (const name of ['caller', 'hermit']) await answered(name);
    const { leaver, ...others } = before;
    expect(leaver).toBeDefined();
    expect(await containers()).toEqual(others);
    const lines = await printed('ticker');
    const ticks = lines.filter((line) => line.startsWith('tick'));
    expect(ticks).toEqual(ticks.map((_, n) => `tick ${n + 1}`));
    const tocks = lines.filter((line) => line.startsWith('tock'));
    expect(tocks).toEqual(tocks.map((_, n) => `tock ${(n + 1) * 7}`));
    expect(tocks.length).toBeGreaterThan(Math.floor(ticks.length / 7) - 2);
  });

  it('leaves them when told so, and the next one goes on', async () => {
    const server = await serve(['--keep-agents']);
    await begin('pair');
    for (const name of ['caller', 'hermit']) await heard(name, 'answer 1');
    const before = await containers();
    server.signal('SIGTERM');
    expect((await server.finished()).code).toBe(0);
    expect(await containers()).toEqual(before);
    await serve();
    for (const name of ['caller', 'hermit']) await answered(name);
    expect(await containers()).toEqual(before);
  });

  it('and finds the port of their door taken, says so of whom it cannot reach any more, and removes it', async () => {
    const server = await serve();
    await begin('pair');
    for (const name of ['caller', 'hermit']) await heard(name, 'answer 1');
    const [line = ''] = await printed('caller');
    const { hostname, port } = new URL(line.slice('url '.length));
    await server.kill();
    const squatter = createServer((socket) => socket.destroy());
    await new Promise<void>((listening) =>
      squatter.listen({ host: hostname, port: Number(port) }, listening),
    );
    try {
      await serve();
      expect(await exitSeen('caller')).toMatchObject({
        reason: 'lost',
        detail: expect.stringContaining(`${hostname}:${port}`),
      });
      expect(Object.keys(await containers())).toEqual(['hermit']);
      await answered('hermit');
    } finally {
      await new Promise((closed) => squatter.close(closed));
    }
  });
});
