/**
 * What of an agent's plan is secret and lies in the vault: option values, and fixed variables of its definition whose
 * names look secret. The plan, which is journalled, only says that they are there. Source: docs/wire.md, "Options".
 */
import type { AgentPlan, RuntimePlan } from './graph.ts';
import { looksSecret } from './option.ts';

/** Values by key, as the vault takes them. */
export type SealedValues = Record<string, string>;

/** The key of an option's value: the JSON text of an `OptionValue`. */
export function optionKey(agent: string, option: string): string {
  return `${agent}/${option}`;
}

/** The key of a fixed variable's value, as it is. Names of options hold no `/`, so the two never meet. */
export function variableKey(agent: string, variable: string): string {
  return `${agent}/environment/${variable}`;
}

/** The runtime without the variables that look secret, which go to `sealed`. */
export function sealVariables(agent: string, runtime: RuntimePlan, sealed: SealedValues): RuntimePlan {
  if (!('environment' in runtime)) return runtime;
  const names = Object.keys(runtime.environment).filter(looksSecret);
  if (names.length === 0) return runtime;
  const environment = { ...runtime.environment };
  for (const name of names) {
    sealed[variableKey(agent, name)] = environment[name]!;
    delete environment[name];
  }
  return { ...runtime, environment, sealedVariables: names };
}

/** True when the vault holds something of this agent. */
export function hasSealed({ options, runtime }: AgentPlan): boolean {
  if (runtime.sealedVariables !== undefined) return true;
  for (const name in options) if (options[name]!.sealed === true) return true;
  return false;
}

/** Shorter values of variables whose names only look secret are none: `true`, `no`, a number. */
const SHORTEST_GUESS = 8;

/** The values of variables whose names look secret, but for those that name `files`. */
export function secretsIn(
  environment: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>> = {},
): string[] {
  return Object.entries(environment)
    .filter(([name, value]) => looksSecret(name) && value.length >= SHORTEST_GUESS && !(name in files))
    .map(([, value]) => value);
}
