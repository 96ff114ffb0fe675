/**
 * Every key of the configuration, with its default. Names here are the canonical ones (camelCase); files, flags and
 * variables may write them in kebab-case or snake_case too. Source: docs/wire.md, "Configuration".
 */
import { DEFAULT_LIMITS } from '../domain/limits.ts';
import { z } from 'zod';
import { bool, choice, duration, integer, positive, size, text, texts, variable } from './fields.ts';

const MiB = 1024 * 1024;
const COUNT = 1_000_000_000;

const auth = z.object({
  keys: texts({ secret: true }).default([]),
});

const network = z.object({
  bindAddress: text().default('127.0.0.1'),
  /** How others reach this server, where that is not its bind address: a host name or a base URL. */
  externalAddress: text().optional(),
  /** Believe `X-Forwarded-*` headers. */
  trustProxy: bool().default(false),
  /** 0: any free port. */
  bindPort: integer(0, 65_535, 'a port').default(5_555),
  /** Answer requests whatever their Host header says. */
  allowAnyHost: bool().default(false),
  webhookSecret: text({ secret: true }).optional(),
  customToolSecret: text({ secret: true }).optional(),
  /**
   * Where webhooks and custom tools may be called besides public addresses: addresses, CIDR ranges, host names or
   * `*.example.com`. Loopback may be called when the server itself is bound to loopback.
   */
  outboundAllow: texts().default([]),
});

const docker = z.object({
  socket: text().optional(),
  address: text().optional(),
  responseTimeout: duration().default(30_000),
  connectionTimeout: duration().default(30_000),
  maxConnections: integer(1, 100_000).default(1_024),
  containerPathSeparator: text().default(':'),
  containerNameSeparator: text().default('/'),
  containerTemporaryDirectory: text().default('/tmp'),
  /** IPv4 network of which every session's own network gets a small part. */
  subnetPool: text().default('10.209.0.0/16'),
  /** For a whole pull, and for one without any news. */
  pullTimeout: duration().default(15 * 60_000),
  pullStallTimeout: duration().default(60_000),
  profile: choice('standard', 'strict').default('standard'),
  policy: z
    .object({
      maxMemory: size().optional(),
      maxCpus: positive().optional(),
      maxPids: integer(1, COUNT).optional(),
      volumeRoots: texts().default([]),
      capabilities: texts().default([]),
      networks: texts().default([]),
      gpus: bool().default(false),
    })
    .prefault({}),
});

const registry = z.object({
  localAgents: texts().default([]),
  includeCoralHomeAgents: bool().default(true),
  localAgentRescanTimer: duration().optional(),
  watchLocalAgents: bool().default(true),
  includeDebugAgents: bool().default(false),
});

const session = z.object({
  /** How long a wait lasts that names no time. Waits end at 55 s at the latest. */
  defaultWaitTimeout: duration().default(55_000),
  /** How many messages of a thread `coral://state` shows. */
  stateMessageLimit: integer(1, COUNT).default(500),
});

const debug = z.object({
  additionalDockerEnvironment: z.record(z.string(), variable()).default({}),
  additionalExecutableEnvironment: z.record(z.string(), variable()).default({}),
});

const LEVELS = ['trace', 'debug', 'info', 'warning', 'error', 'off'] as const;
/** From which level on the server’s log speaks. */
export type LogLevel = (typeof LEVELS)[number];

const logging = z.object({
  /** Lines kept for those who start to follow the server's logs later. */
  logBufferSize: integer(0, COUNT).default(32_768),
  /** At most so many of them are replayed to one follower. */
  maxReplay: integer(0, COUNT).default(2_048),
  consoleLogLevel: choice(...LEVELS).default('info'),
  /** The server's own log: for people or for machines. */
  consoleFormat: choice('text', 'json').default('text'),
  /** Bytes kept of one agent's output; the oldest go first. */
  maxAgentOutput: size().default(32 * MiB),
});

