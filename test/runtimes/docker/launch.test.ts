/** What a launched container is given, what it may, how it ends; on a real engine. */
import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../../../src/domain/docker-policy.ts';
import type { LaunchSpec } from '../../../src/domain/launch.ts';
import { meaning } from '../../../src/domain/lifecycle.ts';
import { agentDoors } from '../../../src/http/agent-doors.ts';
import { LaunchFailure } from '../../../src/ports/runtime.ts';
import type { Found, RuntimeFact } from '../../../src/ports/runtime.ts';
import { isRefusal } from '../../../src/runtimes/docker/engine.ts';
import { removeContainer, removeNetwork } from '../../../src/runtimes/docker/remove.ts';
import type { DockerRuntimeOptions } from '../../../src/runtimes/docker/runtime.ts';
import { Ears, labels, noSignal } from '../../contracts/runtime.ts';
import { BUSYBOX, busyboxImage, nodeImage } from '../../support/docker-images.ts';
import { describeDocker } from '../../support/docker.ts';
import { dockerSpec, dockerWorld, leftIn, shell } from './world.ts';
import type { DockerWorld } from './world.ts';

describeDocker('a container', () => {
  let world: DockerWorld;
  const closers: (() => Promise<void>)[] = [];

  const remake = async (options: Partial<DockerRuntimeOptions>): Promise<void> => {
    await world.close();
    world = await dockerWorld(options);
  };
  beforeEach(async () => {
    world = await dockerWorld();
  });
  afterEach(async () => {
    for (const { handle } of await world.runtime.list()) await world.runtime.stop(handle, 0);
    expect(await leftIn(world.engine)).toEqual([]);
    await world.close();
    for (const close of closers.splice(0)) await close();
  });

  class DockerEars extends Ears {
    readonly facts: RuntimeFact[] = [];
    noted(fact: RuntimeFact): void {
      this.facts.push(fact);
    }
  }
  const launch = async (spec: LaunchSpec, ears = new DockerEars()): Promise<DockerEars> => {
    const handle = await world.runtime.launch(spec, noSignal(), ears);
    ears.attachTo(world.runtime, handle);
    return ears;
  };
  const output = async (spec: LaunchSpec): Promise<string> => {
    const ears = await launch(spec);
    await ears.end;
    return [...ears.texts('out'), ...ears.texts('error').map((text) => `! ${text}`)].join('\n');
  };
  const failure = async (spec: LaunchSpec): Promise<string> => {
    const error: unknown = await world.runtime
      .launch(spec, noSignal(), new Ears())
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LaunchFailure);
    return (error as Error).message;
  };

  it('is told of when it is made and when it is removed, before its end is', async () => {
    const ears = await launch(shell('true'));
    void ears.end.then(() => ears.facts.push({ type: 'progress', text: 'ended' }));
    await ears.end;
    expect(ears.facts.map(({ type }) => type)).toEqual([
      'docker_container_created',
      'docker_container_removed',
      'progress',
    ]);
    expect(ears.facts[0]).toMatchObject({ containerId: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  it('loses no byte of a long output, nor the exit code after it', async () => {
    const ears = await launch(
      shell(
        'i=0; while [ $i -lt 200 ]; do head -c 20000 /dev/zero | tr "\\0" x; echo; i=$((i+1)); done; exit 7',
      ),
    );
    expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 7 });
    expect(ears.texts()).toHaveLength(200);
    expect(ears.texts().every((text) => text === 'x'.repeat(20_000))).toBe(true);
  });

  it('has options as files, for its user alone, and read-only', async () => {
    const files = [
      { variable: 'KEY', parts: [Buffer.from('first secret')] },
      { variable: 'LIST', parts: [Buffer.from('a'), Buffer.from('b')] },
    ];
    const script =
      'cat $KEY; echo; ls -ln $KEY; echo x 2>/dev/null >$KEY || echo "cannot write"; IFS=:; cat $LIST; echo; id -u';
    const asAgent = await output(shell(script, { user: 'agent' }, { files }));
    const mode = process.getuid?.() === 0 ? '-r-------- .* 10001 ' : '-r--r--r-- ';
    expect(asAgent).toMatch(
      new RegExp(`^first secret\\n${mode}.*/tmp/coral-0-KEY\\ncannot write\\nab\\n10001`),
    );
    const asRoot = await output(shell(script, {}, { files }));
    expect(asRoot).toMatch(/^first secret\n/);
    const asNumber = await output(shell(script, { user: '1234:5' }, { files }));
    expect(asNumber).toMatch(/^first secret\n.*[\s\S]*1234$/);
  });

  it('has no way to more than it was given', async () => {
    const script = `
      grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status
      cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null
      cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null
      ls /var/run/docker.sock /dev/kmsg /dev/mem 2>/dev/null; cat /proc/1/comm`;
    const text = await output(shell(script));
    // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, SETGID 6, SETUID 7
    expect(text).toMatch(/CapEff:\s+00000000000000cb\n/);
    expect(text).toMatch(/CapBnd:\s+00000000000000cb\n/);
    expect(text).toMatch(/NoNewPrivs:\s+1\n/);
    expect(text).toMatch(/Seccomp:\s+2\n/);
    expect(text).toContain(`${64 * 1024 ** 2}\n64\n`);
    expect(text).not.toContain('/dev/');
    expect(text).not.toContain('docker.sock');
    expect(text).toMatch(/(docker-init|tini|podman-init|catatonit)$/);
  });

  it('is nobody, with nothing to write but /tmp, under the strict profile', async () => {
    await remake({ policy: { ...DEFAULT_POLICY, profile: 'strict' } });
    const files = [{ variable: 'KEY', parts: [Buffer.from('secret')] }];
    const script =
      'id -u; grep CapEff: /proc/self/status; echo x >/app/x; echo x >/tmp/x && echo wrote; cat $KEY';
    const text = await output(shell(script, {}, { files }));
    expect(text).toMatch(/^65534\nCapEff:\s+0000000000000000\nwrote\nsecret\n! .*Read-only file system/);
  });

  it('says what of its definition is not allowed', async () => {
    await remake({ policy: { ...DEFAULT_POLICY, maxMemory: 32 * 1024 ** 2 } });
    expect(await failure(shell('true'))).toMatch(/64 MiB of memory.*32 MiB/);
  });

  it('gets folders of this machine only from where the operator allows it, after symlinks', async () => {
    await mkdir(join(world.folder, 'allowed'));
    await writeFile(join(world.folder, 'allowed', 'data'), 'shared');
    await writeFile(join(world.folder, 'hidden'), 'hidden');
    await symlink(join(world.folder, 'hidden'), join(world.folder, 'allowed', 'way-out'));
    const { folder } = world;
    const runtime = await dockerWorld({
      policy: { ...DEFAULT_POLICY, volumeRoots: [join(folder, 'allowed')] },
    });
    closers.push(() => runtime.close());
    const spec = (host: string, readOnly = true): LaunchSpec =>
      shell(
        'cat /data; echo changed >/data && echo wrote',
        { volumes: [{ host, container: '/data', readOnly }] },
        { folder },
      );
    const ears = new Ears().attachTo(
      runtime.runtime,
      await runtime.runtime.launch(spec('./allowed/data'), noSignal(), new Ears()),
    );
    await ears.end;
    expect(ears.texts()).toEqual(['shared']);
    for (const host of ['./allowed/way-out', './hidden', '/', '/var/run/docker.sock']) {
      const error = (await runtime.runtime
        .launch(spec(host), noSignal(), new Ears())
        .catch((thrown: unknown) => thrown)) as Error;
      expect(error.message).toMatch(/It asks for the volume .*volumeRoots/);
    }
  });

  it.each([
    ['none', []],
    ['session', ['1.1.1.1', 'other']],
  ])('in the network %s sees what that network has', async (network) => {
    const text = await output(
      shell('ip -o -4 addr | grep -v " lo " | wc -l; ip route | grep -c default', { network }),
    );
    expect(text).toBe(network === 'none' ? '0\n0' : '1\n1');
  });

  it('joins a network that the operator made and allows, and leaves it there', async () => {
    const name = `coral-test-named-${process.pid}`;
    const { Id } = await world.engine.json<{ Id: string }>({
      method: 'POST',
      path: '/networks/create',
      body: { Name: name, IPAM: { Config: [{ Subnet: '10.208.1.0/28' }] } },
    });
    closers.push(() => removeNetwork(world.engine, Id));
    const inNamed = shell('ip route | grep -v default', { network: name });
    expect(await failure(inNamed)).toMatch(new RegExp(`"${name}".*docker\\.policy\\.networks`));
    await remake({ policy: { ...DEFAULT_POLICY, networks: [name] } });
    expect(await output(inNamed)).toMatch(/^10\.208\.1\.0\/28 /);
    await world.engine.text({ path: `/networks/${Id}` });
  });

  it('is told the address that the operator names', async () => {
    await remake({ address: 'agents.example:4000' });
    const address = world.runtime.addressOf(5555);
    const spec = shell('echo $CORAL_API_URL', { network: 'session' });
    const environment = { CORAL_API_URL: `http://${address}` };
    expect(await output({ ...spec, address, environment })).toBe('http://agents.example:4000');
  });

  it('that prints faster than is taken is not made to wait: what is beyond is counted', async () => {
    await remake({ output: { bytesPerSecond: 1, burst: 100_000, held: 10_000 } });
    const ears = await launch(shell('yes 0123456789 | head -n 200000; exit 3'));
    expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 3 });
    expect(ears.droppedBytes).toBe(200_000 * 11 - ears.texts().length * 11);
    expect(ears.droppedBytes).toBeGreaterThan(1_000_000);
  });

  it('shares a network of its own with its session, which goes with the last of them', async () => {
    const one = await launch(shell('echo ready; sleep 1000', { network: 'session' }));
    const two = await launch(
      shell(
        'hostname -i; ip route | grep -v default',
        { network: 'session' },
        { labels: labels({ agent: 'b' }) },
      ),
    );
    await two.end;
    expect(two.texts()[1]).toMatch(/^10\.209\.\d+\.\d+\/28 /);
    const networks = (await leftIn(world.engine)).filter((name) => name.startsWith('network'));
    expect(networks).toHaveLength(1);
    const other = await launch(
      shell(
        'ip route | grep -v default',
        { network: 'session' },
        { labels: labels({ session: 'another', agent: 'c' }) },
      ),
    );
    await other.end;
    expect(other.texts()[0]).not.toBe(two.texts()[1]);
    const [{ handle }] = (await world.runtime.list()) as unknown as [Found];
    await world.runtime.stop(handle, 0);
    await one.end;
    expect(await leftIn(world.engine)).toEqual([]);
  });

  it.each(['session', 'internal', 'bridge'])(
    'reaches the server from the network %s, by the address it is told',
    async (network) => {
      const server = createServer((_, response) => response.end('the whole API'));
      await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
      const { port } = server.address() as { port: number };
      const doors = agentDoors({
        handle: (asked, response) => {
          if (!asked.url!.startsWith('/mcp/')) return false;
          response.end('the agents door');
          return true;
        },
        server: () => ({ address: '127.0.0.1', port }),
      });
      closers.push(async () => {
        await doors.close();
        server.close();
      });
      await remake({ doors });
      const address = world.runtime.addressOf(port);
      const text = await output(
        shell(
          'wget -qO- $CORAL_CONNECTION_URL; echo; wget -qO- $CORAL_API_URL/api/v1 2>&1; wget -qO- http://host.docker.internal:${CORAL_API_URL##*:}/mcp/x; echo',
          { network },
          {
            address,
            environment: {
              CORAL_CONNECTION_URL: `http://${address}/mcp/v1/secret/mcp`,
              CORAL_API_URL: `http://${address}`,
            },
          },
        ),
      );
      expect(text).toMatch(/^the agents door\n(wget: .*404.*\n)?the agents door$/);
      expect(text).not.toContain('the whole API');
    },
  );

  it('in an internal network has no way out, but the way to the door', async () => {
    const doors = agentDoors({
      handle: (_, response) => {
        response.end('the agents door');
        return true;
      },
      server: () => ({ address: '127.0.0.1', port: 1 }),
    });
    closers.push(() => doors.close());
    await remake({ doors });
    const other = await launch(
      shell('hostname -i; while :; do echo x | nc -l -p 8080; done', { network: 'session' }),
    );
    await other.heard('10.209.');
    const dial = `try() { nc -w 1 $1 $2 </dev/null >/tmp/answer 2>/dev/null && grep -q x /tmp/answer && echo "$3 reached" || echo "$3 not"; }
      try ${other.texts()[0]!} 8080 neighbour; try 192.0.2.1 80 outside; wget -qO- $CORAL_API_URL; echo`;
    const address = world.runtime.addressOf(1);
    const spec = (network: string): LaunchSpec =>
      shell(
        dial,
        { network },
        {
          address,
          environment: { CORAL_API_URL: `http://${address}` },
          labels: labels({ agent: `from ${network}` }),
        },
      );
    // The dialling itself is good: in the neighbour's own network it gets through.
    expect(await output(spec('session'))).toBe('neighbour reached\noutside not\nthe agents door');
    expect(await output(spec('internal'))).toBe('neighbour not\noutside not\nthe agents door');
    for (const { handle } of await world.runtime.list()) await world.runtime.stop(handle, 0);
    await other.end;
  });

  it('more than one subnet holds of a session are in a second one, and both go', async () => {
    const all = await Promise.all(
      Array.from({ length: 14 }, async (_, n) => {
        const ears = await launch(
          shell(
            'ip route | grep -v default; sleep 1000',
            { network: 'session' },
            { labels: labels({ agent: `a${n}` }) },
          ),
        );
        await ears.heard('/28');
        return ears;
      }),
    );
    const subnets = all.map((ears) => ears.texts()[0]!.split(' ')[0]!);
    const sizes = [...new Set(subnets)].map((subnet) => subnets.filter((one) => one === subnet).length);
    expect(sizes.sort((a, b) => b - a)).toEqual([12, 2]);
    const found = await world.runtime.list();
    await Promise.all(found.map(({ handle }) => world.runtime.stop(handle, 0)));
    await Promise.all(all.map((ears) => ears.end));
    expect(await leftIn(world.engine)).toEqual([]);
  });

  it('that outruns the rotation of its log loses and repeats nothing', async () => {
    // Two files of 16 MiB are kept; this is more than fits into three. Nothing is to be dropped for its amount.
    await remake({ output: { bytesPerSecond: 2 ** 30, burst: 2 ** 30, held: 0 } });
    const ears = await launch(
      shell('x=$(head -c 1000 /dev/zero | tr "\\0" x); yes $x | head -n 48000 | cat -n; exit 5', {
        resources: { memory: 256 * 1024 ** 2 },
      }),
    );
    expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 5 });
    const texts = ears.texts();
    expect(texts).toHaveLength(48_000);
    const wrong = texts.findIndex((text, n) => !text.startsWith(String(n + 1).padStart(6)));
    expect(wrong === -1 ? '' : texts[wrong]!.slice(0, 20)).toBe('');
  });

  it('whose Node reaches its own heap limit has failed, with what V8 said', async () => {
    const image = await nodeImage(world.engine);
    const ears = await launch(
      dockerSpec(
        [
          '/usr/bin/node',
          '--max-old-space-size=16',
          '-e',
          'const kept = []; for (;;) kept.push(new Array(1e4).fill({}))',
        ],
        { image, resources: { memory: 256 * 1024 ** 2, pids: 64 } },
      ),
    );
    const end = await ears.end;
    expect(end).toMatchObject({ kind: 'signalled', signal: 'SIGABRT', exitCode: 134 });
    expect(meaning(end, undefined, 0).reason).toBe('failed');
    expect((end as { lastLines: readonly string[] }).lastLines.join('\n')).toMatch(
      /heap out of memory|heap limit/i,
    );
  });

  it('without a network reaches the server over a socket', async () => {
    const doors = agentDoors({
      handle: (_, response) => {
        response.end('over the socket');
        return true;
      },
      server: () => ({ address: '127.0.0.1', port: 1 }),
    });
    closers.push(() => doors.close());
    await remake({ doors });
    const ears = await launch(
      shell(
        'ls -l $CORAL_SOCKET; echo $CORAL_CONNECTION_URL; sleep 1000',
        { user: '1234' },
        {
          address: world.runtime.addressOf(5555),
          environment: { CORAL_CONNECTION_URL: `http://${world.runtime.addressOf(5555)}/mcp/v1/s/mcp` },
        },
      ),
    );
    const socket = await ears.heard('coral.sock');
    expect(socket.text).toMatch(/^srw-rw-rw-/);
    await ears.heard('http://localhost/mcp/v1/s/mcp');
    // Busybox has no client for Unix sockets; this machine's end of the same file does.
    const [folder] = await readdir(world.folder);
    const names = await readdir(join(world.folder, folder!));
    const answer = await new Promise<string>((resolve, reject) => {
      request(
        { socketPath: join(world.folder, folder!, names[0]!, 'coral.sock'), path: '/mcp/x' },
        (response) => {
          response.setEncoding('utf8').on('data', resolve);
        },
      )
        .on('error', reject)
        .end();
    });
    expect(answer).toBe('over the socket');
  });

  it('without its program is a launch that failed, and says which program', async () => {
    const ears = await launch(dockerSpec(['/no/such/program']));
    expect(await ears.end).toMatchObject({
      kind: 'could_not_start',
      detail: expect.stringContaining('/no/such/program'),
    });
  });

  it('without its image says so', async () => {
    expect(await failure(shell('true', { image: 'coral-test/missing' }))).toMatch(
      /coral-test\/missing:1\.0\.0 is not on this machine/,
    );
    expect(await failure(shell('true', { image: 'Not A Name' }))).toMatch(
      /"?Not A Name.*no name of an image/,
    );
    expect(await failure(shell('true', { network: 'no-such' }))).toMatch(/no-such/);
  });

  it('that used up its memory says so', async () => {
    const script = 'echo begin; sleep 0.5; exec tail -c 500000000 /dev/zero';
    const ears = await launch(shell(script, { resources: { memory: 16 * 1024 ** 2 } }));
    expect(await ears.end).toMatchObject({
      kind: 'out_of_memory',
      exitCode: 137,
      detail: expect.stringContaining('16 MiB'),
    });
    const child = await launch(
      shell('sleep 0.5; tail -c 500000000 /dev/zero; exit 0', { resources: { memory: 16 * 1024 ** 2 } }),
    );
    expect(await child.end).toMatchObject({ kind: 'exited', exitCode: 0 });
  });

  it('that uses up its memory in its first milliseconds was killed, whatever the engine noticed', async () => {
    const small = { resources: { memory: 16 * 1024 ** 2 } };
    const all = await Promise.all(
      ['a', 'b', 'c', 'd'].map((agent) =>
        launch(shell('exec tail -c 500000000 /dev/zero', small, { labels: labels({ agent }) })),
      ),
    );
    for (const ears of all) {
      const ending = await ears.end;
      expect(ending).toMatchObject({ signal: 'SIGKILL', exitCode: 137 });
      expect(['oom_killed', 'killed']).toContain(meaning(ending, undefined, 0).reason);
    }
  });

  it('that somebody else killed or removed says so', async () => {
    const killed = await launch(shell('echo ready; sleep 1000'));
    await killed.heard('ready');
    const [first] = await world.runtime.list();
    await world.engine.text({ method: 'POST', path: `/containers/${first!.handle.id}/kill` });
    expect(await killed.end).toMatchObject({ kind: 'signalled', signal: 'SIGKILL', exitCode: 137 });
    const removed = await launch(shell('echo ready; sleep 1000'));
    await removed.heard('ready');
    const [second] = await world.runtime.list();
    await removeContainer(world.engine, second!.handle.id);
    expect(['lost', 'signalled']).toContain((await removed.end).kind);
  });

  it('takes its place when a crash left one of the same name', async () => {
    const spec = shell('echo mine');
    const left = await world.runtime.launch(shell('sleep 1000'), noSignal(), new Ears());
    const later = await world.secondLife!();
    const ears = new Ears().attachTo(later, await later.launch(spec, noSignal(), new Ears()));
    await ears.end;
    expect(ears.texts()).toEqual(['mine']);
    expect((await new Ears().attachTo(world.runtime, left).end).kind).not.toBe('exited');
    await later.close();
  });

  it('waits while four others are being launched, and says so', async () => {
    const heard: string[] = [];
    const all = Array.from({ length: 7 }, async (_, n) => {
      const ears = new DockerEars();
      await launch(shell('true', {}, { labels: labels({ agent: `agent ${n}` }) }), ears);
      await ears.end;
      heard.push(...ears.facts.flatMap((fact) => (fact.type === 'progress' ? [fact.text] : [])));
    });
    await Promise.all(all);
    expect(heard.filter((text) => text.includes('queue'))).toHaveLength(3);
  });

  it('is swept when nobody knows it, unless it is young or another instance owns it', async () => {
    const stray = { Image: BUSYBOX, Cmd: ['sleep', '1000'] };
    const make = async (instance: string): Promise<string> => {
      const body = {
        ...stray,
        Labels: {
          'coral.instance': instance,
          'coral.session': 's',
          'coral.agent': 'a',
          'coral.attempt': '1',
        },
      };
      const { Id } = await world.engine.json<{ Id: string }>({
        method: 'POST',
        path: '/containers/create',
        body,
      });
      return Id;
    };
    const instance = labels().instance;
    const [ours, theirs] = [await make(instance), await make(`other-${instance}`)];
    const makeNetwork = async (of: string, Subnet: string): Promise<string> => {
      const body = {
        Name: `stray-${of}`,
        Labels: { 'coral.instance': of, 'coral.session': 'gone' },
        IPAM: { Config: [{ Subnet }] },
      };
      const call = { method: 'POST', path: '/networks/create', body } as const;
      return (await world.engine.json<{ Id: string }>(call)).Id;
    };
    const network = await makeNetwork(instance, '10.208.0.0/28');
    const theirNetwork = await makeNetwork(`other-${instance}`, '10.208.0.16/28');
    const known = await launch(shell('echo ready; sleep 1000', { network: 'session' }));
    await known.heard('ready');
    expect(await world.runtime.sweep()).toEqual({ containers: [], networks: [], images: [] });
    await remakeKeeping();
    expect(await sweeper.sweep()).toMatchObject({
      containers: expect.arrayContaining([ours]),
      networks: [network],
    });
    await world.engine.text({ path: `/containers/${theirs}/json` });
    await world.engine.text({ path: `/networks/${theirNetwork}` });
    await removeContainer(world.engine, theirs);
    await removeNetwork(world.engine, theirNetwork);
    await sweeper.close();
  });
  let sweeper: DockerWorld['runtime'];
  const remakeKeeping = async (): Promise<void> => {
    const { dockerRuntime } = await import('../../../src/runtimes/docker/runtime.ts');
    const { ENDPOINT } = await import('../../support/docker.ts');
    sweeper = dockerRuntime({
      instance: labels().instance,
      endpoint: ENDPOINT,
      now: () => Date.now() + 3_600_000,
      temporaryFolder: world.folder,
      dockerConfig: world.folder,
      sweepEveryMs: 0,
    });
    // It would not know the living one either: that is ended first.
    for (const { handle } of await world.runtime.list())
      if (handle.id !== '') await world.runtime.stop(handle, 0).catch(() => undefined);
  };

  it('is swept by itself, at the start and on a timer', async () => {
    const stray = async (): Promise<string> => {
      const { instance, session, agent } = labels();
      const bears = { 'coral.instance': instance, 'coral.session': session, 'coral.agent': agent };
      const body = { Image: BUSYBOX, Cmd: ['true'], Labels: { ...bears, 'coral.attempt': '1' } };
      const call = { method: 'POST', path: '/containers/create', body } as const;
      return (await world.engine.json<{ Id: string }>(call)).Id;
    };
    const isGone = (id: string): Promise<boolean> =>
      world.engine.text({ path: `/containers/${id}/json` }).then(
        () => false,
        (error: unknown) => isRefusal(error, 404),
      );
    const before = await stray();
    await remake({ sweepEveryMs: 50, now: () => Date.now() + 3_600_000 });
    while (!(await isGone(before)));
    const meanwhile = await stray();
    while (!(await isGone(meanwhile)));
  });

  it('takes the volumes that its image made with it', async () => {
    const before = await volumes();
    await busyboxImage(world.engine, 'coral-test/volume:1', ['VOLUME /data']);
    await output(shell('echo x >/data/x', { image: 'coral-test/volume:1' }));
    expect(await volumes()).toBe(before);
  });
  const volumes = async (): Promise<number> =>
    (await world.engine.json<{ Volumes: unknown[] | null }>({ path: '/volumes' })).Volumes?.length ?? 0;

  it('leaves nothing on this machine either, once its end was written down', async () => {
    const files = [{ variable: 'KEY', parts: [Buffer.from('x')] }];
    const handle = await world.runtime.launch(shell('true', {}, { files }), noSignal(), new Ears());
    await new Ears().attachTo(world.runtime, handle).end;
    await world.runtime.release!(handle);
    for (const folder of await readdir(world.folder)) {
      expect(await readdir(join(world.folder, folder))).toEqual([]);
      expect((await stat(join(world.folder, folder))).mode & 0o077).toBe(0);
    }
  });
});
