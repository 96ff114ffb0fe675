/** `coral agents`: what can be launched. */
import type { Command } from 'commander';
import type { RegistryAgent } from '../domain/definition.ts';
import { BadInput, EXIT } from './exit-codes.ts';
import { didYouMean } from '../domain/nearest.ts';
import type { Invocation } from './invocation.ts';
import {
  configOf,
  tell,
  withConfig,
  withExamples,
  withJson,
  type ConfigOptions,
  type JsonOption,
} from './settings.ts';
import { loadRegistry } from './team.ts';
import { oneLine, table } from './text.ts';

type AgentsOptions = ConfigOptions & JsonOption;

/** Adds the command. */
export function agentsCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('agents')
    .description('List the agents and teams that can be launched, or show one agent with its options.')
    .argument('[agent]', 'NAME or NAME@VERSION')
    .action(async (agent: string | undefined, options: AgentsOptions) =>
      done(await agents(invocation, agent, options)),
    );
  withJson(withConfig(command));
  withExamples(command, [
    ['coral agents', 'all of them'],
    ['coral agents scout', 'one, with its runtimes and options'],
    ['coral agents --registry.include-debug-agents', 'with the built-in ones for tests'],
  ]);
}

async function agents(
  invocation: Invocation,
  word: string | undefined,
  options: AgentsOptions,
): Promise<number> {
  const { terminal } = invocation;
  const { line, colors, width } = terminal;
  const config = configOf(invocation, options);
  const registry = await loadRegistry(config);
  try {
    tell(terminal, registry.faults());
    if (word !== undefined)
      return showAgent(invocation, findAgent(registry.agents(), word), options.json === true);
    if (options.json === true) {
      line(
        JSON.stringify({
          agents: registry.agents().map(viewOf),
          teams: registry.teams().map(({ name, description, inputs, agents, file }) => ({
            name,
            description,
            inputs,
            agents,
            file,
          })),
        }),
      );
      return EXIT.ok;
    }
    const sections = [
      table(
        ['agent', 'version', 'runtimes', 'description'],
        registry
          .agents()
          .map(({ definition }) => [
            definition.name,
            definition.version,
            runtimesOf(definition).join(', '),
            oneLine(definition.summary ?? definition.description, 80),
          ]),
      ),
      table(
        ['team', 'agents', 'description'],
        registry.teams().map((team) => [team.name, team.agents.join(', '), oneLine(team.description, 80)]),
      ),
    ].filter((lines) => lines.length > 1);
    if (sections.length === 0) {
      terminal.note(
        'No agent is known: registry.localAgents in the configuration says where they are. coral init makes one.',
      );
    }
    for (const [index, lines] of sections.entries()) {
      if (index > 0) line('');
      lines.forEach((text, row) => line(row === 0 ? colors.dim(text) : oneLineKeepingBlanks(text, width)));
    }
    return EXIT.ok;
  } finally {
    await registry.close();
  }
}

function findAgent(known: readonly RegistryAgent[], word: string): RegistryAgent {
  const [name = '', version] = word.split('@');
  const found = known.find(
    ({ definition }) => definition.name === name && (version === undefined || definition.version === version),
  );
  if (found !== undefined) return found;
  const names = [...new Set(known.map(({ definition }) => definition.name))];
  throw new BadInput(`There is no agent ${word}.${didYouMean(name, names)} coral agents lists them.`);
}

function showAgent({ terminal }: Invocation, agent: RegistryAgent, json: boolean): number {
  const { line, colors } = terminal;
  const { definition, file } = agent;
  if (json) {
    line(JSON.stringify(viewOf(agent), null, 2));
    return EXIT.ok;
  }
  line(`${colors.bold(`${definition.name}@${definition.version}`)}  ${definition.description}`);
  line(colors.dim(file));
  line(`runs as ${runtimesOf(definition).join(', ')}`);
  const rows = Object.entries(definition.options).map(([name, option]) => [
    name,
    option.type,
    option.required
      ? 'required'
      : option.secret
        ? ''
        : option.default === undefined
          ? ''
          : JSON.stringify(option.default),
    option.display?.description ?? option.display?.label ?? '',
  ]);
  if (rows.length > 0) {
    line('');
    for (const [index, text] of table(['option', 'type', 'default', 'meaning'], rows).entries()) {
      line(index === 0 ? colors.dim(text) : text);
    }
  }
  return EXIT.ok;
}

function runtimesOf({ runtimes }: RegistryAgent['definition']): string[] {
  return Object.entries(runtimes)
    .filter(([, runtime]) => runtime !== undefined)
    .map(([kind]) => kind);
}

/** For machines: the defaults of secret options are left out. */
function viewOf({ definition, file }: RegistryAgent): Record<string, unknown> {
  const options = Object.fromEntries(
    Object.entries(definition.options).map(([name, { default: value, ...option }]) => [
      name,
      { ...option, ...(value === undefined || option.secret ? {} : { default: value }) },
    ]),
  );
  const { name, version, description } = definition;
  return { name, version, description, runtimes: runtimesOf(definition), options, file };
}

function oneLineKeepingBlanks(text: string, width: number | undefined): string {
  return width === undefined || text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
