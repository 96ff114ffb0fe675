/** Whole servers with an engine that is not there, and with an image that does not come. */
import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { CoralClient } from '../../src/client/index.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';
import { describeDocker } from '../support/docker.ts';

let project: Project;
afterEach(() => project.remove());

const serve = async (args: readonly string[], said: RegExp): Promise<CoralClient> => {
  const { server, url } = await project.serve(args);
  await server.saw(said);
  return new CoralClient({ url, key: readFileSync(join(project.folder, '.coral', 'key'), 'utf8').trim() });
};
it('without an engine a server starts, refuses agents in containers with the socket’s path, and runs executables', async () => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    'agents/boxed.yaml': definition('boxed', '{docker: {image: coral-test/none}}'),
    'agents/plain.yaml': definition('plain', '{executable: {path: "true"}}'),
    'teams/boxed.yaml': 'agents: {one: {use: boxed}}',
    'teams/mixed.yaml': 'agents: {one: {use: boxed}, two: {use: plain}}',
    'teams/plain.yaml': 'agents: {one: {use: plain}}',
  });
  const client = await serve(['--docker.socket=/nowhere/docker.sock'], /There is no Docker engine/);
  for (const team of ['boxed', 'mixed'])
    await expect(client.teams.run(team)).rejects.toMatchObject({
      status: 503,
      code: 'docker_unavailable',
      message: expect.stringContaining('/nowhere/docker.sock'),
    });
  const { agents } = await client.finished(await client.teams.run('plain'));
  expect(agents[0]?.exit).toMatchObject({ reason: 'completed' });
});

describeDocker('a session whose image does not come', () => {
  let registry: Server;
  const asking = new Set<Socket>();
  afterEach(() => {
    for (const socket of asking) socket.destroy();
    registry.close();
  });

  it('is closed at once', async () => {
    // Takes every connection, and says nothing.
    let asked = (): void => undefined;
    const isAsked = new Promise<void>((resolve) => (asked = resolve));
    registry = createServer((socket) => {
      asking.add(socket.on('error', () => undefined).on('data', asked));
    });
    await new Promise<void>((listening) => registry.listen(0, '127.0.0.1', listening));
    const image = `127.0.0.1:${(registry.address() as AddressInfo).port}/team/stuck:1`;
    project = new Project({
      'coral.config.yaml': CONFIG,
      'agents/stuck.yaml': definition('stuck', JSON.stringify({ docker: { image } })),
      'teams/stuck.yaml': 'agents: {one: {use: stuck}}',
    });
    // Nothing but its being closed ends the pull within this test's time.
    const patient = ['--docker.pull-stall-timeout=1h', '--docker.response-timeout=1h'];
    // What tries the way back at the start is over: the end of this test leaves nothing of it.
    const client = await serve(patient, /Containers reach this server/);
    const session = await client.teams.run('stuck');
    await isAsked;
    // Its progress is output of the agent.
    for await (const { text } of client.logs(session)) if (text === `Pulling the image ${image}.`) break;
    await client.sessions.close(session);
    const { agents } = await client.archive.state(session);
    expect(agents[0]).toMatchObject({ status: { type: 'stopped' }, exit: { reason: 'stopped' } });
  });
});

describeDocker('a definition that asks for more than the operator allows', () => {
  it('is refused when a session is created, with both figures', async () => {
    const docker = { image: 'coral-test/none', resources: { memory: '2GiB' }, network: 'production' };
    project = new Project({
      'coral.config.yaml': CONFIG,
      'agents/greedy.yaml': definition('greedy', JSON.stringify({ docker })),
      'teams/greedy.yaml': 'agents: {one: {use: greedy}}',
    });
    const client = await serve(['--docker.policy.max-memory=1GiB'], /Containers reach this server/);
    const refused: unknown = await client.teams.run('greedy').catch((error: unknown) => error);
    expect(refused).toMatchObject({ status: 400 });
    expect(JSON.stringify(refused) + (refused as Error).message).toMatch(/2 GiB of memory.*1 GiB/);
    expect(JSON.stringify(refused) + (refused as Error).message).toMatch(/\\?"production\\?"/);
  });
});
