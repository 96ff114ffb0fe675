/** A session's agents as they were decided when it was opened: frozen, complete, without secrets. */
import type {
  DockerRuntime,
  ExecutableRuntime,
  FunctionRuntime,
  RegistryIdentifier,
  RestartPolicy,
  ScriptedRuntime,
  Timeouts,
} from './definition.ts';
import type { OptionDefinition, OptionValue } from './option.ts';
import type { CustomTool } from './wire/request.ts';

/** A custom tool as the request gave it, with defaults. */
export type CustomToolPlan = CustomTool;

/** The chosen runtime with its definition, tagged. */
export type RuntimePlan = (
  | ({ readonly kind: 'executable' } & ExecutableRuntime)
  | ({ readonly kind: 'docker' } & DockerRuntime)
  | ({ readonly kind: 'function' } & FunctionRuntime)
  | ({ readonly kind: 'scripted' } & ScriptedRuntime)
) & {
  /** Somebody starts it by hand: nothing is launched, its environment is told instead. */
  readonly manual?: true;
  /** Names of fixed variables whose values are in the vault (`sealed.ts`); `environment` lacks them. */
  readonly sealedVariables?: readonly string[];
};

/** One option of one agent: its value, or where the value lies. */
export interface OptionPlan {
  readonly transport: OptionDefinition['transport'];
  readonly base64: boolean;
  /** The value; absent when it is secret (then it lies in the vault) or was not given and has no default. */
  readonly value?: OptionValue;
  /** The vault has the value under this option's key (`AGENT/OPTION`). */
  readonly sealed?: true;
}

/** Everything about one agent that was decided when its session was opened. */
export interface AgentPlan {
  readonly name: string;
  readonly id: RegistryIdentifier;
  readonly description?: string;
  readonly runtime: RuntimePlan;
  /** Folder of the definition file. */
  readonly folder: string;
  readonly options: Readonly<Record<string, OptionPlan>>;
  readonly systemPrompt?: string;
  readonly blocking: boolean;
  /** Names of custom tools. */
  readonly tools: readonly string[];
  readonly plugins: readonly 'close_session_tool'[];
  readonly annotations: Readonly<Record<string, string>>;
  /** The agents it shares a group with, in the order of the request. */
  readonly links: readonly string[];
  readonly restart: RestartPolicy;
  readonly timeouts: Timeouts;
}
