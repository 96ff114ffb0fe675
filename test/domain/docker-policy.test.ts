import { describe, expect, it } from 'vitest';
import type { DockerRuntime } from '../../src/domain/definition.ts';
import { capabilitiesOf, DEFAULT_POLICY, limitsOf, refusalsOf } from '../../src/domain/docker-policy.ts';
import type { DockerPolicy } from '../../src/domain/docker-policy.ts';

const GiB = 1024 ** 3;

const how = (more: Partial<DockerRuntime> = {}): DockerRuntime => ({
  image: 'agent',
  transport: 'streamable_http',
  environment: {},
  resources: {},
  network: 'session',
  readOnly: false,
  pull: 'missing',
  volumes: [],
  capabilities: [],
  ...more,
});
const policy = (more: Partial<DockerPolicy> = {}): DockerPolicy => ({ ...DEFAULT_POLICY, ...more });

describe('the limits of a container', () => {
  it('are the defaults when the definition says nothing', () => {
    expect(limitsOf(how(), policy(), 8)).toEqual({ memory: GiB, cpus: 1, pids: 512, shm: 64 * 1024 ** 2 });
  });

  it('shrink to the policy when the definition says nothing', () => {
    expect(limitsOf(how(), policy({ maxMemory: 1024, maxCpus: 0.5, maxPids: 10 }), 8)).toMatchObject({
      memory: 1024,
      cpus: 0.5,
      pids: 10,
    });
  });

  it('never promise more CPUs than there are, which the engine would refuse', () => {
    expect(limitsOf(how({ resources: { cpus: 16 } }), policy(), 2).cpus).toBe(2);
  });
});

describe('what an operator does not allow', () => {
  it.each([
    [{ resources: { memory: 4 * GiB } }, { maxMemory: 2 * GiB }, /4 GiB of memory.*2 GiB.*maxMemory/],
    [{ resources: { cpus: 3 } }, { maxCpus: 1.5 }, /3 CPUs.*1\.5.*maxCpus/],
    [{ resources: { pids: 600 } }, { maxPids: 100 }, /600 processes.*100.*maxPids/],
    [{ resources: { shm: GiB } }, { maxMemory: 1024 ** 2 }, /1 GiB of shared memory.*1 MiB/],
    [{ resources: { gpus: 'all' as const } }, {}, /all GPUs.*none.*gpus/],
    [{ capabilities: ['cap_net_admin'] }, { capabilities: ['NET_RAW'] }, /NET_ADMIN.*NET_RAW.*capabilities/],
    [{ network: 'production' }, { networks: ['lab'] }, /"production".*session.*lab.*networks/],
    [{ volumes: [{ host: '/', container: '/h', readOnly: true }] }, {}, /volume \/.*no volumes.*volumeRoots/],
    [{ user: '0:0' }, { profile: 'strict' as const }, /user "0:0".*strict/],
  ])('is said with both figures: %j', (asked, allowed, sentence) => {
    expect(refusalsOf(how(asked), policy(allowed))).toEqual([expect.stringMatching(sentence)]);
  });

  it.each(['host', 'container:abc'])(
    "is another's network namespace (%s), even when it is listed",
    (network) => {
      expect(refusalsOf(how({ network }), policy({ networks: [network] }))).toHaveLength(1);
    },
  );

  it('is said of everything at once', () => {
    const asked = how({ resources: { memory: 2, cpus: 2, pids: 2 }, network: 'x' });
    expect(refusalsOf(asked, policy({ maxMemory: 1, maxCpus: 1, maxPids: 1 }))).toHaveLength(4);
  });

  it('is nothing of what lies within', () => {
    const asked = how({ resources: { memory: 1, gpus: 1 }, network: 'lab', capabilities: ['CAP_NET_RAW'] });
    expect(
      refusalsOf(asked, policy({ maxMemory: 1, gpus: true, networks: ['lab'], capabilities: ['net_raw'] })),
    ).toEqual([]);
  });
});

describe('capabilities', () => {
  it("are what entrypoints need to change their user, and the definition's", () => {
    expect(capabilitiesOf(how({ capabilities: ['cap_net_raw'] }), policy())).toEqual([
      'CHOWN',
      'DAC_OVERRIDE',
      'FOWNER',
      'SETGID',
      'SETUID',
      'NET_RAW',
    ]);
  });

  it('are none at all under the strict profile', () => {
    expect(capabilitiesOf(how(), policy({ profile: 'strict' }))).toEqual([]);
  });
});
