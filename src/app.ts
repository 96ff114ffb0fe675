/**
 * The composition root: makes every part of the server, joins them, and ends them in the reverse order. Nothing else
 * knows more than its neighbours.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { ApiKeys } from './api-keys.ts';
import { processEnvironment, type Config } from './config.ts';
import type { RuntimeKind } from './domain/definition.ts';
import type { Coral } from './engine/coral.ts';
import { createCoral } from './engine/create-coral.ts';
import { LogHub } from './engine/log-hub.ts';
import { roomForLogs } from './disk-room.ts';
import { createHost } from './host.ts';
import { agentDoors } from './http/agent-doors.ts';
import { hostGuard, isLoopback } from './http/host-guard.ts';
import { choosePort, listen } from './http/listen.ts';
import { Metrics } from './http/metrics.ts';
import { createHttpServer, joinOutput } from './http/server.ts';
import { journalCopies } from './journal-copies.ts';
import { openMemoryJournal } from './journal/memory.ts';
import { openSqliteJournal } from './journal/sqlite.ts';
import { openMemoryVault } from './journal/vault-memory.ts';
import { openSqliteVault } from './journal/vault.ts';
import { createMcpDoor } from './mcp/door.ts';
import { CustomTools } from './outbound/custom-tools.ts';
import { createSender } from './outbound/http-sender.ts';
import { signBody, signDelivery } from './outbound/signature.ts';
import { openFileOutput } from './output/files.ts';
import { openMemoryOutput } from './output/memory.ts';
import { PACKAGE_ROOT, VERSION } from './package-root.ts';
import type { Host } from './ports/host.ts';
import type { AgentDoors } from './ports/agent-doors.ts';
import { SILENT, type Log } from './ports/log.ts';
import type { Fault } from './ports/registry.ts';
import type { Runtime } from './ports/runtime.ts';
import { logDockerCheck, openConfiguredDocker, type DockerParts } from './configured-docker.ts';
import { openConfiguredRegistry } from './configured-registry.ts';
import { isAlive } from './process-identity.ts';
import { hasKept } from './runtimes/executable/keeper/kept-files.ts';
import { keptExecutableRuntime } from './runtimes/executable/keeper/runtime.ts';
import { executableRuntime } from './runtimes/executable/runtime.ts';
import { functionRuntime } from './runtimes/function/runtime.ts';
import { withManual } from './runtimes/manual.ts';
import { scriptedRuntime } from './runtimes/scripted/runtime.ts';
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
   * to go on with. An embedded server leaves the sessions that it found as they are. Calling it again gives the same promise.
   */
  close(options?: { readonly keepAgents?: boolean }): Promise<void>;
  /** Kills every agent at once; nothing is closed in good order. For the last moment of a process. */
  abort(): Promise<void>;
}

/**
 * Starts a server. Throws, with everything it had begun ended again: LockHeld when another server has the state
 * folder, ListenError when the port cannot be had, or an error that says which file cannot be used.
 */
