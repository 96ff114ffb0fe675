/** Engines that are not on this machine, and registries whose credentials a helper keeps; no engine is needed. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Engine } from '../../../src/runtimes/docker/engine.ts';
import { whyUnavailable } from '../../../src/runtimes/docker/failure.ts';
import { findAccess } from '../../../src/runtimes/docker/options.ts';
import { credentialsFor } from '../../../src/runtimes/docker/registry-credentials.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'coral-access-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('an engine behind TLS', () => {
  it('is known by its authority and knows us by our certificate, as DOCKER_CERT_PATH says', async () => {
    const openssl = (...args: readonly string[]): void =>
      void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      'key.pem',
      '-out',
      'cert.pem',
      '-subj',
      '/CN=localhost',
      '-addext',
      'subjectAltName=DNS:localhost',
    );
    writeFileSync(join(folder, 'ca.pem'), readFileSync(join(folder, 'cert.pem')));
    const pem = (name: string): string => readFileSync(join(folder, name), 'utf8');
    const server = createServer(
      {
        cert: pem('cert.pem'),
        key: pem('key.pem'),
        ca: pem('ca.pem'),
        requestCert: true,
        rejectUnauthorized: true,
      },
      (_, response) => response.end('OK'),
    );
    await new Promise<void>((listening) => server.listen(0, 'localhost', listening));
    const endpoint = `tcp://localhost:${(server.address() as AddressInfo).port}`;
    const environment = { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder };
    const engine = new Engine({ endpoint, ...findAccess(environment, '/nowhere', endpoint) });
    expect(await engine.text({ path: '/_ping' })).toBe('OK');
    engine.close();
    const stranger = new Engine({ endpoint });
    expect(await whyUnavailable(stranger)).toContain(endpoint);
    stranger.close();
    await new Promise((closed) => server.close(closed));
  });

  it.each([
    ['ssh://user@host', {}, /are not reached by ssh:\/\/; set docker\.socket/],
    [
      'tcp://host:2376',
      { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/nowhere' },
      /cannot be read in \/nowhere \(ENOENT\)/,
    ],
  ])('%s with %j is refused with a sentence', async (endpoint, environment, sentence) => {
    const engine = new Engine({ endpoint, ...findAccess(environment, '/', endpoint) });
    expect(await whyUnavailable(engine)).toMatch(sentence);
    engine.close();
  });
});

describe('a credential helper', () => {
  const path = process.env['PATH'];
  afterEach(() => {
    process.env['PATH'] = path;
  });

  it('is asked for the registry it is named for', async () => {
    const helper = `#!/bin/sh\n[ "$1" = get ] && registry=$(cat) && echo "{\\"Username\\":\\"me\\",\\"Secret\\":\\"for $registry\\"}"\n`;
    writeFileSync(join(folder, 'docker-credential-fake'), helper, { mode: 0o755 });
    writeFileSync(join(folder, 'docker-credential-broken'), '#!/bin/sh\necho no such entry; exit 1\n', {
      mode: 0o755,
    });
    const credHelpers = { 'r.example': 'fake', 'b.example': 'broken', 'none.example': 'missing' };
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ credHelpers }));
    process.env['PATH'] = `${folder}:${path ?? ''}`;
    expect(await credentialsFor('r.example', folder)).toEqual({
      username: 'me',
      password: 'for r.example',
      serveraddress: 'r.example',
    });
    for (const registry of ['b.example', 'none.example', 'other.example'])
      expect(await credentialsFor(registry, folder)).toBeUndefined();
  });
});
