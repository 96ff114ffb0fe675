/** What the self-check finds on a real engine, with and without a firewall in the way. */
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agentDoors, type OpenAgentDoors } from '../../../src/http/agent-doors.ts';
import { Engine } from '../../../src/runtimes/docker/engine.ts';
import { checkDocker, type SelfCheck } from '../../../src/runtimes/docker/self-check.ts';
import { INSTANCE } from '../../contracts/runtime.ts';
import { describeDocker, ENDPOINT } from '../../support/docker.ts';
import { leftIn } from './world.ts';

/** Of this file alone, so that its rules are in nobody's way. */
const POOL = '10.207.64.0/24';

/** Left out where nobody may set rules; CI may. */
const mayUseFirewall =
  process.env['CORAL_REQUIRE_DOCKER'] === '1' || spawnSync('iptables', ['-w', '-S', 'INPUT']).status === 0;

describe('the self-check', () => {
  it('says where it looked for an engine that is not there', async () => {
    const endpoint = join(tmpdir(), 'coral-no-such.sock');
    const found = await checkDocker({ runtime: { endpoint, instance: INSTANCE }, port: 0, name: 'none' });
    expect(found).toEqual({
      reached: false,
      problems: [
        `There is no Docker engine at ${endpoint}; start it, or set docker.socket to where it listens.`,
      ],
      notes: [],
    });
  });
});

describeDocker('the self-check on an engine', () => {
  let doors: OpenAgentDoors;
  let engine: Engine;
  let images: number;
  const rules: string[][] = [];
  const server = createServer();
  const iptables = (...words: string[]): boolean => spawnSync('iptables', ['-w', ...words]).status === 0;
  const countImages = async (): Promise<number> => {
    const filters = JSON.stringify({ label: [`coral.instance=${INSTANCE}`] });
    return (await engine.json<unknown[]>({ path: '/images/json', query: { all: 1, filters } })).length;
  };

  beforeEach(async () => {
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as AddressInfo;
    doors = agentDoors({ handle: () => false, server: () => ({ address: '127.0.0.1', port }) });
    engine = new Engine({ endpoint: ENDPOINT });
    images = await countImages();
  });
  afterEach(async () => {
    for (const rule of rules.splice(0)) iptables('-D', ...rule);
    expect(await leftIn(engine)).toEqual([]);
    expect(await countImages()).toBe(images);
    await doors.close();
    engine.close();
    await new Promise((closed) => server.close(closed));
  });
  const check = (dialMs?: number, address?: string): Promise<SelfCheck> =>
    checkDocker({
      runtime: {
        endpoint: ENDPOINT,
        instance: INSTANCE,
        doors,
        subnetPool: POOL,
        ...(address !== undefined && { address }),
      },
      port: address === undefined ? (server.address() as AddressInfo).port : 0,
      name: 'check',
      ...(dialMs !== undefined && { dialMs }),
    });

  it('finds the engine, the address, and that a container reaches it', async () => {
    expect(await check()).toEqual({
      engine: expect.stringMatching(/^(Docker Engine|Podman) \d+\..*, API 1\.\d+$/),
      address: expect.stringMatching(/^10\.207\.64\.\d+:\d+$/),
      reached: true,
      problems: [],
      notes: [],
    });
  });

  it.runIf(mayUseFirewall).each([
    ['DROP', ['DROP'], 'what they send is dropped'],
    ['REJECT', ['REJECT', '--reject-with', 'tcp-reset'], 'they are refused'],
    ['REJECT (host)', ['REJECT', '--reject-with', 'icmp-host-prohibited'], 'they are turned away'],
  ])(
    'names the firewall that answers a container with %s, and the rule that lets it through',
    async (_, answer, what) => {
      const rule = ['INPUT', '-s', POOL, '!', '-i', 'lo', '-p', 'tcp', '-j', ...answer];
      expect(iptables('-I', ...rule), 'iptables could not be used').toBe(true);
      rules.push(rule);
      const { reached, problems } = await check(2_000);
      expect(reached).toBe(false);
      expect(problems).toEqual([expect.stringContaining(what)]);
      expect(problems[0]).toContain(`ufw allow from ${POOL}`);
      expect(problems[0]).toContain(`iptables -I INPUT -s ${POOL} -j ACCEPT`);
    },
  );

  it('does not blame an address of the operator that nobody serves yet', async () => {
    expect(await check(undefined, 'agents.example:5555')).toMatchObject({
      address: 'agents.example:5555',
      problems: [],
      notes: [expect.stringContaining('no server runs')],
    });
  });
});
