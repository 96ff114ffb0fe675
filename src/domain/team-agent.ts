/** One agent of a team: which definition it means, how it runs, and its options with the types of that definition. */
import { RUNTIME_KINDS } from './definition.ts';
import type { RegistryAgent, RegistryIdentifier, RegistrySourceId, RuntimeKind } from './definition.ts';
import { didYouMean } from './nearest.ts';
import { optionFromPlain } from './option-check.ts';
import { looksSecret } from './option.ts';
import type { OptionDefinition, OptionValue } from './option.ts';
import { error } from './problem.ts';
import type { KeyPath, Problem } from './problem.ts';
import { isFromEnvironment, isUnknown, masked, plainly } from './team-interpolate.ts';
import type { TeamAgent } from './team-schema.ts';
import type { SessionRequestInput } from './wire/request.ts';

/** What a team needs to know of the registry. */
export interface AgentLookup {
  agents(): readonly RegistryAgent[];
  find(id: RegistryIdentifier): RegistryAgent | undefined;
  newest(name: string): RegistryAgent | undefined;
}

type AgentInput = SessionRequestInput['agentGraphRequest']['agents'][number];

/** What came of reading one agent of a team. */
export interface AgentReading {
  /** Absent when something is wrong with it. */
  readonly agent?: AgentInput;
  /** The same, to be shown: secret values are `***`. */
  readonly shown?: AgentInput;
  readonly problems: readonly Problem[];
}

/** The agent of a session request that the entry `name` of a team means; `at` is the path of that entry. */
export function readAgent(name: string, given: TeamAgent, lookup: AgentLookup, at: KeyPath): AgentReading {
  const problems: Problem[] = [];
  const use = whichAgent(given.use, lookup, [...at, 'use'], problems);
  if (use === undefined) return { problems };
  const { id, definition } = use;
  const runtime = whichRuntime(given.runtime, definition, id, [...at, 'runtime'], problems);
  const options = readOptions(given.options, definition, id, [...at, 'options'], problems);
  if (problems.length > 0 || runtime === undefined) return { problems };
  const source = id.registrySourceId;
  const agent = (values: Record<string, OptionValue>): AgentInput => ({
    id,
    name,
    description: given.description,
    options: values as NonNullable<AgentInput['options']>,
    systemPrompt: given.prompt,
    blocking: given.blocking,
    customToolAccess: given.tools,
    plugins: given.plugins.map((type) => ({ type })),
    provider:
      source.type === 'linked'
        ? { type: 'linked', linkedServerName: source.linkedServerId, runtime }
        : { type: 'local', runtime },
    annotations: given.annotations,
    ...(given.restart === undefined ? {} : { restart: given.restart }),
  });
  return { agent: agent(options.values), shown: agent(options.shown), problems };
}

/** `name`, `name@version`, `linked:SERVER/name@version` or `marketplace:name@version`. */
function whichAgent(
  use: string,
  lookup: AgentLookup,
  at: KeyPath,
  problems: Problem[],
): { id: RegistryIdentifier; definition: RegistryAgent['definition'] | undefined } | undefined {
  if (isUnknown(use)) return undefined;
  const match = /^(?:(?:linked:([^/]+)\/)|(marketplace:))?([^@/:\s]+)(?:@(\S+))?$/.exec(plainly(use).trim());
  if (match === null) {
    problems.push(error(at, 'Must be `name`, `name@version` or `linked:SERVER/name@version`.'));
    return undefined;
  }
  const [, server, marketplace, name = '', version] = match;
  if (server !== undefined || marketplace !== undefined) {
    if (version === undefined) {
      problems.push(
        error(at, 'Must say the version, as in `name@1.0.0`: only local agents have a newest one.'),
      );
      return undefined;
    }
    const registrySourceId: RegistrySourceId =
      server === undefined ? { type: 'marketplace' } : { type: 'linked', linkedServerId: server };
    const id = { name, version, registrySourceId };
    return { id, definition: lookup.find(id)?.definition };
  }
  const local = (exact: string): RegistryIdentifier => ({
    name,
    version: exact,
    registrySourceId: { type: 'local' },
  });
  const found = version === undefined ? lookup.newest(name) : lookup.find(local(version));
  if (found !== undefined) return { id: local(found.definition.version), definition: found.definition };
  const versions = lookup.agents().flatMap(({ definition: one }) => (one.name === name ? [one.version] : []));
  problems.push(
    error(
      at,
      versions.length > 0
        ? `The registry has no ${name}@${version ?? ''}; there is ${versions.map((one) => `${name}@${one}`).join(', ')}.`
        : `The registry has no agent \`${name}\`.${didYouMean(
            name,
            lookup.agents().map(({ definition: one }) => one.name),
          )}`,
    ),
  );
  return undefined;
}

