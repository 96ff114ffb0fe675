/**
 * Whether containers will find their way: an engine that answers, a network of the kind that sessions get, the agents'
 * door at its gateway, and a container that dials it. C1: nothing is pulled. C2: everything made is removed again, and
 * bears the instance's label for the sweep in case that it is not. C3: what cannot be tried is said, and is no fault.
 */
import { createHash } from 'node:crypto';
import { get } from 'node:http';
import { createContainer } from './create.ts';
import { Engine, EngineRefusal, EngineUnreachable } from './engine.ts';
import { whyUnavailable } from './failure.ts';
import { Networks } from './networks.ts';
import type { Joined } from './networks.ts';
import { SUBNET_POOL, type DockerRuntimeOptions } from './options.ts';
import { Surroundings } from './place.ts';
import { PROBE_ARCHITECTURES, PROBE_PATH, probeArchive } from './probe-image.ts';
import { removeContainer } from './remove.ts';
import { LABEL } from './spec.ts';

/** What a check found. */
export interface SelfCheck {
  /** `Docker Engine 20.10.24, API 1.41`; absent when none answers. */
  readonly engine?: string;
  /** `HOST:PORT` as containers were given it; absent when it was not found out. */
  readonly address?: string;
  /** A container dialled it and got through. */
  readonly reached: boolean;
  /** One sentence each: what is wrong, and what to do. None: containers will work, as far as it was tried. */
  readonly problems: readonly string[];
  /** What was not tried, and why. */
  readonly notes: readonly string[];
}

/** What a check works with, beyond what the runtime is given. */
export interface SelfCheckOptions {
  readonly runtime: Pick<
    DockerRuntimeOptions,
    | 'endpoint'
    | 'access'
    | 'instance'
    | 'doors'
    | 'address'
    | 'subnetPool'
    | 'responseTimeoutMs'
    | 'pingTimeoutMs'
  >;
  /** The server's port; 0 when none runs: then only a door that the check opens can be dialled. */
  readonly port: number;
  /** Distinguishes checks that run at once. */
  readonly name: string;
  /** Ends it early. */
  readonly signal?: AbortSignal;
  /** How long a container may take to get through, ms. Default 5,000. */
  readonly dialMs?: number;
}

const OLDEST_API = [1, 41] as const;
const DIAL_MS = 5_000;
const MEMORY = 16 * 1024 * 1024;
/** Error numbers of Linux. */
const REFUSED = 111;

/** Never rejects; takes a second or so. */
export async function checkDocker(options: SelfCheckOptions): Promise<SelfCheck> {
  const { endpoint, access, responseTimeoutMs, pingTimeoutMs } = options.runtime;
  const engine = new Engine({
    endpoint,
    ...access,
    ...(responseTimeoutMs !== undefined && { responseTimeoutMs }),
    ...(pingTimeoutMs !== undefined && { pingTimeoutMs }),
  });
  const found: Findings = { reached: false, problems: [], notes: [] };
  try {
    const unavailable = await whyUnavailable(engine);
    if (unavailable === undefined) await look(engine, options, found);
    else found.problems.push(unavailable);
  } catch (error) {
    if (options.signal?.aborted !== true) found.problems.push(sentenceOf(error));
  } finally {
    engine.close();
  }
  return found;
}

interface Findings {
  engine?: string;
  address?: string;
  reached: boolean;
  readonly problems: string[];
  readonly notes: string[];
}

async function look(engine: Engine, options: SelfCheckOptions, found: Findings): Promise<void> {
  const { runtime, port, name, signal } = options;
  const version = await engine.json<{ Version?: string; ApiVersion?: string }>({ path: '/version' });
  const surroundings = new Surroundings(engine);
  const { facts } = await surroundings.look();
  const kind = facts.isPodman ? 'Podman' : 'Docker Engine';
  found.engine = `${kind} ${version.Version ?? '?'}, API ${version.ApiVersion ?? '?'}`;
  if (isOlder(version.ApiVersion)) {
    found.problems.push(
      `${kind} ${version.Version ?? ''} speaks API ${version.ApiVersion ?? '?'}, but ${OLDEST_API.join('.')} is needed; install Docker 20.10 or newer.`,
    );
    return;
  }
  const { instance, doors, address, subnetPool: pool = SUBNET_POOL } = runtime;
  const networks = new Networks({
    engine,
    instance,
    pool,
    surroundings,
    ...(doors !== undefined && { doors }),
    ...(address !== undefined && { address }),
  });
  let joined: Joined | undefined;
  try {
    joined = await networks.join('session', { instance, session: name, agent: 'check', attempt: 1 }, port);
    if (joined.address === undefined || signal?.aborted === true) return;
    found.address = joined.address;
    if (address !== undefined && port === 0) {
      found.notes.push(
        'docker.address is set and no server runs: whether containers reach it was not tried.',
      );
      return;
    }
    if (facts.isPodman && port === 0) {
      found.notes.push('On Podman the way back is tried only while a server runs.');
      return;
    }
    await dial(engine, options, joined, found);
  } finally {
    await joined?.leave();
    await networks.close();
  }
}

