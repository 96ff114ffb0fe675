/**
 * A session request checked against the registry: every fault at once, or the plans of its agents with the secret
 * values apart. Source: docs/wire.md, "Session requests".
 */
import {
  NO_RESTART,
  type RegistryAgent,
  type RegistryIdentifier,
  type RestartPolicy,
  type RuntimeKind,
} from './definition.ts';
import type { AgentPlan, CustomToolPlan, OptionPlan, RuntimePlan } from './graph.ts';
import { nearest } from './nearest.ts';
import { checkOption } from './option-check.ts';
import { looksSecret, type OptionValue } from './option.ts';
import { Refusal, type Issue, type RefusalCode } from './refusal.ts';
import { optionKey, sealVariables, type SealedValues } from './sealed.ts';
import type { GraphAgentRequest, SessionRequest } from './wire/request.ts';

/** A request that passed every check. */
export interface Roster {
  readonly agents: readonly AgentPlan[];
  /** What goes to the vault. */
  readonly sealed: Readonly<SealedValues>;
  readonly groups: readonly (readonly string[])[];
  readonly customTools: Readonly<Record<string, CustomToolPlan>>;
}

/** What a request is checked against. */
export interface RosterContext {
  find(id: RegistryIdentifier): RegistryAgent | undefined;
  /** Names of all local agents, for a hint. */
  readonly names: readonly string[];
  /** The most agents of one session. */
  readonly agentsPerSession: number;
  /** The runtimes this server can launch. */
  readonly runtimes: ReadonlySet<RuntimeKind>;
}

interface Fault extends Issue {
  readonly code: RefusalCode;
}

const NAME = /^[^\p{Cc}/]{1,128}$/u;

/** What a name of a session's agent or of a namespace may be. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** Checks a whole request; throws one Refusal with every fault. */
export function resolveRoster(request: SessionRequest, context: RosterContext): Roster {
  const { agents, groups, customTools } = request.agentGraphRequest;
  const faults: Fault[] = [];
  const at = (path: string, message: string, code: RefusalCode = 'invalid_graph'): void => {
    faults.push({ path: `agentGraphRequest.${path}`, message, code });
  };

  if (agents.length === 0) at('agents', 'A session needs at least one agent.');
  if (agents.length > context.agentsPerSession) {
    at(
      'agents',
      `The request has ${agents.length} agents; a session may have at most ${context.agentsPerSession} (limits.agentsPerSession).`,
      'limit_exceeded',
    );
  }
  const names = new Set<string>();
  for (const [index, agent] of agents.entries()) {
    if (!isName(agent.name)) {
      at(`agents[${index}].name`, notAName(agent.name));
    } else if (names.has(agent.name)) {
      at(
        `agents[${index}].name`,
        `There are two agents named "${agent.name}"; names must differ within a session.`,
      );
    }
    names.add(agent.name);
  }
  for (const [index, group] of groups.entries()) {
    for (const name of new Set(group)) {
      if (!names.has(name))
        at(
          `groups[${index}]`,
          `The group names "${printable(name)}", which is not an agent of this request.`,
        );
    }
  }

  const links = linksOf(agents, groups);
  const sealed: SealedValues = {};
  const plans = agents.flatMap((agent, index) => {
    const report: Report = (path, message, code) => at(`agents[${index}].${path}`, message, code);
    const plan = planOf(agent, links.get(agent.name) ?? [], customTools, context, sealed, report);
    return plan === undefined ? [] : [plan];
  });
  if (faults.length > 0) throw refuse(faults);
  return { agents: plans, sealed, groups: groups.map((group) => [...new Set(group)]), customTools };
}

/** One agent that joins a running session, and the groups it joins it with. */
export interface Newcomer {
  readonly plan: AgentPlan;
  readonly sealed: Readonly<SealedValues>;
  readonly groups: readonly (readonly string[])[];
}

/**
 * Checks an agent that is to join a session. Each of `groups` names agents of the session it is to be linked with;
 * its own name may be among them. Throws one Refusal with every fault.
 */
