/** Pulling, against a real registry on the loopback and a proxy before it that misbehaves. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { LaunchFailure } from '../../../src/ports/runtime.ts';
import { Engine, isRefusal } from '../../../src/runtimes/docker/engine.ts';
import { Images } from '../../../src/runtimes/docker/pulls.ts';
import type { PullOptions } from '../../../src/runtimes/docker/pulls.ts';
import { credentialsFor } from '../../../src/runtimes/docker/registry-credentials.ts';
import { busyboxImage } from '../../support/docker-images.ts';
import { describeDocker, ENDPOINT } from '../../support/docker.ts';

const REGISTRY = '/usr/bin/docker-registry';
const PASSWORD = 'Basic ' + Buffer.from('reader:open sesame').toString('base64');
type Way = (asked: IncomingMessage, answer: ServerResponse, pass: () => void) => void;

describeDocker('pulling an image', () => {
  let registry: ChildProcess;
  let registryPort: number;
  let folder: string;
  let proxy: Server;
  let reference: string;
  let way: Way;
  let asked: string[];
  let engine: Engine;
  let told: string[];
  let images: Images;

  beforeAll(async () => {
    if (!existsSync(REGISTRY))
      throw new Error('There is no docker-registry; install the package docker-registry.');
    folder = await mkdtemp(join(tmpdir(), 'coral-registry-'));
    engine = new Engine({ endpoint: ENDPOINT });
    registryPort = await freePort();
    await writeFile(
      join(folder, 'config.yml'),
      `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${folder}/data}}\nhttp: {addr: '127.0.0.1:${registryPort}'}\n`,
    );
    registry = spawn(REGISTRY, ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
    await answering(registryPort);
    const pushed = `127.0.0.1:${registryPort}/team/agent:1`;
    await busyboxImage(engine, 'coral-test/pulled:1', ['LABEL coral.test.pull=1']);
    await engine.text({
      method: 'POST',
      path: '/images/coral-test%2Fpulled:1/tag',
      query: { repo: pushed.slice(0, -2), tag: '1' },
    });
    const said = await engine.text({
      method: 'POST',
      path: `/images/${encodeURIComponent(pushed.slice(0, -2))}/push`,
      query: { tag: '1' },
      credentials: { username: 'x', password: 'x' },
      deadlineMs: 60_000,
    });
    expect(said).not.toContain('"error"');
    await forget(pushed);
    await forget('coral-test/pulled:1');
  });
  afterAll(async () => {
    registry.kill();
    engine.close();
    await rm(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    way = (_, __, pass) => pass();
    asked = [];
    told = [];
    proxy = createServer((incoming, answer) => {
      asked.push(`${incoming.method} ${incoming.url}`);
      way(incoming, answer, () => {
        const onward = request(
          {
            port: registryPort,
            host: '127.0.0.1',
            method: incoming.method,
            path: incoming.url,
            headers: incoming.headers,
          },
          (from) => {
            answer.writeHead(from.statusCode!, from.headers);
            from.pipe(answer);
          },
        );
        onward.on('error', () => answer.destroy());
        incoming.pipe(onward);
      });
    });
    await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
    reference = `127.0.0.1:${(proxy.address() as AddressInfo).port}/team/agent:1`;
    make({});
  });
  afterEach(async () => {
    images.close();
    proxy.closeAllConnections();
    await new Promise((closed) => proxy.close(closed));
    await forget(reference);
  });

  const make = (options: Partial<PullOptions>): void => {
    images = new Images({
      engine,
      credentials: (name) => credentialsFor(name, folder),
      retryMs: 1,
      tellEveryMs: 1,
      ...options,
    });
  };
  const forget = (name: string): Promise<unknown> =>
    engine
      .text({ method: 'DELETE', path: `/images/${encodeURIComponent(name)}`, query: { force: 1 } })
      .catch((error: unknown) => {
        if (!isRefusal(error, 404)) throw error;
      });
  const ensure = (signal = new AbortController().signal, name = reference): Promise<unknown> =>
    images.ensure(name, 'missing', signal, (text) => told.push(text));
  const failure = async (name?: string): Promise<LaunchFailure> => {
    const error: unknown = await ensure(undefined, name).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LaunchFailure);
    return error as LaunchFailure;
  };
  const isManifest = ({ url }: IncomingMessage): boolean => url!.includes('/manifests/');
  const isBlob = ({ url }: IncomingMessage): boolean => url!.includes('/blobs/');

  it('tells of its progress, and pulls nothing that is there', async () => {
    await ensure();
    expect(told[0]).toBe(`Pulling the image ${reference}.`);
    expect(told.at(-1)).toBe(`Pulled the image ${reference}.`);
    const before = asked.length;
    await ensure();
    expect(asked).toHaveLength(before);
    await images.ensure(reference, 'always', new AbortController().signal, () => undefined);
    expect(asked.length).toBeGreaterThan(before);
  });

  it('happens once for twenty who ask at once', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    way = (incoming, _, pass) => void (isBlob(incoming) ? held.then(pass) : pass());
    const all = Array.from({ length: 20 }, () => ensure());
    while (!asked.some((line) => line.includes('/blobs/')))
      await new Promise((resolve) => setImmediate(resolve));
    release();
    await Promise.all(all);
    expect(
      asked.filter((line) => line.startsWith('GET') && line.includes('/manifests/sha256')).length,
    ).toBeLessThanOrEqual(1);
    const blobs = asked.filter((line) => line.startsWith('GET') && line.includes('/blobs/'));
    expect(new Set(blobs).size).toBe(blobs.length);
    expect(told.filter((text) => text.startsWith('Pulled'))).toHaveLength(20);
  });

  it('fails at once when there is no such image', async () => {
    const error = await failure(reference.replace('agent:1', 'agent:2'));
    expect(error).toMatchObject({
      retry: false,
      message: expect.stringMatching(/agent:2 cannot be pulled: .* has no such image/),
    });
  });

  it('fails at once when it is refused, and succeeds with the credentials of Docker', async () => {
    way = (incoming, answer, pass) => {
      if (incoming.headers.authorization === PASSWORD) return pass();
      answer.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    };
    expect(await failure()).toMatchObject({
      retry: false,
      message: expect.stringMatching(/refuses it.*docker login/),
    });
    const registryName = reference.split('/')[0]!;
    const auth = PASSWORD.slice('Basic '.length);
    await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [registryName]: { auth } } }));
    await ensure();
    await rm(join(folder, 'config.json'));
  });

  it('tries again when the connection breaks', async () => {
    let broken = 0;
    way = (incoming, answer, pass) => {
      if (isManifest(incoming) && broken < 2) {
        broken += 1;
        answer.socket!.destroy();
      } else pass();
    };
    await ensure();
    expect(told.some((text) => text.includes('Trying again'))).toBe(true);
  });

  it('gives up a registry that is not there, after some tries', async () => {
    const port = await freePort();
    const error = await failure(`127.0.0.1:${port}/team/agent:1`);
    expect(error).toMatchObject({
      retry: true,
      message: expect.stringMatching(/4 tries.*cannot be reached/),
    });
  });

  it('gives up when nothing comes any more', async () => {
    make({ stallMs: 300 });
    way = (incoming, _, pass) => {
      if (!isBlob(incoming)) pass();
    };
    expect(await failure()).toMatchObject({
      retry: true,
      message: expect.stringMatching(/nothing came.*300 ms/),
    });
  });

  it('gives up when the whole takes too long, though something comes', async () => {
    make({ totalMs: 700 });
    way = (incoming, answer, pass) => {
      if (!isBlob(incoming) || incoming.method !== 'GET') return pass();
      answer.writeHead(200, { 'content-length': '100000000', 'content-type': 'application/octet-stream' });
      const drip = setInterval(() => answer.write('x'.repeat(1_000)), 20);
      answer.on('close', () => clearInterval(drip));
    };
    expect(await failure()).toMatchObject({ message: expect.stringMatching(/not pulled within 700 ms/) });
  });

  it('ends at once for who has given up, and goes on for the others', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    way = (incoming, _, pass) => void (isBlob(incoming) ? held.then(pass) : pass());
    const abort = new AbortController();
    const given = ensure(abort.signal);
    const stays = ensure();
    abort.abort();
    await expect(given).rejects.toBeInstanceOf(LaunchFailure);
    release();
    await stays;
  });

  it('leaves nothing when everybody has given up', async () => {
    way = (incoming, _, pass) => {
      if (!isBlob(incoming)) pass();
    };
    const abort = new AbortController();
    const given = ensure(abort.signal);
    while (!asked.some((line) => line.includes('/blobs/')))
      await new Promise((resolve) => setImmediate(resolve));
    abort.abort();
    await expect(given).rejects.toBeInstanceOf(LaunchFailure);
    await expect(
      engine.text({ path: `/images/${encodeURIComponent(reference)}/json` }),
    ).rejects.toMatchObject({ status: 404 });
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

async function answering(port: number): Promise<void> {
  const pause = 50;
  for (let tries = 0; tries < 200; tries += 1) {
    const asked = await fetch(`http://127.0.0.1:${port}/v2/`).catch(() => undefined);
    if (asked !== undefined) return;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  throw new Error('The registry did not start.');
}