async function dial(
  engine: Engine,
  options: SelfCheckOptions,
  joined: Joined,
  found: Findings,
): Promise<void> {
  const { runtime } = options;
  const { address } = joined as { address: string };
  const [host = '', port = ''] = address.split(':');
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(host)) {
    found.notes.push(`${host} is a name that only containers know: whether they reach it was not tried.`);
    return;
  }
  const { Architecture = '' } = await engine.json<{ Architecture?: string }>({ path: '/info' });
  if (!PROBE_ARCHITECTURES.includes(Architecture)) {
    found.notes.push(`Whether containers reach ${address} is tried on ${PROBE_ARCHITECTURES[0]} only.`);
    return;
  }
  const answer = await fromContainer(engine, options, joined, host, Number(port));
  if (answer === 0) found.reached = true;
  else found.problems.push(whyNot(answer, address, runtime.subnetPool ?? SUBNET_POOL));
}

/** 0, the error number of Linux, or nothing when no answer came in time; `shut`: not even this machine gets in. */
async function fromContainer(
  engine: Engine,
  { runtime, name, signal, dialMs = DIAL_MS }: SelfCheckOptions,
  joined: Joined,
  host: string,
  port: number,
): Promise<number | 'shut' | undefined> {
  const labels = { [LABEL.instance]: runtime.instance };
  const told = await engine.text({
    method: 'POST',
    path: '/images/create',
    query: { fromSrc: '-', changes: `LABEL ${LABEL.instance}=${runtime.instance}` },
    file: probeArchive(host, port),
  });
  const image = /sha256:[0-9a-f]{64}/.exec(told)?.[0];
  if (image === undefined) throw new Error(`the image of the self-check could not be made: ${told.trim()}`);
  let id: string | undefined;
  try {
    // The same name for the same check: what a crash left of it is removed by the next one.
    const digest = createHash('sha256').update(`${runtime.instance}/${name}`).digest('hex').slice(0, 16);
    id = await createContainer(engine, `coral-check-${digest}`, {
      Image: image,
      Entrypoint: [PROBE_PATH],
      User: '65534:65534',
      Labels: labels,
      HostConfig: {
        NetworkMode: joined.mode,
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        Memory: MEMORY,
        MemorySwap: MEMORY,
        PidsLimit: 8,
      },
    });
    await joined.appear(id);
    // What the operator names may be good from inside only.
    if (runtime.address === undefined && !(await answers(`${host}:${port}`, dialMs))) return 'shut';
    await engine.text({ method: 'POST', path: `/containers/${id}/start` });
    const ended = await engine
      .json<{ StatusCode: number }>({
        method: 'POST',
        path: `/containers/${id}/wait`,
        deadlineMs: dialMs,
        ...(signal !== undefined && { signal }),
      })
      .catch((error: unknown) => {
        if (error instanceof EngineUnreachable && error.code === 'silent') return undefined;
        throw error;
      });
    return ended?.StatusCode;
  } finally {
    if (id !== undefined) await removeContainer(engine, id);
    await engine.text({ method: 'DELETE', path: `/images/${image}`, query: { force: 1 } });
  }
}

function whyNot(answer: number | 'shut' | undefined, address: string, pool: string): string {
  if (answer === 'shut')
    return `The agents' door at ${address} does not answer, even to this machine; look for a firewall that blocks its own addresses, or set docker.address.`;
  const what =
    answer === undefined
      ? 'what they send is dropped'
      : answer === REFUSED
        ? 'they are refused'
        : `they are turned away (error ${answer})`;
  return (
    `Containers cannot reach this server at ${address}: ${what}, most likely by a firewall of this machine; ` +
    `allow them with \`ufw allow from ${pool}\` or \`iptables -I INPUT -s ${pool} -j ACCEPT\`.`
  );
}

/** Any answer over HTTP will do. */
function answers(address: string, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(`http://${address}/`, { agent: false, timeout: ms }, (response) => {
      response.resume();
      response.once('close', () => resolve(true));
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
  });
}

function isOlder(api: string | undefined): boolean {
  const [major = 0, minor = 0] = (api ?? '').split('.').map(Number);
  return major < OLDEST_API[0] || (major === OLDEST_API[0] && minor < OLDEST_API[1]);
}

function sentenceOf(error: unknown): string {
  const message = (error as Error).message.trim().replace(/[.]?$/, '.');
  return error instanceof EngineRefusal
    ? `The Docker engine refused what containers need: ${message}`
    : message;
}