export async function startApp(config: Config, options: AppOptions = {}): Promise<App> {
  const { host = createHost(), environment = processEnvironment() } = options;
  const { logBufferSize: size, maxReplay } = config.logging;
  const logs = new LogHub({ size, maxReplay, now: () => host.now() });
  const log = logs.tee(options.log ?? SILENT);
  const closers: Closer[] = [];
  /** Takes the release of what was just acquired. */
  const acquired = (name: string, close: () => Promise<void> | void): void => {
    closers.push({ name, close });
  };
  try {
    const state = openStateFolder(config.stateDir, host.now(), options.embedded === true);
    acquired('the lock', () => state.lock.release());
    const { key, fresh, keys } = keysOf(config, () => state.apiKey());
    // Known before anything is launched, and if possible the same as last time: running agents look for us there.
    let port = await choosePort(config.network, state.lastPort());
    const secrets = state.secrets();
    const added = new ApiKeys(state.path);
    // Now, so that a file that cannot be read ends the start and not the first request.
    added.list();

    const stored = config.journal.kind === 'sqlite';
    const metrics = new Metrics({ process: true });
    const sqlite = stored
      ? openSqliteJournal({
          file: join(state.path, 'journal.db'),
          sync: config.journal.sync,
          now: () => host.now(),
        })
      : undefined;
    const journal = metrics.watch(sqlite ?? openMemoryJournal({ now: () => host.now() }));
    acquired('the journal', () => journal.close());
    const vault = stored
      ? openSqliteVault({ file: join(state.path, 'vault.db'), keyFile: join(state.path, 'vault.key') })
      : openMemoryVault();
    acquired('the vault', () => vault.close());
    const output = stored
      ? openFileOutput({
          folder: join(state.path, 'output'),
          maxBytesPerAgent: config.logging.maxAgentOutput,
          hasRoom: roomForLogs(state.path),
          onError: (error) => log.error('The output of agents cannot be written.', { error }),
        })
      : openMemoryOutput({ maxBytesPerAgent: config.logging.maxAgentOutput });
    acquired('the output of agents', () => output.close());

    const registry = await openConfiguredRegistry(config, (fault) => warnOf(fault, log));
    acquired('the registry', () => registry.close());

    let address = config.network.bindAddress;
    const running: { coral?: Coral } = {};
    const doors = agentDoors({ server: () => ({ address, port }) });
    acquired("the agents' doors", () => doors.close());
    const parts: RuntimeParts = {
      instance: state.instance,
      folder: join(state.path, 'options'),
      keeperFolder: join(state.path, 'keeper'),
      embedded: options.embedded === true,
      host,
      environment,
      doors,
      living: () => running.coral?.living(),
      log,
    };
    const runtimes = runtimesFor(config, parts);
    acquired('the runtimes', async () => {
      await Promise.all([...runtimes.values()].map((runtime) => runtime.close()));
    });

    const sender = createSender({
      allowLoopback: isLoopback(config.network.bindAddress),
      allow: config.network.outboundAllow,
    });
    acquired('outgoing connections', () => sender.close());
    const webhookSecret = config.network.webhookSecret ?? secrets.webhookSecret;
    const customTools = new CustomTools({
      sender,
      secret: config.network.customToolSecret ?? secrets.customToolSecret,
    });

    const coral = await createCoral({
      host,
      journal,
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
      ...(options.embedded !== true && { expectedPort: port }),
    });
    running.coral = coral;
    // For a start that fails later. Otherwise sessions end first, while agents can still say goodbye: see below.
    acquired('the engine', () => coral.shutdown('everything'));

    acquired('the log', joinOutput(logs, coral));

    const guard = hostGuard(config.network);
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
    acquired('the MCP door', () => door.close());
    doors.serve((request, response) => door.handle(request, response));

    const http = createHttpServer({
      coral,
      config: {
        ...config.network,
        bodyLimit: config.limits.bodySize,
        requestsPerSecond: config.limits.requestsPerSecond,
        failedLogins: config.limits.failedLogins,
      },
      authKeys: {
        check: (given) =>
          [...keys, secrets.localKey].some((known) => sameText(known, given)) || isAdded(added, given, log),
      },
      cookieSecret: secrets.cookieSecret,
      environment,
      mcp: (request, response) => door.handle(request, response),
      version: VERSION,
      log,
      logs,
      metrics,
      ...(sqlite !== undefined && {
        backup: journalCopies(join(state.path, 'copies'), sqlite, () => host.uuid()),
      }),
    });
    acquired('the HTTP server', () => http.close());
    const at = await listen(http, { ...config.network, bindPort: port });
    ({ address, port } = at);
    state.keepPort(port);
    const url = `http://${dialled(at.address)}:${port}`;
    state.lock.announce(url);
    // A command's own server has no operator who could mend something meanwhile.
    if (options.embedded !== true)
      acquired('the check of Docker', logDockerCheck(config, parts, { port, registry }));

    let closing: Promise<void> | undefined;
    return {
      url,
      coral,
      key,
      freshKey: fresh,
      ...(config.auth.keys.length === 0 ? { keyFile: join(state.path, 'key') } : {}),
      stateDir: state.path,
      close: ({ keepAgents = false } = {}) => {
        const keep = keepAgents ? 'everything' : options.embedded === true ? 'what_was_found' : 'nothing';
        acquired('the sessions', () => coral.shutdown(keep));
        return (closing ??= closeAll(closers, log));
      },
      abort: () => killAll(runtimes),
    };
  } catch (error) {
    await closeAll(closers, log);
    throw error;
  }
}

