/** What a session runner works with; made once by `create-coral.ts` and shared by all runners. */
import type { RuntimeKind } from '../domain/definition.ts';
import type { Limits } from '../domain/limits.ts';
import type { Host } from '../ports/host.ts';
import type { Journal } from '../ports/journal.ts';
import type { Log } from '../ports/log.ts';
import type { OutputStore } from '../ports/output.ts';
import type { Runtime } from '../ports/runtime.ts';
import type { Vault } from '../ports/vault.ts';
import type { Credentials } from './credentials.ts';
import type { Endings } from './kept.ts';
import type { LiveFeed } from './feed.ts';
import type { LaunchQueue } from './launch-queue.ts';
import type { SessionRunner } from './session-runner.ts';

/** What the configuration says to the engine. */
export interface EngineSettings {
  /** How long a wait lasts when its caller does not say, ms. */
  readonly defaultWaitMs: number;
  /** `coral://state` lists at most this many messages of a thread. */
  readonly stateMessageLimit: number;
  readonly limits: Limits;
  /** Variables for every launch (operator's `debug.additional…Environment`), by runtime. */
  readonly extraEnvironment?: Partial<Record<RuntimeKind, Readonly<Record<string, string>>>>;
}

/** Everything a runner needs of the outside. */
export interface World {
  readonly instance: string;
  readonly host: Host;
  readonly journal: Journal;
  readonly vault: Vault;
  readonly output: OutputStore;
  readonly runtimes: ReadonlyMap<RuntimeKind, Runtime>;
  readonly feed: LiveFeed;
  readonly credentials: Credentials;
  readonly endings: Endings;
  readonly settings: EngineSettings;
  /** Launches of one runtime do not hold up those of another. */
  readonly launches: ReadonlyMap<RuntimeKind, LaunchQueue>;
  readonly log: Log;
  /** The port agents reach us on. */
  agentPort(): number;
  /** Called from the drain, once, when a session is closed. */
  closed(runner: SessionRunner): void;
}

/** Longest time a wait stays open, ms: common MCP clients give up at 60 s. */
export const LONGEST_WAIT = 55_000;
/** How long a blocking agent's first connection waits for the others, ms. */
export const BARRIER_WAIT = 50_000;
/** After this long without an MCP connection a running agent gets a warning in the log, ms. */
export const CONNECT_WARNING = 60_000;