export function resolveNewcomer(
  agent: GraphAgentRequest,
  groups: readonly (readonly string[])[],
  session: { readonly names: Iterable<string>; readonly customTools: Roster['customTools'] },
  context: RosterContext,
): Newcomer {
  const faults: Fault[] = [];
  const report: Report = (path, message, code = 'invalid_graph') => faults.push({ path, message, code });
  if (!isName(agent.name)) report('name', notAName(agent.name));
  const names = new Set([...session.names].filter((name) => name !== agent.name));
  const joined = groups.map((group) => [...new Set([...group, agent.name])]);
  for (const [index, group] of joined.entries()) {
    for (const name of group) {
      if (name !== agent.name && !names.has(name)) {
        report(
          `groups[${index}]`,
          `The group names "${printable(name)}", which is not an agent of this session.`,
        );
      }
    }
  }
  const linked = new Set(joined.flat());
  const links = [...names].filter((name) => linked.has(name));
  const sealed: SealedValues = {};
  const plan = planOf(agent, links, session.customTools, context, sealed, report);
  if (faults.length > 0 || plan === undefined) throw refuse(faults);
  return { plan, sealed, groups: joined };
}

/** Everything about one agent; undefined (and reported) when it cannot be launched at all. */
function planOf(
  agent: GraphAgentRequest,
  links: readonly string[],
  customTools: Roster['customTools'],
  context: RosterContext,
  sealed: SealedValues,
  report: Report,
): AgentPlan | undefined {
  for (const tool of agent.customToolAccess) {
    if (!Object.hasOwn(customTools, tool)) {
      report(
        'customToolAccess',
        `Agent "${agent.name}" asks for the custom tool "${printable(tool)}", which is not in customTools.`,
      );
    }
  }
  if (agent.x402Budgets.length > 0) {
    report(
      'x402Budgets',
      'Budgets are not supported by this version; leave x402Budgets out.',
      'not_supported',
    );
  }
  const runtime = runtimeOf(agent, context, report);
  if (runtime === undefined) return undefined;
  const { found } = runtime;
  const plan = sealVariables(agent.name, runtime.plan, sealed);
  return {
    name: agent.name,
    id: agent.id,
    ...(agent.description != null && { description: agent.description }),
    runtime: agent.manual === true ? { ...plan, manual: true } : plan,
    folder: found.folder,
    options: optionsOf(agent, found, sealed, report),
    ...(agent.systemPrompt != null && { systemPrompt: agent.systemPrompt }),
    blocking: agent.blocking === true,
    tools: [...new Set(agent.customToolAccess)],
    plugins: [...new Set(agent.plugins.map((plugin) => plugin.type))],
    annotations: agent.annotations,
    links,
    restart: agent.manual === true ? NO_RESTART : restartOf(agent, found),
    // Whoever starts it by hand takes their time.
    timeouts:
      agent.manual === true ? { ...found.definition.timeouts, connect: 0 } : found.definition.timeouts,
  };
}

function notAName(text: string): string {
  return `"${printable(text)}" cannot be an agent's name: it takes 1 to 128 characters, without "/" and control characters.`;
}

function restartOf({ restart }: GraphAgentRequest, { definition }: RegistryAgent): RestartPolicy {
  return restart === undefined
    ? definition.restart
    : { ...NO_RESTART, ...definition.restart, ...defined(restart) };
}