/** What is asked for, else the only runtime there is, else executable before docker. */
function whichRuntime(
  asked: RuntimeKind | undefined,
  definition: RegistryAgent['definition'] | undefined,
  id: RegistryIdentifier,
  at: KeyPath,
  problems: Problem[],
): RuntimeKind | undefined {
  if (definition === undefined) return asked ?? 'executable';
  const defined = RUNTIME_KINDS.filter((kind) => definition.runtimes[kind] !== undefined);
  if (asked === undefined) return defined[0];
  if (defined.includes(asked)) return asked;
  problems.push(
    error(
      at,
      `${id.name}@${id.version} does not define the runtime ${asked}; it has ${defined.join(' and ')}.`,
    ),
  );
  return undefined;
}

function readOptions(
  given: Readonly<Record<string, unknown>>,
  definition: RegistryAgent['definition'] | undefined,
  id: RegistryIdentifier,
  at: KeyPath,
  problems: Problem[],
): { values: Record<string, OptionValue>; shown: Record<string, OptionValue> } {
  const values: Record<string, OptionValue> = {};
  const shown: Record<string, OptionValue> = {};
  const known = definition?.options;
  for (const [name, marked] of Object.entries(given)) {
    const option = known === undefined ? guessed(name, marked) : known[name];
    if (option === undefined) {
      problems.push(
        error(
          [...at, name],
          `${id.name}@${id.version} has no option \`${name}\`.${didYouMean(name, Object.keys(known ?? {}))}`,
        ),
      );
      continue;
    }
    if (isUnknown(marked)) continue;
    const checked = optionFromPlain(option, plainly(marked));
    if ('fault' in checked) {
      problems.push(error([...at, name], checked.fault));
      continue;
    }
    values[name] = checked.value;
    shown[name] = toShow(option, checked.value, marked);
  }
  for (const [name, option] of Object.entries(known ?? {}))
    if (option.required && option.default === undefined && !(name in given))
      problems.push(
        error([...at, name], `Is missing: ${id.name}@${id.version} requires it (${option.type}).`),
      );
  return { values, shown };
}

function toShow(option: OptionDefinition, value: OptionValue, marked: unknown): OptionValue {
  if (option.secret) return { type: value.type, value: '***' };
  if (!isFromEnvironment(marked)) return value;
  const texts = typeof marked === 'string' ? value.type === 'string' : value.type === 'list[string]';
  return { type: value.type, value: texts ? (masked(marked) as OptionValue['value']) : '***' };
}

/** An agent that this registry does not hold: the value itself says what it is. */
function guessed(name: string, value: unknown): OptionDefinition {
  const one: unknown = Array.isArray(value) ? value[0] : value;
  const scalar =
    typeof one === 'number'
      ? Number.isInteger(one)
        ? 'i64'
        : 'f64'
      : typeof one === 'bigint'
        ? 'i64'
        : typeof one === 'boolean' && !Array.isArray(value)
          ? 'bool'
          : 'string';
  return {
    type: Array.isArray(value) && scalar !== 'bool' ? `list[${scalar}]` : scalar,
    required: false,
    transport: 'env',
    secret: looksSecret(name),
    base64: false,
  };
}
