/**
 * What a runtime needs to run one attempt of one agent, and the pure function that makes it.
 * Source: docs/wire.md, "Environment of an agent".
 */
import type { McpTransport } from './definition.ts';
import type { AgentPlan, OptionPlan, RuntimePlan } from './graph.ts';
import { elementType, type OptionValue } from './option.ts';
import { encodeForEnvironment, encodeForFile } from './option-encode.ts';
import { optionKey, secretsIn, variableKey, type SealedValues } from './sealed.ts';

/** Marks on everything we create, so that it can be found again without memory. Nothing secret. */
export interface Labels {
  /** The server's state folder has one instance id for life. */
  readonly instance: string;
  readonly session: string;
  readonly agent: string;
  readonly attempt: number;
}

/** An option with transport `fs`: each part becomes a file of its own; the variable holds their paths. */
export interface OptionFile {
  readonly variable: string;
  readonly parts: readonly Uint8Array[];
}

/** One attempt, ready to be run. */
export interface LaunchSpec {
  readonly labels: Labels;
  readonly namespace: string;
  /** Complete: fixed variables, options with transport `env`, CORAL_*; what is inherited is the runtime's to add below these. */
  readonly environment: Readonly<Record<string, string>>;
  readonly files: readonly OptionFile[];
  /** Folder of the definition file. */
  readonly folder: string;
  readonly version: string;
  readonly how: RuntimePlan;
  /** `HOST:PORT` of the server in the environment; a runtime that knows better says so with `reachedAt`. */
  readonly address?: string;
  /** Values that must never be shown: masked in all that is kept of what the agent prints. */
  readonly secrets: readonly string[];
}

/** All that goes into a launch. */
export interface LaunchInput {
  readonly labels: Labels;
  readonly namespace: string;
  readonly plan: AgentPlan;
  /** What the vault holds of the session. */
  readonly sealed: Readonly<SealedValues>;
  /** The attempt's own secret. */
  readonly secret: string;
  /** How this agent reaches the server: `HOST:PORT`, as the runtime's `addressOf` says. */
  readonly address: string;
  /** Version of the agent's definition. */
  readonly version: string;
  /** More from the server (proxies, claims …); wins over everything else. */
  readonly extraEnvironment?: Readonly<Record<string, string>>;
}

/**
 * From an agent's plan to what its runtime is asked for. A name that stands twice is decided in this order, the
 * later winning: fixed variables of the definition, options, CORAL_*, `extraEnvironment`. Options without a value
 * set nothing. Throws when the vault has no value for a sealed option: the agent must not start without it.
 */
export function launchSpec(input: LaunchInput): LaunchSpec {
  const { labels, plan } = input;
  const fixed: Record<string, string> = 'environment' in plan.runtime ? { ...plan.runtime.environment } : {};
  for (const name of plan.runtime.sealedVariables ?? []) {
    fixed[name] = unsealed(variableKey(plan.name, name), input.sealed);
  }
  const server = { ...serverEnvironment(input), ...input.extraEnvironment };

  const options: Record<string, string> = {};
  const files: OptionFile[] = [];
  for (const [name, option] of Object.entries(plan.options)) {
    const value = valueOf(option, optionKey(plan.name, name), input.sealed);
    if (!value) continue;
    if (name in server) continue;
    if (option.transport === 'fs') files.push({ variable: name, parts: encodeForFile(value) });
    else options[name] = encodeForEnvironment(value, option.base64);
  }

  const environment: Record<string, string> = { ...fixed, ...options, ...server };
  for (const file of files) delete environment[file.variable];
  return {
    labels,
    namespace: input.namespace,
    environment,
    files,
    folder: plan.folder,
    version: input.version,
    how: plan.runtime,
    address: input.address,
    secrets: [...new Set([input.secret, ...secretsOf(plan, input.sealed), ...secretsIn(environment)])],
  };
}

/** Every form in which an agent's sealed options may turn up in what it prints. */
export function secretsOf(plan: AgentPlan, sealed: LaunchInput['sealed']): readonly string[] {
  return Object.entries(plan.options).flatMap(([name, option]) => {
    const value = option.sealed ? valueOf(option, optionKey(plan.name, name), sealed) : undefined;
    return value === undefined ? [] : textsOf(value, option.base64);
  });
}

/** The same launch, with the server under another address (`HOST:PORT`): what depends on where the agent runs. */
export function reachedAt(spec: LaunchSpec, address: string): LaunchSpec {
  const { address: old } = spec;
  if (old === undefined || old === address) return spec;
  const environment = Object.fromEntries(
    Object.entries(spec.environment).map(([name, value]) => {
      const ours = name.startsWith('CORAL_') && (value + '/').startsWith(`http://${old}/`);
      return [name, ours ? `http://${address}${value.slice(`http://${old}`.length)}` : value];
    }),
  );
  return { ...spec, environment, address };
}

/** Path of an agent's MCP endpoint for a transport. Source: docs/wire.md, "MCP endpoints". */
export function mcpPath(secret: string, transport: McpTransport): string {
  return transport === 'sse' ? `/mcp/v1/${secret}/sse/` : `/mcp/v1/${secret}/mcp`;
}

function serverEnvironment({ labels, plan, secret, address }: LaunchInput): Record<string, string> {
  return {
    CORAL_CONNECTION_URL: `http://${address}${mcpPath(secret, plan.runtime.transport)}`,
    CORAL_AGENT_ID: plan.name,
    CORAL_AGENT_SECRET: secret,
    CORAL_SESSION_ID: labels.session,
    CORAL_API_URL: `http://${address}`,
    CORAL_RUNTIME_ID: plan.runtime.kind,
    ...(plan.systemPrompt !== undefined && { CORAL_PROMPT_SYSTEM: plan.systemPrompt }),
    // Without a budget there is nothing to claim from; some agent templates refuse to start when it is missing.
    CORAL_SEND_CLAIMS: '0',
  };
}

function valueOf(option: OptionPlan, key: string, sealed: Readonly<SealedValues>): OptionValue | undefined {
  return option.sealed === true ? (JSON.parse(unsealed(key, sealed)) as OptionValue) : option.value;
}

function unsealed(key: string, sealed: Readonly<SealedValues>): string {
  const text = Object.hasOwn(sealed, key) ? sealed[key] : undefined;
  if (text !== undefined) return text;
  throw new Error(
    `The secret value of ${key} is no longer in the vault, so the agent cannot be started; create the session again.`,
  );
}

/** Every form in which a secret may turn up in what the agent prints. */
function textsOf(value: OptionValue, base64: boolean): string[] {
  const element = elementType(value.type);
  const texts =
    element === 'string' || element === 'blob'
      ? encodeForFile(value).map((bytes) => new TextDecoder().decode(bytes))
      : [value.value].flat().map(String);
  return [encodeForEnvironment(value, base64), ...texts].filter((text) => text !== '');
}
