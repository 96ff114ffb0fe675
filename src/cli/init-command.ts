/** `coral init`: scaffolds an agent that runs at once. */
import { relative, resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { EXIT } from './exit-codes.ts';
import { init, LANGUAGES, type Language } from './init.ts';
import type { Invocation } from './invocation.ts';
import { withExamples, withJson, type JsonOption } from './settings.ts';

interface InitOptions extends JsonOption {
  readonly language: Language;
  readonly name?: string;
}

/** Adds the command. */
export function initCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('init')
    .description('Scaffold an agent with its definition and a team, and a configuration where there is none.')
    .argument('[folder]', 'the folder of the project; made if need be', '.')
    .addOption(
      new Option('-l, --language <language>', 'what the agent is written in')
        .choices(LANGUAGES)
        .default('typescript'),
    )
    .option('-n, --name <name>', 'the name of the agent and of the team (default: the folder’s name)')
    .action((folder: string, options: InitOptions) => done(scaffold(invocation, folder, options)));
  withJson(command);
  withExamples(command, [
    ['coral init my-team', 'in TypeScript'],
    ['coral init my-team --language python', 'in Python, with nothing but its standard library'],
    ['coral init . --name reviewer', 'one more agent for a project that exists'],
  ]);
}

function scaffold({ terminal }: Invocation, folder: string, options: InitOptions): number {
  const { line, colors, cwd } = terminal;
  const { language, name } = options;
  const result = init({ folder: resolve(cwd, folder), language, ...(name === undefined ? {} : { name }) });
  if (options.json === true) {
    line(JSON.stringify(result));
    return EXIT.ok;
  }
  for (const file of result.created) line(`${colors.green('created')}  ${file}`);
  for (const file of result.changed) line(`${colors.yellow('changed')}  ${file}`);
  for (const sentence of result.todo) line(colors.yellow(sentence));
  const there = relative(cwd, result.folder);
  line('');
  line('Run the team:');
  if (there !== '') line(`  cd ${there}`);
  line(`  coral run ${result.name}`);
  line(`Then change agents/${result.name}/${language === 'python' ? 'main.py' : 'main.ts'}.`);
  return EXIT.ok;
}
