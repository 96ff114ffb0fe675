/**
 * The composition root: makes every part of the server, joins them, and ends them in the reverse order. Nothing else
 * knows more than its neighbours.
 */
import { join } from 'node:path';
import { Acquired } from './app/acquired.ts';
import { logDockerCheck } from './app/docker.ts';
import { openKeys } from './app/keys.ts';
import { openConfiguredRegistry } from './app/registry.ts';
import { killAll, openRuntimes, type RuntimeParts } from './app/runtimes.ts';
import { openStorage } from './app/storage.ts';
import { processEnvironment, type Config } from './config.ts';
import type { Coral } from './engine/coral.ts';
import { createCoral } from './engine/create-coral.ts';
import { LogHub } from './engine/log-hub.ts';
import { createHost } from './host.ts';
import { agentDoors } from './http/agent-doors.ts';
import { hostGuard, isLoopback } from './http/host-guard.ts';
import { choosePort, listen } from './http/listen.ts';
import { Metrics } from './http/metrics.ts';
import { createHttpServer, joinOutput } from './http/server.ts';
import { createMcpDoor } from './mcp/door.ts';
import { CustomTools } from './outbound/custom-tools.ts';
import { createSender } from './outbound/http-sender.ts';
import { signBody, signDelivery } from './outbound/signature.ts';
import { VERSION } from './package-root.ts';
import type { Host } from './ports/host.ts';
import { SILENT, type Log } from './ports/log.ts';
import type { Fault } from './ports/registry.ts';
import { isAlive } from './process-identity.ts';
import { strangerIn } from './runtimes/executable/keeper/living.ts';
import { openStateFolder } from './state-folder.ts';

