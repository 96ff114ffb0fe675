/** The parts of the Docker runtime that need no engine. */
import { once } from 'node:events';
import { mkdir, mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../../../src/domain/docker-policy.ts';
import { CatchUp, heardOf, keyOf, LineMemory } from '../../../src/runtimes/docker/catch-up.ts';
import { endingFor } from '../../../src/runtimes/docker/ending.ts';
import { placeFiles } from '../../../src/runtimes/docker/files.ts';
import { FrameParser } from '../../../src/runtimes/docker/frames.ts';
import { referenceOf, registryOf } from '../../../src/runtimes/docker/image.ts';
import type { Engine } from '../../../src/runtimes/docker/engine.ts';
import { Networks } from '../../../src/runtimes/docker/networks.ts';
import type { Surroundings } from '../../../src/runtimes/docker/place.ts';
import { containerOf, labelsIn, labelsOf, nameOf } from '../../../src/runtimes/docker/spec.ts';
import { blockOf, freeSubnets } from '../../../src/runtimes/docker/subnets.ts';
import { resolveVolumes } from '../../../src/runtimes/docker/volumes.ts';
import { troubleIn } from '../../../src/runtimes/docker/pulls.ts';
import { labels } from '../../contracts/runtime.ts';
import { dockerHow } from './world.ts';

const frame = (io: 1 | 2, text: string): Buffer => {
  const head = Buffer.alloc(8);
  head[0] = io;
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([head, Buffer.from(text)]);
};

describe('frames', () => {
  it('come out the same however they are cut', () => {
    const bytes = Buffer.concat([frame(1, 'hello\n'), frame(2, 'oh'), frame(1, ''), frame(1, 'Grüße')]);
    for (let size = 1; size <= bytes.length; size += 1) {
      const heard = { out: '', error: '' };
      const texts: Record<'out' | 'error', Buffer[]> = { out: [], error: [] };
      const parser = new FrameParser((io, piece) => texts[io].push(Buffer.from(piece)));
      for (let at = 0; at < bytes.length; at += size) parser.push(bytes.subarray(at, at + size));
      heard.out = Buffer.concat(texts.out).toString();
      heard.error = Buffer.concat(texts.error).toString();
      expect(heard).toEqual({ out: 'hello\nGrüße', error: 'oh' });
    }
  });

  it('by the hundred thousand in one chunk do not recurse', () => {
    const one = frame(1, 'x');
    const parser = new FrameParser(() => (count += 1));
    let count = 0;
    parser.push(Buffer.concat(Array.from({ length: 200_000 }, () => one)));
    expect(count).toBe(200_000);
  });
});

describe('names of images', () => {
  it.each([
    ['agent', 'agent:1.2.0'],
    ['host:5000/team/agent', 'host:5000/team/agent:1.2.0'],
    ['agent:edge', 'agent:edge'],
    ['agent@sha256:abc', 'agent@sha256:abc'],
  ])('%s gets a tag only when it has none', (image, reference) => {
    expect(referenceOf(image, '1.2.0')).toBe(reference);
  });

  it('get no plus sign from a version', () => {
    expect(referenceOf('agent', '1.0.0+build')).toBe('agent:1.0.0_build');
  });

  it.each([
    ['agent:1', 'docker.io'],
    ['team/agent:1', 'docker.io'],
    ['localhost/agent:1', 'localhost'],
    ['127.0.0.1:5000/agent:1', '127.0.0.1:5000'],
    ['ghcr.io/team/agent:1', 'ghcr.io'],
  ])('%s comes from %s', (reference, registry) => {
    expect(registryOf(reference)).toBe(registry);
  });
});

describe('option files in a container', () => {
  it('stand where its paths and lists are written as the operator says', () => {
    const written = { KEY: '/srv/x/0-KEY', LIST: '/srv/x/1-LIST.0:/srv/x/1-LIST.1' };
    expect(placeFiles(written).variables).toEqual({
      KEY: '/tmp/coral-0-KEY',
      LIST: '/tmp/coral-1-LIST.0:/tmp/coral-1-LIST.1',
    });
    const windows = { folder: 'C:\\Temp', nameSeparator: '\\', pathSeparator: ';' };
    expect(placeFiles(written, windows).variables).toEqual({
      KEY: 'C:\\Temp\\coral-0-KEY',
      LIST: 'C:\\Temp\\coral-1-LIST.0;C:\\Temp\\coral-1-LIST.1',
    });
  });
});

describe('the request for a container', () => {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a request's body is looked at key by key
  const body = (profile: 'standard' | 'strict' = 'standard', how = {}): Record<string, any> =>
    containerOf({
      labels: labels(),
      how: dockerHow(how) as never,
      policy: { ...DEFAULT_POLICY, profile },
      reference: 'agent:1',
      imageUser: '',
      environment: { CORAL_AGENT_SECRET: 'secret-value', A: 'b' },
      mounts: [{ source: '/srv/data', target: '/data', readOnly: true }],
      door: '10.209.0.1:5555',
      network: 'none',
      extraHosts: [],
      hostCpus: 2,
      isPodman: false,
    });

  it('is hardened', () => {
    expect(body().HostConfig).toMatchObject({
      Init: true,
      CapDrop: ['ALL'],
      CapAdd: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SETGID', 'SETUID'],
      SecurityOpt: ['no-new-privileges'],
      Privileged: false,
      AutoRemove: false,
      MemorySwap: body().HostConfig.Memory,
      LogConfig: { Type: 'json-file', Config: { 'max-file': '2' } },
    });
    for (const key of ['Binds', 'Devices', 'PidMode', 'UsernsMode', 'UTSMode', 'VolumesFrom'])
      expect(body().HostConfig).not.toHaveProperty(key);
  });

  it('holds what the definition asks for', () => {
    const { User, Cmd, HostConfig } = body('standard', {
      command: ['run', '--fast'],
      user: '1000:1000',
      readOnly: true,
      capabilities: ['NET_BIND_SERVICE'],
      resources: { memory: 512 * 1024 ** 2, cpus: 1.5, pids: 256, shm: 32 * 1024 ** 2, gpus: 'all' },
    });
    expect([User, Cmd]).toEqual(['1000:1000', ['run', '--fast']]);
    expect(HostConfig).toMatchObject({
      Memory: 512 * 1024 ** 2,
      MemorySwap: 512 * 1024 ** 2,
      NanoCpus: 1.5e9,
      PidsLimit: 256,
      ShmSize: 32 * 1024 ** 2,
      ReadonlyRootfs: true,
      DeviceRequests: [{ Count: -1, Capabilities: [['gpu']] }],
      CapAdd: expect.arrayContaining(['NET_BIND_SERVICE']),
      Mounts: [{ Type: 'bind', Source: '/srv/data', Target: '/data', ReadOnly: true }],
    });
    expect(body('standard', { resources: { gpus: 2 } }).HostConfig.DeviceRequests).toMatchObject([
      { Count: 2 },
    ]);
    expect(body().HostConfig).not.toHaveProperty('DeviceRequests');
  });

  it('is stricter under the strict profile: no capability, no root, nothing to write but /tmp', () => {
    const { User, HostConfig } = body('strict');
    expect(User).toBe('65534:65534');
    expect(HostConfig).toMatchObject({
      CapAdd: [],
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': expect.stringContaining('mode=1777') },
    });
  });

  it('holds its secret in the environment alone', () => {
    const { Env, ...rest } = body();
    expect(Env).toContain('CORAL_AGENT_SECRET=secret-value');
    expect(JSON.stringify(rest) + nameOf(labels())).not.toContain('secret-value');
  });

  it('has a name the engine takes, whatever the agent is called', () => {
    expect(nameOf(labels({ agent: 'Ü/ %' }))).toMatch(/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/);
    expect(nameOf(labels({ agent: 'Ü/ %' }))).not.toBe(nameOf(labels({ agent: 'Ä/ %' })));
  });

  it('has labels that are read back as they were', () => {
    expect(labelsIn(labelsOf(labels({ agent: 'b/ü %', attempt: 3 })))).toEqual(
      labels({ agent: 'b/ü %', attempt: 3 }),
    );
    expect(labelsIn({ 'coral.instance': 'x' })).toBeUndefined();
  });
});

describe('an internal network', () => {
  it('is refused where the server is not at its gateway', async () => {
    const place = { type: 'elsewhere', address: '192.0.2.2', listen: '192.0.2.2' };
    const networks = new Networks({
      engine: {} as Engine, // is not asked
      instance: labels().instance,
      pool: '10.209.0.0/16',
      surroundings: { look: () => Promise.resolve({ place }) } as unknown as Surroundings,
    });
    const joining = networks.join('internal', labels(), 5555);
    await expect(joining).rejects.toThrow(
      /"internal" there is no way to this server.*rootless.*"none" or "session"/,
    );
  });
});

describe('a volume', () => {
  it('never is the engine’s socket, a folder above it, or any other socket, whatever roots there are', async () => {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'coral-volumes-')));
    const sockets = ['engine', 'other'].map((name) => join(folder, `${name}.sock`));
    const servers = sockets.map((path) => createServer().listen(path));
    await Promise.all(servers.map((server) => once(server, 'listening')));
    await symlink(sockets[0]!, join(folder, 'innocent'));
    const ask = (host: string) =>
      resolveVolumes(dockerHow({ volumes: [{ host, container: '/x', readOnly: true }] }) as never, folder, {
        roots: ['/'],
        socket: sockets[0],
      });
    for (const host of ['engine.sock', 'innocent', 'other.sock', '.', '/'])
      expect((await ask(host)).refusals, host).toEqual([expect.stringContaining('rule this machine')]);
    await mkdir(join(folder, 'data'));
    expect(await ask('data')).toMatchObject({ mounts: [{ source: join(folder, 'data') }], refusals: [] });
    for (const server of servers) server.close();
    await rm(folder, { recursive: true });
  });
});

