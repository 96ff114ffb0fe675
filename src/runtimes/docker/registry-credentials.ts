/**
 * Credentials for registries from Docker's own configuration (`config.json` in `DOCKER_CONFIG` or `~/.docker`): plain
 * entries, or the helper program it names. What is found is sent to the engine and kept nowhere.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** As `X-Registry-Auth` takes it. */
export interface RegistryCredentials {
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly serveraddress: string;
}

interface DockerConfig {
  readonly auths?: Readonly<
    Record<string, { auth?: string; identitytoken?: string; username?: string; password?: string }>
  >;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

const HELPER_TIME = 10_000;
const HUB = 'https://index.docker.io/v1/';

/** The credentials for a registry; nothing when the configuration has none, or its helper fails. */
export async function credentialsFor(
  registry: string,
  folder: string,
): Promise<RegistryCredentials | undefined> {
  const config = await readConfig(join(folder, 'config.json'));
  if (config === undefined) return undefined;
  const names = registry === 'docker.io' ? [HUB, 'docker.io', 'index.docker.io'] : spellings(registry);
  for (const name of names) {
    const helper = config.credHelpers?.[name] ?? config.credsStore;
    if (helper !== undefined) {
      const found = await askHelper(helper, name);
      if (found !== undefined) return found;
    }
    const entry = config.auths?.[name];
    if (entry === undefined) continue;
    if (entry.identitytoken) return { identitytoken: entry.identitytoken, serveraddress: name };
    const [username, ...rest] = Buffer.from(entry.auth ?? '', 'base64')
      .toString('utf8')
      .split(':');
    if (username) return { username, password: rest.join(':').replace(/\0+$/, ''), serveraddress: name };
    if (entry.username !== undefined && entry.password !== undefined)
      return { username: entry.username, password: entry.password, serveraddress: name };
  }
  return undefined;
}

function spellings(registry: string): string[] {
  return [
    registry,
    `https://${registry}`,
    `http://${registry}`,
    `https://${registry}/`,
    `https://${registry}/v1/`,
    `https://${registry}/v2/`,
  ];
}

async function readConfig(file: string): Promise<DockerConfig | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as DockerConfig;
  } catch {
    return undefined;
  }
}

/** `docker-credential-NAME get`: the registry on stdin, JSON on stdout. */
function askHelper(name: string, registry: string): Promise<RegistryCredentials | undefined> {
  if (!/^[\w.-]+$/.test(name)) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const child = spawn(`docker-credential-${name}`, ['get'], {
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: HELPER_TIME,
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
    child.stdin.on('error', () => undefined);
    child.on('error', () => resolve(undefined));
    child.on('close', () => {
      try {
        const { Username: username, Secret: secret } = JSON.parse(text) as {
          Username: string;
          Secret: string;
        };
        resolve(
          username === '<token>'
            ? { identitytoken: secret, serveraddress: registry }
            : { username, password: secret, serveraddress: registry },
        );
      } catch {
        resolve(undefined);
      }
    });
    child.stdin.end(registry);
  });
}
