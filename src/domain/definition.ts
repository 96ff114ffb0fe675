/**
 * What a definition file says about one agent, after reading: normalised, complete with defaults, and plain JSON.
 * The schema that produces it (and its two spellings) stands in `definition-schema.ts`. Source: docs/wire.md, "Agent definitions".
 */
import type { OptionDefinition } from './option.ts';

/** How an agent can be run. `scripted` is ours; `prototype` loads and is refused at session creation for now. */
export const RUNTIME_KINDS = ['executable', 'docker', 'function', 'prototype', 'scripted'] as const;
/** The name of one of them. */
export type RuntimeKind = (typeof RUNTIME_KINDS)[number];

/** The MCP transport an agent's URL is made for. */
export type McpTransport = 'streamable_http' | 'sse';

/** `{name, version, registrySourceId}` as on the wire. */
export interface RegistryIdentifier {
  readonly name: string;
  readonly version: string;
  readonly registrySourceId: RegistrySourceId;
}

/** Which registry an agent comes from; only `local` can be launched. */
export type RegistrySourceId =
  | { readonly type: 'local' }
  | { readonly type: 'marketplace' }
  | { readonly type: 'linked'; readonly linkedServerId: string };

/** A program on this machine. */
export interface ExecutableRuntime {
  /** Absolute, relative to the definition's folder, or a name on PATH: looked for in that order. */
  readonly path: string;
  readonly arguments: readonly string[];
  readonly transport: McpTransport;
  /** Fixed variables; options and CORAL_* win over them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Names (or `LC_*` patterns) that pass from the server's own environment. */
  readonly inheritEnvironment: readonly string[];
  /** Absent in what was journalled before there were limits. */
  readonly resources?: ExecutableResources;
}

/** What a program and all that it starts may use; absent: as much as there is. */
export interface ExecutableResources {
  /** Bytes; there is no swap beside it. */
  readonly memory?: number;
  readonly cpus?: number;
  /** Processes and threads. */
  readonly pids?: number;
}

/** A container. Absent resources mean the defaults of docs/wire.md, "Agent definitions". */
export interface DockerRuntime {
  readonly image: string;
  readonly command?: readonly string[];
  readonly transport: McpTransport;
  readonly environment: Readonly<Record<string, string>>;
  readonly resources: {
    /** Bytes; swap is the same. */
    readonly memory?: number;
    readonly cpus?: number;
    readonly pids?: number;
    readonly gpus?: 'all' | number;
    /** Bytes of /dev/shm. */
    readonly shm?: number;
  };
  /** `session`, `internal`, `none`, `bridge` or the name of a network that exists. */
  readonly network: string;
  readonly readOnly: boolean;
  readonly user?: string;
  readonly pull: 'missing' | 'always' | 'never';
  readonly volumes: readonly {
    readonly host: string;
    readonly container: string;
    readonly readOnly: boolean;
  }[];
  readonly capabilities: readonly string[];
}

/** An in-process function: `module` (relative to the definition) exports `name` (default: `default`). */
export interface FunctionRuntime {
  readonly module: string;
  readonly export: string;
  readonly transport: McpTransport;
}

/** What a scripted agent does: the demo, the load generator and the test double. All times in ms. */
export interface ScriptedRuntime {
  /** Ends by itself after this long; absent: runs until stopped. */
  readonly runFor?: number;
  readonly exitCode: number;
  /** Ends as if by this signal instead of with a code. */
  readonly signal?: string;
  /** Fails to start, with this sentence. */
  readonly failToStart?: string;
  /** Takes no notice of a stop request: only the kill after the grace ends it. */
  readonly ignoreStop: boolean;
  /** Lines to print at once at the start. */
  readonly output: readonly string[];
  /** Prints this many lines of 80 characters at the start. */
  readonly flood: number;
  /** Ends unobserved after this long: its exit is `lost`. */
  readonly vanishAfter?: number;
  /** Start-up takes this long. */
  readonly startDelay: number;
  readonly transport: McpTransport;
}

/** Whether and when an ended agent is launched again. Source: docs/wire.md, "Restarts". */
export interface RestartPolicy {
  readonly policy: 'never' | 'on_failure' | 'always';
  readonly maxRestarts: number;
  /** First delay in ms; doubles with every restart up to `maxDelay`. */
  readonly delay: number;
  readonly maxDelay: number;
  /** An attempt that ran this long (ms) counts as stable: restarts are counted anew. */
  readonly stableAfter: number;
  /** Exit codes after which starting again is pointless. */
  readonly permanentExitCodes: readonly number[];
}

/** How long we are patient with an agent. */
export interface Timeouts {
  /** ms from process start to the first MCP connection; 0: no limit. */
  readonly connect: number;
  /** ms between the request to stop and the kill. */
  readonly stop: number;
  /** ms without an MCP call and without a line of output after which an agent is stopped; 0: no limit. */
  readonly inactivity: number;
}

/** A language model the agent wants to reach through the server. */
export interface LlmProxyDefinition {
  readonly name: string;
  readonly format: { readonly type: 'OpenAI' | 'Anthropic' };
  readonly models: readonly string[];
}

/** One definition, complete with defaults. */
export interface AgentDefinition {
  readonly edition: number;
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly summary?: string;
  readonly readme?: string;
  readonly license?:
    { readonly type: 'spdx'; readonly expression: string } | { readonly type: 'text'; readonly text: string };
  readonly capabilities: readonly string[];
  readonly keywords: readonly string[];
  readonly links: Readonly<Record<string, string>>;
  readonly runtimes: {
    readonly executable?: ExecutableRuntime;
    readonly docker?: DockerRuntime;
    readonly function?: FunctionRuntime;
    /** Kept as written until that runtime exists. */
    readonly prototype?: Readonly<Record<string, unknown>>;
    readonly scripted?: ScriptedRuntime;
  };
  readonly options: Readonly<Record<string, OptionDefinition>>;
  readonly llm?: { readonly proxies: readonly LlmProxyDefinition[] };
  /** Kept and served back, not acted on. */
  readonly marketplace?: Readonly<Record<string, unknown>>;
  readonly restart: RestartPolicy;
  readonly timeouts: Timeouts;
}

/** A definition together with where it was read from. */
export interface RegistryAgent {
  readonly definition: AgentDefinition;
  readonly source: RegistrySourceId;
  /** Absolute path of the definition file. */
  readonly file: string;
  /** Its folder: working directory of executables and base of relative paths. */
  readonly folder: string;
}

export const NO_RESTART: RestartPolicy = {
  policy: 'never',
  maxRestarts: 5,
  delay: 1_000,
  maxDelay: 30_000,
  stableAfter: 60_000,
  permanentExitCodes: [],
};
export const DEFAULT_TIMEOUTS: Timeouts = { connect: 0, stop: 10_000, inactivity: 0 };
export const DEFAULT_INHERITED = ['PATH', 'HOME', 'LANG', 'LC_*', 'TZ', 'TMPDIR', 'USER', 'SHELL'] as const;