describe('subnets', () => {
  it('are small, and never where something is', () => {
    const pool = blockOf('10.9.0.0/24')!;
    const taken = [blockOf('10.9.0.0/26')!, blockOf('10.9.0.200/32')!];
    expect([...freeSubnets(pool, taken, 0)]).toEqual(
      [64, 80, 96, 112, 128, 144, 160, 176, 208, 224, 240].map((at) => `10.9.0.${at}/28`),
    );
  });

  it('begin where the caller says and go round', () => {
    expect([...freeSubnets(blockOf('10.9.0.0/27')!, [], 0.5)]).toEqual(['10.9.0.16/28', '10.9.0.0/28']);
  });
});

describe('an ending', () => {
  const about = {
    sawOutOfMemory: false,
    wasAsked: false,
    engineStoppedIt: false,
    firstErrorLine: undefined,
    memory: 1024 ** 2,
    now: 1,
  };
  const state = (ExitCode: number, OOMKilled = false) => ({ Status: 'exited', ExitCode, OOMKilled });
  const brief = {
    ...state(137),
    StartedAt: '2026-01-01T00:00:00.1Z',
    FinishedAt: '2026-01-01T00:00:00.3Z',
  };

  it.each([
    [state(0), {}, { kind: 'exited', exitCode: 0 }],
    [state(3), {}, { kind: 'exited', exitCode: 3 }],
    [state(137), {}, { kind: 'signalled', signal: 'SIGKILL', exitCode: 137 }],
    [state(143), {}, { kind: 'signalled', signal: 'SIGTERM' }],
    [state(134), {}, { kind: 'signalled', signal: 'SIGABRT', detail: expect.stringContaining('heap') }],
    [state(137, true), {}, { kind: 'out_of_memory' }],
    [brief, {}, { kind: 'signalled', detail: expect.stringContaining('Perhaps it used up its memory') }],
    [brief, { wasAsked: true }, { kind: 'signalled', detail: 'Ended by signal SIGKILL (exit code 137).' }],
    [state(137), { sawOutOfMemory: true }, { kind: 'out_of_memory' }],
    // The flag alone says only that some process of it was killed.
    [state(0, true), {}, { kind: 'exited', exitCode: 0, detail: expect.stringContaining('memory') }],
    [state(127), {}, { kind: 'exited', exitCode: 127 }],
    [
      state(127),
      { firstErrorLine: '[FATAL tini (7)] exec /no/such failed: No such file or directory' },
      { kind: 'could_not_start', detail: expect.stringContaining('/no/such') },
    ],
    [
      state(1),
      {
        firstErrorLine: 'ERROR (catatonit:7): failed to exec pid1: No such file or directory',
        program: '/no/such',
      },
      { kind: 'could_not_start', detail: expect.stringContaining('/no/such') },
    ],
    [state(1), { firstErrorLine: 'ERROR: something else' }, { kind: 'exited', exitCode: 1 }],
    [state(0), { engineStoppedIt: true }, { kind: 'signalled', detail: expect.stringContaining('engine') }],
  ])('of %j with %j', (given, more, ending) => {
    expect(endingFor(given, { ...about, ...more })).toMatchObject(ending);
  });
});