const provider = z.object({
  name: text(),
  format: choice('OpenAI', 'Anthropic'),
  models: texts().default([]),
  apiKey: text({ secret: true }).optional(),
  baseUrl: text().optional(),
  timeout: duration().default(600_000),
  allowAnyModel: bool().default(false),
});

const llmProxy = z.object({
  retryMaxAttempts: integer(0, 100).default(0),
  retryBaseDelay: duration().default(1_000),
  retryDelayExponent: positive().default(2),
  retryMaxDelay: duration().default(10_000),
  maxRequestSize: size().default(20 * MiB),
  maxResponseSize: size().default(80 * MiB),
  maxStreamSize: size().default(80 * MiB),
  sendSessionHeaders: bool().default(false),
  providers: z.array(provider).default([]),
});

const consoleSection = z.object({ enabled: bool().default(true) });

const journal = z.object({
  /** `memory` forgets everything when the server ends. */
  kind: choice('sqlite', 'memory').default('sqlite'),
  /** `normal` may lose the last commits when the power fails, `full` does not; neither when the process dies. */
  sync: choice('normal', 'full').default('normal'),
});

const runtimes = z.object({
  /** `keeper`: executables are started by a small process that outlives the server; `direct`: by the server itself. */
  executable: choice('keeper', 'direct').default('keeper'),
});

const executable = z.object({
  /** What definitions may ask for, and what those get that do not ask. Unset: no limit. */
  policy: z
    .object({
      maxMemory: size().optional(),
      maxCpus: positive().optional(),
      maxPids: integer(1, COUNT).optional(),
    })
    .prefault({}),
});

const keeper = z.object({
  /** Without a server for so long, the keeper ends its agents and itself. Unset: never while an agent lives. */
  orphanTimeout: duration().optional(),
});

const limits = z.object({
  /** Bytes of a request body. */
  bodySize: size().default(8 * MiB),
  /** An MCP session that said nothing for so long is forgotten. */
  mcpIdleTimeout: duration().default(30 * 60_000),
  /** Of one API key; 0: as many as it likes. */
  requestsPerSecond: integer(0, COUNT).default(0),
  /** From one address in a minute; 0: as many as it likes. */
  failedLogins: integer(0, COUNT).default(20),
  /** Sockets and event streams open at once. */
  sockets: integer(1, COUNT).default(10_000),
  /** Live sessions of the server. */
  sessions: integer(1, COUNT).default(DEFAULT_LIMITS.sessions),
  agentsPerSession: integer(1, COUNT).default(DEFAULT_LIMITS.agentsPerSession),
  /** Launches of one runtime under way at once; the rest wait their turn. */
  launchesAtOnce: integer(1, COUNT).default(DEFAULT_LIMITS.launchesAtOnce),
  messagesPerThread: integer(1, COUNT).default(DEFAULT_LIMITS.messagesPerThread),
  /** Bytes of one message. */
  messageSize: size().default(DEFAULT_LIMITS.messageSize),
  waitsPerAgent: integer(1, COUNT).default(DEFAULT_LIMITS.waitsPerAgent),
});

export const ConfigSchema = z.object({
  /** The state folder; relative to the configuration file. */
  stateDir: text().default('.coral'),
  /** Patterns of team files; relative to the configuration file. */
  teams: texts().default([]),
  auth: auth.prefault({}),
  network: network.prefault({}),
  docker: docker.prefault({}),
  executable: executable.prefault({}),
  registry: registry.prefault({}),
  session: session.prefault({}),
  debug: debug.prefault({}),
  logging: logging.prefault({}),
  llmProxy: llmProxy.prefault({}),
  console: consoleSection.prefault({}),
  journal: journal.prefault({}),
  runtimes: runtimes.prefault({}),
  keeper: keeper.prefault({}),
  limits: limits.prefault({}),
});

/** The configuration as the schema gives it. */
export type ConfigValues = z.output<typeof ConfigSchema>;
