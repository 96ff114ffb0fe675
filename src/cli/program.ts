/** The commands of `coral`, their arguments and their help. What they do is in a file of each one's own. */
import { Command, CommanderError } from 'commander';
import { CoralError } from '../client/index.ts';
import { settingOf, type Setting } from '../config.ts';
import { reasonOf } from '../domain/reason.ts';
import type { Invocation } from './invocation.ts';
import { EXIT } from './exit-codes.ts';
import { agentsCommand } from './agents.ts';
import { devCommand } from './dev.ts';
import { doctorCommand } from './doctor.ts';
import { eventsCommand } from './events.ts';
import { exportCommand } from './export.ts';
import { initCommand } from './init-command.ts';
import { journalCommand } from './journal.ts';
import { keysCommand } from './keys.ts';
import { logsCommand } from './logs.ts';
import { CommandError } from './exit-codes.ts';
import { VERSION } from '../package-root.ts';
import { psCommand } from './ps.ts';
import { runCommand } from './run.ts';
import { serveCommand } from './serve.ts';
import { showCommand } from './show.ts';
import { stopCommand } from './stop.ts';
import { processTerminal, type Terminal } from './terminal.ts';
import { validateCommand } from './validate.ts';

/** Runs one command line and resolves with its exit code; never rejects. */
export async function main(argv: readonly string[]): Promise<number> {
  const terminal = processTerminal();
  if (process.platform === 'win32') {
    terminal.note('Coral runs on Linux and macOS; on Windows, run it inside of WSL 2.');
    return EXIT.failed;
  }
  const { settings, rest } = takeSettings(argv);
  let exitCode: number = EXIT.ok;
  const program = build({ terminal, settings }, (code) => (exitCode = code));
  try {
    await program.parseAsync(rest, { from: 'user' });
    return exitCode;
  } catch (error) {
    return explain(error, terminal);
  }
}

function build(invocation: Invocation, done: (exitCode: number) => void): Command {
  const program = new Command('coral')
    .description('Runs teams of agents: launches them, lets them talk, follows them to their end.')
    .version(VERSION, '-V, --version', 'print the version')
    .option('--no-color', 'no colours (so does the variable NO_COLOR)')
    .helpCommand('help [COMMAND]', 'show how a command is used')
    .showHelpAfterError('(coral help COMMAND shows how it is used)')
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .exitOverride();
  const commands = [
    runCommand,
    serveCommand,
    validateCommand,
    agentsCommand,
    psCommand,
    showCommand,
    logsCommand,
    eventsCommand,
    stopCommand,
    exportCommand,
    doctorCommand,
    journalCommand,
    keysCommand,
    initCommand,
    devCommand,
  ];
  for (const define of commands) define(program, invocation, done);
  return program.addHelpText(
    'after',
    `
Every key of the configuration can be set for one command with a dotted flag, as in --network.bind-port=0.

Examples:
  $ coral init my-team --language python   scaffold an agent, a definition and a team
  $ coral run my-team                      launch the team and follow it
  $ coral serve                            start the server, for applications and many runs`,
  );
}

/** Dotted flags apart from the rest; behind \`--\` everything is the rest. */
function takeSettings(argv: readonly string[]): { settings: Setting[]; rest: string[] } {
  const settings: Setting[] = [];
  const rest: string[] = [];
  for (const [index, argument] of argv.entries()) {
    if (argument === '--') {
      rest.push(...argv.slice(index));
      break;
    }
    const setting = settingOf(argument);
    if (setting === undefined) rest.push(spelled(argument));
    else settings.push(setting);
  }
  return { settings, rest };
}

/** An option in kebab-case: like a key of the configuration, it may be in camelCase or snake_case too. */
function spelled(argument: string): string {
  return argument.replace(/^--[a-z][A-Za-z_-]*/, (name) =>
    name.replace(/_/g, '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
  );
}

/** Says what went wrong, once and in a sentence, and how the process ends. */
function explain(error: unknown, { note, noteColors, gone }: Terminal): number {
  // Whoever read has seen enough: no fault.
  if (gone.aborted) return EXIT.ok;
  // Commander has told already; asking for help or the version is no fault.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.badInput;
  if (error instanceof CommandError) {
    if (error.message !== '') note(noteColors.red(error.message));
    return error.exitCode;
  }
  if (error instanceof CoralError) {
    const { issues, status, message } = error;
    const lines = issues.length > 1 ? issues.map((issue) => `${issue.path}: ${issue.message}`) : [message];
    for (const line of lines) note(noteColors.red(line));
    return status >= 400 && status < 500 ? EXIT.badInput : EXIT.failed;
  }
  const sentence = reasonOf(error);
  note(noteColors.red(sentence));
  return EXIT.failed;
}
