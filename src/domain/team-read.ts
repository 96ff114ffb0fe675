/**
 * From the plain values of a team file to the `Team`, and from a team to the one session request it means. Everything
 * that is wrong comes at once. Source: docs/wire.md, "Team files".
 */
import { inSentences, problemsOf } from './schema-parts.ts';
import { isMapping } from './definition-lenient.ts';
import { readKeys } from './keys.ts';
import type { KeyReading } from './keys.ts';
import { didYouMean } from './nearest.ts';
import { error, formatPath } from './problem.ts';
import type { KeyPath, Problem } from './problem.ts';
import type { Issue } from './refusal.ts';
import type { Team, TeamInput, TeamRun } from './team.ts';
import { isAbsolutePath, pathFrom } from './team-path.ts';
import { readAgent } from './team-agent.ts';
import type { AgentLookup } from './team-agent.ts';
import { interpolate, isUnknown, masked, plainly, UNKNOWN_YET } from './team-interpolate.ts';
import type { Values } from './team-interpolate.ts';
import { TeamFile } from './team-schema.ts';
import { SessionRequest } from './wire/request.ts';
import type { SessionRequestInput } from './wire/request.ts';

/** The plain values of a file that still know where they stood. */
export interface TeamSource {
  readonly value: unknown;
  locate(path: KeyPath): { readonly line: number } | undefined;
}

