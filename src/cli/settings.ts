/** The options that many commands share, and the configuration they lead to. */
import type { Command } from 'commander';
import { readConfig, type Config } from '../config.ts';
import { BadInput } from './exit-codes.ts';
import { describeFault } from './faults.ts';
import type { Invocation } from './invocation.ts';
import type { Fault } from '../ports/registry.ts';

/** What `withConfig` adds. */
export interface ConfigOptions {
  readonly config?: string;
  readonly stateDir?: string;
}

/** What `withJson` adds. */
export interface JsonOption {
  readonly json?: boolean;
}

/** Adds --config and --state-dir. */
export function withConfig(command: Command): Command {
  return command
    .option('--config <file>', 'the configuration (default: coral.config.yaml here or in a folder above)')
    .option(
      '--state-dir <folder>',
      'where the server keeps its state (default: .coral beside the configuration)',
    );
}

/** Adds --json. */
export function withJson(command: Command, what = 'print JSON, for machines'): Command {
  return command.option('--json', what);
}

/** Adds examples below the help: the command line, then what it does. */
export function withExamples(command: Command, examples: readonly (readonly [string, string])[]): Command {
  const widest = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  $ ${line.padEnd(widest)}   ${what}`);
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}

/** The configuration; its warnings go to standard error. Throws BadInput with every fault. */
export function configOf({ terminal, settings }: Invocation, options: ConfigOptions): Config {
  const { cwd, environment } = terminal;
  const { config, faults } = readConfig({
    file: options.config,
    stateDir: options.stateDir,
    flags: settings,
    environment,
    cwd,
  });
  tell(terminal, faults);
  if (config === undefined) throw new BadInput('');
  return config;
}

/** Writes faults to standard error, one line each. */
export function tell({ note, noteColors, cwd }: Invocation['terminal'], faults: readonly Fault[]): void {
  for (const fault of faults) note(describeFault(fault, cwd, noteColors));
}
