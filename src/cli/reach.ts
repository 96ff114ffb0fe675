/**
 * The server a command talks to: the one that holds this state folder, found through its lock and its key, else one
 * of the command's own that lives as long as the command. Either is talked to over the wire alone.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { App } from '../app.ts';
import type { Config } from '../config.ts';
import { createLog } from '../log.ts';
import { createHost } from '../host.ts';
import { holderOf, readLocalKey } from '../state-folder.ts';
import { LockHeld } from '../state-lock.ts';
import { CoralClient } from '../client/index.ts';
import { CommandError } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** A server that answers. */
export interface Server {
  readonly client: CoralClient;
  readonly url: string;
  /** The command's own server; absent when it is somebody else's. */
  readonly own?: App;
  /** Ends the command's own server in good order; does nothing to somebody else's. */
  close(): Promise<void>;
}

/** How long a server may be out of reach before what follows it gives up, ms. */
const RECONNECT_FOR = 3_000;
/** How long a server that holds the lock may take until it says where it listens, ms. */
const STARTING = 15_000;

/** The running server, or one of our own. Throws CommandError when the folder is held by one that cannot be reached. */
export async function reach(config: Config, terminal: Terminal): Promise<Server> {
  for (;;) {
    const running = await findRunning(config);
    if (running !== undefined) return running;
    try {
      return await embed(config, terminal);
    } catch (error) {
      // Somebody was faster: theirs is the server.
      if (!(error instanceof LockHeld)) throw error;
    }
  }
}

/** The server that holds the state folder now; undefined when none does. */
export async function findRunning(config: Config): Promise<Server | undefined> {
  for (let waited = 0; ; waited += 50) {
    const holder = holderOf(config.stateDir);
    if (holder === undefined) return undefined;
    if (holder.url !== undefined) {
      return { client: clientFor(holder.url, keyFor(config)), url: holder.url, close: async () => undefined };
    }
    if (waited >= STARTING) {
      throw new CommandError(
        `Process ${holder.pid} holds the state folder ${config.stateDir} since ${holder.since} and does not say where it listens: end it, or name another folder with --state-dir.`,
      );
    }
    await pause(50);
  }
}

async function embed(config: Config, terminal: Terminal): Promise<Server> {
  // Only now: a command that finds a server needs none of this.
  const { startApp } = await import('../app.ts');
  const own = await startApp(
    {
      ...config,
      // Nobody else needs to find it by a fixed address, and a server on the usual port must not be in its way.
      network: { ...config.network, bindAddress: '127.0.0.1', bindPort: 0, externalAddress: undefined },
      registry: { ...config.registry, watchLocalAgents: false, localAgentRescanTimer: undefined },
    },
    {
      embedded: true,
      environment: terminal.environment,
      log: createLog({
        level: config.logging.consoleLogLevel === 'info' ? 'warning' : config.logging.consoleLogLevel,
        format: config.logging.consoleFormat,
        write: terminal.note,
        now: () => createHost().now(),
      }),
    },
  );
  return { client: clientFor(own.url, own.key), url: own.url, own, close: () => own.close() };
}

function keyFor(config: Config): string {
  const key = readLocalKey(config.stateDir);
  if (key === undefined) {
    throw new CommandError(
      `A server holds ${config.stateDir}, but local-key, which lets commands in, is not there: start the server again.`,
    );
  }
  return key;
}

function clientFor(url: string, key: string): CoralClient {
  return new CoralClient({ url, key, reconnectForMs: RECONNECT_FOR });
}