/** What came of reading a team file. */
export interface TeamReading {
  /** Absent when a problem is an error. */
  readonly team?: Team;
  readonly problems: readonly Problem[];
  /** What is wrong by the registry as it is now; inputs without default and variables are taken for right. */
  readonly check: () => readonly Problem[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `file`: absolute path. `lookup` is asked when a request is made, never before. */
export function parseTeam(source: TeamSource, file: string, lookup: AgentLookup): TeamReading {
  const keys = readKeys(TeamFile, source.value, 'any');
  const raw = new RawTeam(keys, lookup, stemOf(file));
  const problems = [
    ...keys.strange.map(({ path, message }) => error(path, message)),
    ...raw.problemsOfShape(),
  ];
  if (problems.length > 0) return { problems, check: () => [] };
  const issue = ({ path, message }: Problem): Issue => {
    const line = source.locate(path)?.line;
    return { path: `${line === undefined ? '' : `${line}:`}${formatPath(path)}`, message };
  };
  const team: Team = {
    name: raw.name,
    description: raw.description,
    inputs: raw.inputs,
    agents: raw.agents,
    file,
    request(run, environment, show = false) {
      const strangers = Object.keys(run.inputs ?? {}).filter((name) => raw.inputs[name] === undefined);
      const made = raw.request(run, raw.values(run, environment), show);
      const issues = strangers.map((name) => ({
        path: `inputs.${name}`,
        message: `The team ${raw.name} has no input \`${name}\`.${didYouMean(name, Object.keys(raw.inputs))}`,
      }));
      if ('request' in made && issues.length === 0) return made.request;
      return [...issues, ...('problems' in made ? made.problems.map(issue) : [])];
    },
  };
  return {
    team,
    problems,
    check() {
      const made = raw.request({}, raw.valuesForNow(), false);
      return 'problems' in made ? made.problems : [];
    },
  };
}

class RawTeam {
  readonly name: string;
  readonly description: string;
  readonly inputs: Readonly<Record<string, TeamInput>>;
  readonly agents: readonly string[];
  /** What is filled in: everything but the team's own description of itself. */
  private readonly body: Record<string, unknown>;
  private readonly head: Record<string, unknown>;

  constructor(
    private readonly keys: KeyReading,
    private readonly lookup: AgentLookup,
    stem: string,
  ) {
    const all = isMapping(keys.value) ? keys.value : {};
    const { team, description, inputs, ...body } = all;
    this.body = body;
    this.head = { team, description, inputs };
    this.name = typeof team === 'string' ? team : stem;
    this.description = typeof description === 'string' ? description : '';
    this.inputs = Object.fromEntries(
      Object.entries(isMapping(inputs) ? inputs : {}).map(([name, given]) => [name, inputOf(given)]),
    );
    this.agents = Object.keys(isMapping(body['agents']) ? body['agents'] : {});
  }

  /** What is wrong whatever the inputs, the environment and the registry are. */
  problemsOfShape(): Problem[] {
    if (!isMapping(this.keys.value)) return [error([], 'Must be a mapping with the key `agents`.')];
    const unknown: Values = {
      input: (name) => (this.inputs[name] === undefined ? undefined : UNKNOWN_YET),
      variable: () => UNKNOWN_YET,
      inputs: Object.keys(this.inputs),
    };
    const filled = this.fill(unknown);
    const parsed = this.parse(filled.value);
    const rest = parsed.success ? referencesIn(parsed.data) : problemsOf(parsed.error);
    return this.written([...this.defaultsWithInputs(), ...filled.problems, ...rest]);
  }

  /** The values of one run. */
  values(run: TeamRun, environment: Environment): Values {
    const given = run.inputs ?? {};
    const names = Object.keys(this.inputs);
    const { directory } = run;
    return {
      input: (name) => {
        const text = Object.hasOwn(given, name)
          ? given[name]
          : this.defaultOf(name, (key) => environment[key]);
        if (text === undefined || directory === undefined || this.inputs[name]?.type !== 'path') return text;
        return pathFrom(directory, text);
      },
      variable: (name) => environment[name],
      inputs: names,
    };
  }

  /** Defaults where there are any, the rest unknown. */
  valuesForNow(): Values {
    return {
      input: (name) => {
        const input = this.inputs[name];
        if (input === undefined) return undefined;
        const text = this.defaultOf(name, () => undefined);
        // A relative path becomes a value only where somebody stands.
        const open = text === undefined || (input.type === 'path' && text !== '' && !isAbsolutePath(text));
        return open ? UNKNOWN_YET : text;
      },
      variable: () => UNKNOWN_YET,
      inputs: Object.keys(this.inputs),
    };
  }

  request(
    run: TeamRun,
    values: Values,
    show: boolean,
  ): { request: SessionRequest } | { problems: readonly Problem[] } {
    const filled = this.fill(values);
    const problems: Problem[] = [...this.inputsWithoutValue(values), ...filled.problems];
    const parsed = this.parse(filled.value);
    if (!parsed.success) return { problems: this.written([...problems, ...problemsOf(parsed.error)]) };
    const file = parsed.data;
    const agents = Object.entries(file.agents).map(([name, agent]) =>
      readAgent(name, agent, this.lookup, ['agents', name]),
    );
    problems.push(...agents.flatMap((agent) => agent.problems), ...referencesIn(file));
    if (problems.length > 0) return { problems: this.written(unique(problems)) };
    const whole = (which: 'agent' | 'shown'): SessionRequestInput =>
      this.assemble(
        run,
        file,
        agents.flatMap((agent) => agent[which] ?? []),
      );
    // A check of the file alone: what is not known yet cannot be held against the wire.
    if (isUnknown(filled.value)) return { problems: [] };
    const request = SessionRequest.safeParse(plainly(whole('agent')), { error: inSentences });
    if (!request.success) return { problems: problemsOf(request.error) };
    return {
      request: show ? (overlay(request.data, masked(whole('shown'))) as SessionRequest) : request.data,
    };
  }

  private assemble(
    run: TeamRun,
    file: TeamFile,
    agents: SessionRequestInput['agentGraphRequest']['agents'],
  ): SessionRequestInput {
    const { session } = file;
    const { sessionEnd } = session.webhooks;
    const settings = {
      ...(session.ttl === undefined ? {} : { ttl: session.ttl }),
      extendedEndReport: session.extendedEndReport,
      persistenceMode: session.persistence ?? { mode: 'none' as const },
      webhooks: sessionEnd === undefined ? {} : { sessionEnd: { url: sessionEnd } },
    };
    const { execution } = run;
    return {
      agentGraphRequest: {
        agents,
        groups: file.groups ?? [Object.keys(file.agents)],
        customTools: Object.fromEntries(
          Object.entries(file.tools).map(([name, { url, signatureHeader, input, output, ...tool }]) => [
            name,
            {
              ...tool,
              transport: { type: 'http', url, ...(signatureHeader === undefined ? {} : { signatureHeader }) },
              inputSchema: input,
              outputSchema: output,
            },
          ]),
        ),
      },
      namespaceProvider: {
        type: 'create_if_not_exists',
        namespaceRequest: { name: run.namespace ?? session.namespace ?? this.name },
      },
      execution:
        execution?.mode === 'defer'
          ? execution
          : { mode: 'immediate', runtimeSettings: execution?.runtimeSettings ?? settings },
      annotations: { ...session.annotations, ...run.annotations },
    };
  }

  private fill(values: Values): { value: Record<string, unknown>; problems: Problem[] } {
    const { value, problems } = interpolate(this.body, values);
    return { value: value as Record<string, unknown>, problems };
  }

  private parse(body: Record<string, unknown>) {
    return TeamFile.safeParse(withoutUndefined({ ...this.head, ...body }), { error: inSentences });
  }

  private inputsWithoutValue(values: Values): Problem[] {
    return Object.entries(this.inputs).flatMap(([name, { type }]) => {
      const value = values.input(name);
      if (value === undefined) {
        const help = `Has neither a value nor a default; give it one, as in \`--input ${name}=…\`.`;
        return [error(['inputs', name], help)];
      }
      if (value === UNKNOWN_YET || type !== 'path' || isAbsolutePath(value)) return [];
      const help =
        value === ''
          ? 'Is a path and cannot be empty.'
          : `Is a path and must be absolute here, beginning with \`/\`: nobody knows where a relative one starts.`;
      return [error(['inputs', name], help)];
    });
  }

  private defaultsWithInputs(): Problem[] {
    return Object.entries(this.inputs).flatMap(([name, { default: text }]) => {
      const { problems } = interpolate(text, {
        input: () => undefined,
        variable: () => UNKNOWN_YET,
        inputs: [],
      });
      return problems.length === 0
        ? []
        : [
            error(
              ['inputs', name, 'default'],
              'May hold `${env.NAME}` and nothing else that begins with `${`.',
            ),
          ];
    });
  }

  /** Variables may stand in a default; what they hold is not known to be set. */
  private defaultOf(name: string, variable: (name: string) => string | undefined): string | undefined {
    const text = this.inputs[name]?.default;
    if (text === undefined) return undefined;
    const { value, problems } = interpolate(text, { input: () => undefined, variable, inputs: [] });
    return problems.length > 0 ? undefined : (value as string);
  }

  private written(problems: readonly Problem[]): Problem[] {
    return problems.map((problem) => ({ ...problem, path: this.keys.written(problem.path) }));
  }
}

/** Groups and tools name what the team has. */
function referencesIn(file: TeamFile): Problem[] {
  const problems: Problem[] = [];
  const agents = Object.keys(file.agents);
  for (const [index, group] of (file.groups ?? []).entries())
    for (const [place, member] of group.entries())
      if (!isUnknown(member) && !agents.includes(plainly(member)))
        problems.push(
          error(
            ['groups', index, place],
            `The team has no agent \`${member}\`.${didYouMean(member, agents)}`,
          ),
        );
  const tools = Object.keys(file.tools);
  for (const [name, agent] of Object.entries(file.agents))
    for (const [index, tool] of agent.tools.entries())
      if (!isUnknown(tool) && !tools.includes(plainly(tool)))
        problems.push(
          error(
            ['agents', name, 'tools', index],
            `The team has no tool \`${tool}\`; describe it under \`tools\`.${didYouMean(tool, tools)}`,
          ),
        );
  return problems;
}

function inputOf(given: unknown): TeamInput {
  const { description, default: text, type } = isMapping(given) ? given : {};
  return {
    description: typeof description === 'string' ? description : '',
    ...(type === 'path' && { type }),
    ...(typeof text === 'string' ? { default: text } : {}),
    ...(typeof text === 'number' || typeof text === 'bigint' || typeof text === 'boolean'
      ? { default: String(text) }
      : {}),
  };
}

function withoutUndefined(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined));
}

function unique(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter(({ path, message }) => {
    const id = `${formatPath(path)} ${message}`;
    return !seen.has(id) && seen.add(id);
  });
}

/** `request` with the leaves of `shown`, which lacks the defaults. */
function overlay(request: unknown, shown: unknown): unknown {
  if (Array.isArray(request) && Array.isArray(shown))
    return request.map((entry, index) => overlay(entry, shown[index]));
  if (isMapping(request) && isMapping(shown))
    return Object.fromEntries(
      Object.entries(request).map(([key, entry]) => [key, key in shown ? overlay(entry, shown[key]) : entry]),
    );
  return shown === undefined ? request : shown;
}

function stemOf(file: string): string {
  const base = file.split(/[/\\]/).at(-1) ?? file;
  return base.replace(/\.(ya?ml|toml|json)$/i, '');
}