interface RuntimeParts {
  readonly doors: AgentDoors;
  readonly living: NonNullable<DockerParts['living']>;
  readonly log: Log;
  readonly instance: string;
  /** Where option files are written. */
  readonly folder: string;
  readonly keeperFolder: string;
  readonly embedded: boolean;
  readonly host: Host;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

function runtimesFor(config: Config, parts: RuntimeParts): ReadonlyMap<RuntimeKind, Runtime> {
  const { instance, host, environment, folder, keeperFolder } = parts;
  const now = (): number => host.now();
  const common = { instance, now, temporaryFolder: folder, address: dialled(config.network.bindAddress) };
  const executables = {
    ...common,
    environment,
    debugEnvironment: config.debug.additionalExecutableEnvironment,
    policy: config.executable.policy,
  };
  const { orphanTimeout } = config.keeper;
  const keeper = {
    folder: keeperFolder,
    entry: join(PACKAGE_ROOT, 'dist', 'keeper.js'),
    isAlive,
    ...(orphanTimeout !== undefined && { orphanTimeout }),
  };
  const runtimes = [
    usesKeeper(config, parts)
      ? keptExecutableRuntime({ ...executables, keeper })
      : executableRuntime(executables),
    openConfiguredDocker(config, parts),
    functionRuntime(common),
    scriptedRuntime({ host }),
  ];
  return new Map(
    runtimes.map((runtime) => {
      const optionFolder = join(folder, `manual-${runtime.kind}`);
      return [runtime.kind, withManual(runtime, { now, optionFolder })];
    }),
  );
}

/** A command's own server ends with its agents and is quicker without a keeper, unless one has left something for it. */
function usesKeeper(config: Config, { embedded, keeperFolder }: RuntimeParts): boolean {
  if (config.runtimes.executable === 'direct') return false;
  return !embedded || hasKept(keeperFolder);
}

function warnOf({ severity, file, line, key, message }: Fault, log: Log): void {
  const place = line === undefined ? file : `${file}:${line}`;
  const text = `${place}: ${key === undefined ? '' : `${key}: `}${message}`;
  if (severity === 'error') log.error(text);
  else log.warn(text);
}

interface Closer {
  readonly name: string;
  readonly close: () => Promise<void> | void;
}

/** Last acquired, first released; what fails is told and takes nothing else with it. */
async function closeAll(closers: Closer[], log: Log): Promise<void> {
  for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
    try {
      await closer.close();
    } catch (error) {
      log.error(`Could not close ${closer.name} in good order.`, { error });
    }
  }
}

async function killAll(runtimes: ReadonlyMap<RuntimeKind, Runtime>): Promise<void> {
  await Promise.allSettled(
    [...runtimes.values()].map(async (runtime) => {
      const found = await runtime.list();
      await Promise.allSettled(found.map(({ handle }) => runtime.stop(handle, 0)));
    }),
  );
}

interface Keys {
  readonly key: string;
  readonly fresh: boolean;
  readonly keys: readonly string[];
}

function keysOf(config: Config, kept: () => { readonly key: string; readonly fresh: boolean }): Keys {
  const [first] = config.auth.keys;
  if (first !== undefined) return { key: first, fresh: false, keys: config.auth.keys };
  const { key, fresh } = kept();
  return { key, fresh, keys: [key] };
}

/** A list that cannot be read lets nobody in, and the operator hears why. */
function isAdded(added: ApiKeys, key: string, log: Log): boolean {
  try {
    return added.check(key);
  } catch (error) {
    log.error('No added API key is good for now.', { error });
    return false;
  }
}

/** Takes the same time wherever two texts differ. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => hash('sha256', text, 'buffer');
  return timingSafeEqual(digest(a), digest(b));
}

/** What somebody on this machine dials to reach a listening address. */
function dialled(address: string): string {
  // `localhost` may resolve to ::1 where nobody listens.
  if (['0.0.0.0', '::', 'localhost'].includes(address)) return '127.0.0.1';
  return address.includes(':') ? `[${address}]` : address;
}