function refuse(faults: readonly Fault[]): Refusal {
  const [first] = faults;
  const code = faults.every((fault) => fault.code === first?.code)
    ? (first?.code ?? 'invalid_graph')
    : 'invalid_graph';
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more: see issues)` : '';
  return new Refusal(
    code,
    `${first?.message ?? ''}${more}`,
    faults.map(({ path, message }) => ({ path, message })),
  );
}

/** Who shares a group with whom, in the order of the request. */
function linksOf(
  agents: readonly GraphAgentRequest[],
  groups: readonly (readonly string[])[],
): ReadonlyMap<string, readonly string[]> {
  const linked = new Map<string, Set<string>>();
  for (const group of groups) {
    const members = new Set(group);
    for (const name of members) {
      const set = linked.get(name) ?? new Set();
      for (const other of members) if (other !== name) set.add(other);
      linked.set(name, set);
    }
  }
  return new Map(
    agents.map(({ name }) => {
      const set = linked.get(name);
      return [
        name,
        set === undefined ? [] : agents.map((agent) => agent.name).filter((other) => set.has(other)),
      ];
    }),
  );
}

type Report = (path: string, message: string, code?: RefusalCode) => void;

function runtimeOf(
  agent: GraphAgentRequest,
  context: RosterContext,
  report: Report,
): { readonly found: RegistryAgent; readonly plan: RuntimePlan } | undefined {
  const { provider } = agent;
  if (provider.type !== 'local') {
    report(
      'provider.type',
      `Agents from a "${provider.type}" provider are not supported by this version; use {"type":"local","runtime":…}.`,
      'not_supported',
    );
    return undefined;
  }
  const found = context.find(agent.id);
  if (found === undefined) {
    report('id', unknownAgent(agent.id, context.names), 'unknown_agent');
    return undefined;
  }
  const kind = provider.runtime;
  const { runtimes, llm } = found.definition;
  const plan = runtimes[kind];
  if (plan === undefined) {
    const known = Object.keys(runtimes).filter((name) => runtimes[name as RuntimeKind] !== undefined);
    report(
      'provider.runtime',
      `${label(agent.id)} defines no ${kind} runtime; it can be run as: ${known.join(', ')}.`,
    );
    return undefined;
  }
  if (kind === 'prototype' || !context.runtimes.has(kind)) {
    report('provider.runtime', `This server cannot run the ${kind} runtime.`, 'not_supported');
    return undefined;
  }
  if (llm !== undefined && llm.proxies.length > 0) {
    report(
      'id',
      `${label(agent.id)} needs an LLM proxy (${llm.proxies.map(({ name }) => name).join(', ')}), which this version does not have.`,
      'not_supported',
    );
    return undefined;
  }
  return { found, plan: { kind, ...plan } as RuntimePlan };
}

function unknownAgent(id: RegistryIdentifier, names: readonly string[]): string {
  const hint = nearest(id.name, names);
  const advice =
    hint === undefined
      ? 'GET /api/v1/registry (or "coral agents") lists what there is.'
      : hint === id.name
        ? 'There is another version of it: see GET /api/v1/registry (or "coral agents").'
        : `Did you mean "${hint}"?`;
  return `The registry has no agent ${label(id)}. ${advice}`;
}

/** `name@version` with its source when that is not local. */
function label(id: RegistryIdentifier): string {
  const source = id.registrySourceId;
  const from =
    source.type === 'linked'
      ? ` of linked server ${source.linkedServerId}`
      : source.type === 'local'
        ? ''
        : ` of the ${source.type}`;
  return `${printable(id.name)}@${printable(id.version)}${from}`;
}

/** Given values checked, defaults filled in; secret ones go to `sealed`. */
function optionsOf(
  agent: GraphAgentRequest,
  found: RegistryAgent,
  sealed: SealedValues,
  report: Report,
): Record<string, OptionPlan> {
  const declared = found.definition.options;
  const known = Object.keys(declared);
  for (const name of Object.keys(agent.options)) {
    if (Object.hasOwn(declared, name)) continue;
    const hint = nearest(name, known);
    const advice =
      hint !== undefined
        ? ` Did you mean "${hint}"?`
        : known.length > 0
          ? ` It has: ${known.join(', ')}.`
          : ' It has none.';
    report(`options.${printable(name)}`, `${label(agent.id)} has no option "${printable(name)}".${advice}`);
  }
  const options: Record<string, OptionPlan> = {};
  for (const [name, definition] of Object.entries(declared)) {
    const given = Object.hasOwn(agent.options, name) ? agent.options[name] : undefined;
    let value: OptionValue | undefined;
    if (given !== undefined) {
      const checked = checkOption(definition, given);
      if ('fault' in checked) {
        report(`options.${name}`, `Option ${name} of ${label(agent.id)}: ${checked.fault}`);
        continue;
      }
      value = checked.value;
    } else if (definition.default !== undefined) {
      value = { type: definition.type, value: definition.default };
    } else if (definition.required) {
      report(
        `options.${name}`,
        `${label(agent.id)} requires the option ${name} (${definition.type}), which is missing and has no default.`,
      );
      continue;
    }
    const { transport, base64 } = definition;
    if (value !== undefined && (definition.secret || looksSecret(name))) {
      sealed[optionKey(agent.name, name)] = JSON.stringify(value);
      options[name] = { transport, base64, sealed: true };
    } else {
      options[name] = { transport, base64, ...(value !== undefined && { value }) };
    }
  }
  return options;
}

/** Only the keys that were given. */
function defined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

/** A stranger's text in a sentence of ours: short and without control characters. */
function printable(text: string): string {
  const clean = text.replace(/\p{Cc}/gu, '\uFFFD');
  return clean.length > 160 ? `${clean.slice(0, 160)}…` : clean;
}