describe('going on in the logs', () => {
  const memoryOf = (...lines: string[]): LineMemory => {
    const memory = new LineMemory();
    for (const line of lines) memory.add('out', Buffer.from(line), 0);
    return memory;
  };
  const read = (memory: LineMemory, entries: readonly string[]): string => {
    let text = '';
    const catchUp = new CatchUp(
      memory,
      (_, bytes, whole) => (text += `${bytes.toString()}${whole ? '|' : ''}`),
    );
    for (const entry of entries) catchUp.push('out', Buffer.from(entry), true);
    return text;
  };

  it('skips as many lines as were heard, the first time', () => {
    expect(read(memoryOf('a', 'b'), ['T1 a\n', 'T2 b\n', 'T3 c\n', 'T3 d\n'])).toBe('c|d|');
  });

  it('skips what bore the last timestamp and was heard, from then on', () => {
    const memory = memoryOf('a');
    read(memory, ['T1 a\n', 'T2 b\n', 'T2 c\n']);
    expect(read(memory, ['T2 b\n', 'T2 c\n', 'T2 d\n', 'T3 e\n'])).toBe('d|e|');
    expect(read(memory, ['T3 e\n', 'T3 f\n'])).toBe('f|');
  });

  it('joins lines that the log has cut into entries', () => {
    expect(read(memoryOf('long'), ['T1 lo', 'T1 ng\n', 'T2 ne', 'T2 xt\n'])).toBe('next|');
  });

  it('has a long line again as a whole when it was cut in the middle of it, and nothing else twice', () => {
    const memory = memoryOf('a');
    expect(read(memory, ['T1 a\n', 'T2 lo', 'T2 n'])).toBe('lon');
    expect(read(memory, ['T1 a\n', 'T2 lo', 'T2 n', 'T3 g\n', 'T3 b\n'])).toBe('long|b|');
  });

  it('is the same for a later life that knows the place after the last line kept', () => {
    const later = (earlier: LineMemory): LineMemory => {
      const memory = new LineMemory();
      memory.recall(earlier.place, []);
      return memory;
    };
    const counted = memoryOf('a', 'b');
    expect(read(later(counted), ['T1 a\n', 'T2 b\n', 'T3 c\n'])).toBe('c|');
    read(counted, ['T1 a\n', 'T2 b\n', 'T2 c\n']);
    const stamped = later(counted);
    expect(stamped.since()).toBe(counted.since());
    expect(read(stamped, ['T2 b\n', 'T2 c\n', 'T2 d\n'])).toBe('d|');
  });

  const logOf = (...lines: string[]) => ({
    out: lines.map((line) => [keyOf(Buffer.from(line))]),
    error: [],
  });

  it('finds its place by the last lines heard when the beginning was rotated away', () => {
    const log = logOf('tick', 'x', 'tick', 'tick', 'y');
    expect(heardOf(memoryOf('gone', 'x', 'tick', 'tick'), log).out).toBe(4);
    expect(heardOf(memoryOf('gone'), log).out).toBe(0);
  });

  it('finds its place by the number heard when the last lines stand in several', () => {
    expect(heardOf(memoryOf('x', 'x'), logOf('x', 'x', 'x', 'x')).out).toBe(2);
    expect(heardOf(memoryOf('a', 'b', 'c'), logOf('c', 'x', 'c', 'x')).out).toBe(3);
  });

  it('knows a line by what was kept of it, where a secret was masked', () => {
    const raw = (text: string): string => keyOf(Buffer.from(text));
    const log = { out: [[raw('key 1234'), raw('key ***')], [raw('more')]], error: [] };
    expect(heardOf(memoryOf('key ***'), log).out).toBe(1);
  });

  it('asks for logs from the last timestamp, with all its digits', () => {
    const memory = memoryOf();
    memory.stamp = { text: '2026-11-22T20:00:00.123456789Z', entries: 1 };
    expect(memory.since()).toBe(`${Date.parse('2026-11-22T20:00:00Z') / 1000}.123456789`);
  });
});

describe("an engine's words about a pull", () => {
  it.each([
    ['manifest for x:1 not found: manifest unknown: manifest unknown', true],
    ['pull access denied for x, repository does not exist or may require docker login', true],
    ['Get http://r/v2/: unauthorized: authentication required', true],
    ['toomanyrequests: too many requests', false],
    ['Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', false],
    ['dial tcp: lookup nowhere: no such host', false],
    ['read tcp 1->2: read: connection reset by peer', false],
    ['unexpected EOF', false],
  ])('%s', (text, final) => {
    expect(troubleIn(text, 'r')).toMatchObject({ final, cause: expect.stringContaining(text) });
  });
});