/** How a server is started, beyond its configuration. */
export interface AppOptions {
  /** The server is a command's own and ends with it: said in the lock. */
  readonly embedded?: boolean;
  /** Default: says nothing. */
  readonly log?: Log;
  readonly host?: Host;
  /** What agents may inherit from and team files read with `${env.X}`. Default: this process's own. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** A server that runs. */
export interface App {
  /** Base URL of the API as reached from this machine. */
  readonly url: string;
  readonly coral: Coral;
  /** A key that is good for the API. */
  readonly key: string;
  /** True when the key was made at this start. */
  readonly freshKey: boolean;
  /** Where the key lies; absent when the configuration names the keys. */
  readonly keyFile?: string;
  /** Absolute. */
  readonly stateDir: string;
  /**
   * Ends all sessions in good order, then everything else; with `keepAgents` their agents run on, for the next start
   * to go on with. An embedded server leaves the sessions that it found as they are. Rejects, with everything ended that can be,
   * where something did not go in good order: the log says what. Calling it again gives the same promise.
   */
  close(options?: { readonly keepAgents?: boolean }): Promise<void>;
  /** Kills every agent at once; nothing is closed in good order. For the last moment of a process. */
  abort(): Promise<void>;
}

/**
 * Starts a server. Throws, with everything it had begun ended again: LockHeld when another server has the state
 * folder, ListenError when the port cannot be had, or an error that says which file, or which keeper, cannot be used.
 */
export async function startApp(config: Config, options: AppOptions = {}): Promise<App> {
  const { host = createHost(), environment = processEnvironment(), embedded = false } = options;
  const { logBufferSize: size, maxReplay } = config.logging;
  const logs = new LogHub({ size, maxReplay, now: () => host.now() });
  const log = logs.tee(options.log ?? SILENT);
  const acquired = new Acquired();
  try {
    const state = openStateFolder(config.stateDir, host.now(), embedded);
    acquired.add('the lock', () => state.lock.release());
    const keeperFolder = join(state.path, 'keeper');
    const stranger = strangerIn(keeperFolder, isAlive);
    if (stranger !== undefined) throw new Error(stranger);
    const secrets = state.secrets();
    const keys = openKeys(config, state, secrets.localKey, log);
    // Known before anything is launched, and if possible the same as last time: running agents look for us there.
    let port = await choosePort(config.network, state.lastPort());
    let address = config.network.bindAddress;

    const { journal, vault, output, backup } = openStorage(config, {
      folder: state.path,
      host,
      log,
      acquired,
    });
    const registry = await openConfiguredRegistry(config, (fault) => warnOf(fault, log));
    acquired.add('the registry', () => registry.close());

    const doors = agentDoors({ server: () => ({ address, port }) });
    acquired.add("the agents' doors", () => doors.close());
    const running: { coral?: Coral } = {};
    const parts: RuntimeParts = {
      instance: state.instance,
      folder: join(state.path, 'options'),
      keeperFolder,
      address: dialled(address),
      embedded,
      host,
      environment,
      doors,
      living: () => running.coral?.living(),
      log,
    };
    const runtimes = openRuntimes(config, parts);
    acquired.add('the runtimes', async () => {
      await Promise.all([...runtimes.values()].map((runtime) => runtime.close()));
    });

    const sender = createSender({
      allowLoopback: isLoopback(address),
      allow: config.network.outboundAllow,
    });
    acquired.add('outgoing connections', () => sender.close());
    const webhookSecret = config.network.webhookSecret ?? secrets.webhookSecret;

    const metrics = new Metrics({ process: true });
    const coral = await createCoral({
      host,
      journal: metrics.watch(journal),
      vault,
      registry,
      runtimes,
      output,
      instance: state.instance,
      settings: {
        defaultWaitMs: config.session.defaultWaitTimeout,
        stateMessageLimit: config.session.stateMessageLimit,
        limits: config.limits,
      },
      log,
      webhooks: {
        sender,
        sign: (body) => signBody(webhookSecret, body),
        signDelivery: (id, time, body) => signDelivery(webhookSecret, id, time, body),
      },
      agentPort: () => port,
      // A command's own server is gone soon: where it listens says nothing about who will be reached.
      ...(!embedded && { expectedPort: port }),
    });
    running.coral = coral;
    // For a start that fails later. Otherwise sessions end first, while agents can still say goodbye: see below.
    acquired.add('the engine', () => coral.shutdown('everything'));
    acquired.add('the log', joinOutput(logs, coral));

    const guard = hostGuard(config.network);
    const customTools = new CustomTools({
      sender,
      secret: config.network.customToolSecret ?? secrets.customToolSecret,
    });
    const door = createMcpDoor({
      authenticate: (secret) => coral.authenticate(secret),
      defaultWaitMs: config.session.defaultWaitTimeout,
      now: () => host.now(),
      signingKey: secrets.signingKey,
      version: VERSION,
      warn: (message, error) => log.warn(message, error === undefined ? {} : { error }),
      idleMs: config.limits.mcpIdleTimeout,
      bodyLimit: config.limits.bodySize,
      allowHost: (request) => (doors.letIn(request) ? undefined : guard.check(request)?.message),
      customTools: {
        call: async ({ key, agent, customTools: tools }, name, args, signal) => {
          const tool = tools[name];
          if (tool === undefined) return { isError: true, text: `There is no tool "${name}".` };
          return customTools.call({ key, agent, name, tool, args, signal });
        },
      },
    });
    acquired.add('the MCP door', () => door.close());
    doors.serve((request, response) => door.handle(request, response));

    const http = createHttpServer({
      coral,
      config: {
        ...config.network,
        bodyLimit: config.limits.bodySize,
        requestsPerSecond: config.limits.requestsPerSecond,
        failedLogins: config.limits.failedLogins,
        sockets: config.limits.sockets,
      },
      authKeys: keys,
      cookieSecret: secrets.cookieSecret,
      environment,
      mcp: (request, response) => door.handle(request, response),
      version: VERSION,
      log,
      logs,
      metrics,
      ...(backup !== undefined && { backup }),
    });
    acquired.add('the HTTP server', () => http.close());
    ({ address, port } = await listen(http, { ...config.network, bindPort: port }));
    state.keepPort(port);
    const url = `http://${dialled(address)}:${port}`;
    state.lock.announce(url);
    // A command's own server has no operator who could mend something meanwhile.
    if (!embedded) acquired.add('the check of Docker', logDockerCheck(config, parts, { port, registry }));

    let closing: Promise<void> | undefined;
    return {
      url,
      coral,
      key: keys.key,
      freshKey: keys.fresh,
      ...(keys.file !== undefined && { keyFile: keys.file }),
      stateDir: state.path,
      close: ({ keepAgents = false } = {}) => {
        const keep = keepAgents ? 'everything' : embedded ? 'what_was_found' : 'nothing';
        acquired.add('the sessions', () => coral.shutdown(keep));
        return (closing ??= acquired.release(log).then((inOrder) => {
          if (!inOrder) throw new Error('Not everything could be ended in good order; the log says what.');
        }));
      },
      abort: () => killAll(runtimes.values()),
    };
  } catch (error) {
    await acquired.release(log);
    throw error;
  }
}

function warnOf({ severity, file, line, key, message }: Fault, log: Log): void {
  const place = line === undefined ? file : `${file}:${line}`;
  const text = `${place}: ${key === undefined ? '' : `${key}: `}${message}`;
  if (severity === 'error') log.error(text);
  else log.warn(text);
}

/** What somebody on this machine dials to reach a listening address. */
function dialled(address: string): string {
  // `localhost` may resolve to ::1 where nobody listens.
  if (['0.0.0.0', '::', 'localhost'].includes(address)) return '127.0.0.1';
  return address.includes(':') ? `[${address}]` : address;
}
