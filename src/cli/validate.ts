/** `coral validate`: every fault of configurations, definitions and teams, before anything runs. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { CONFIG_FILES, findConfig, readConfig } from '../config.ts';
import type { Fault, Registry } from '../ports/registry.ts';
import type { Validation } from '../registry/validate.ts';
import { BadInput, EXIT } from './exit-codes.ts';
import { describeFault } from './faults.ts';
import type { Invocation } from './invocation.ts';
import { withExamples, withJson, type JsonOption } from './settings.ts';
import { loadRegistry } from './team.ts';
import { count } from './text.ts';

/** Adds the command. */
export function validateCommand(
  program: Command,
  invocation: Invocation,
  done: (code: number) => void,
): void {
  const command = program
    .command('validate')
    .description(
      'Check configurations (with all agents and teams they name), definitions and team files: every fault with file, line and key.',
    )
    .argument('[path...]', 'files or folders (default: the configuration here or in a folder above)')
    .action(async (paths: string[], options: JsonOption) => done(await validate(invocation, paths, options)));
  withJson(command);
  withExamples(command, [
    ['coral validate', 'the configuration and everything it names'],
    ['coral validate agents teams/review.yaml', 'what lies in a folder, and one team'],
  ]);
  command.addHelpText('after', '\nExit codes: 0 nothing worse than warnings, 2 an error.');
}

async function validate(
  { terminal }: Invocation,
  paths: readonly string[],
  options: JsonOption,
): Promise<number> {
  const { cwd, line, note, colors } = terminal;
  const check = new Check();
  try {
    for (const path of paths.length > 0 ? paths : [configHere(cwd)]) await check.path(resolve(cwd, path));
  } finally {
    await check.close();
  }
  const { faults, files } = check;
  const errors = faults.filter(({ severity }) => severity === 'error').length;
  if (options.json === true) line(JSON.stringify({ files: [...files], faults }, null, 2));
  else {
    for (const fault of faults) line(describeFault(fault, cwd, colors));
    const warnings = faults.length - errors;
    const found =
      faults.length === 0
        ? 'no fault'
        : [errors > 0 ? count(errors, 'error') : '', warnings > 0 ? count(warnings, 'warning') : '']
            .filter((part) => part !== '')
            .join(' and ');
    note(`${count(files.size, 'file')}: ${found}.`);
  }
  return errors > 0 ? EXIT.badInput : EXIT.ok;
}

function configHere(cwd: string): string {
  const file = findConfig(cwd);
  if (file !== undefined) return file;
  throw new BadInput('There is no coral.config.yaml here or in a folder above: say which files to check.');
}

/** Gathers the faults of everything it is shown, each once. */
class Check {
  readonly files = new Set<string>();
  private readonly found = new Map<string, Fault>();
  /** By configuration file: a team is held against the agents of the nearest one. */
  private readonly registries = new Map<string, Promise<Registry | undefined>>();

  get faults(): readonly Fault[] {
    return [...this.found.values()];
  }

  async path(path: string): Promise<void> {
    const facts = statSync(path, { throwIfNoEntry: false });
    if (facts?.isDirectory() !== true) return this.file(path, false);
    const config = CONFIG_FILES.map((name) => join(path, name)).find((file) => existsSync(file));
    if (config !== undefined) return this.file(config, false);
    const inside = documentsBelow(path);
    for (const file of inside) await this.file(file, true);
    if (this.files.size === 0) {
      this.add([
        { severity: 'error', file: path, message: 'There is no definition, team or configuration here.' },
      ]);
    }
  }

  async close(): Promise<void> {
    for (const registry of this.registries.values()) await (await registry)?.close();
  }

  /** `found`: it was not named but lies in a folder that was; then other YAML is no fault. */
  private async file(file: string, found: boolean): Promise<void> {
    const { validateFile } = await import('../registry/validate.ts');
    const validation = await validateFile(file, await this.registryFor(file));
    if (validation.kind === 'configuration') return this.configuration(file, validation);
    if (found && validation.kind === 'unknown') return;
    this.files.add(file);
    this.add(validation.faults);
  }

  private async configuration(file: string, { faults }: Validation): Promise<void> {
    this.files.add(file);
    // A file that cannot be read would say so twice.
    if (faults.length > 0) return this.add(faults);
    this.add(readConfig({ file, environment: {}, cwd: dirname(file) }).faults);
    const registry = await this.registryOf(file);
    if (registry === undefined) return;
    this.add(registry.faults());
    const { validateFile } = await import('../registry/validate.ts');
    for (const agent of registry.agents()) this.files.add(agent.file);
    for (const team of registry.teams()) {
      this.files.add(team.file);
      this.add((await validateFile(team.file, registry)).faults);
    }
    for (const fault of registry.faults()) this.files.add(fault.file);
  }

  private async registryFor(file: string): Promise<Registry | undefined> {
    const config = findConfig(dirname(file));
    return config === undefined || config === file ? undefined : this.registryOf(config);
  }

  private registryOf(file: string): Promise<Registry | undefined> {
    let registry = this.registries.get(file);
    if (registry === undefined) {
      const { config } = readConfig({ file, environment: {}, cwd: dirname(file) });
      registry = config === undefined ? Promise.resolve(undefined) : loadRegistry(config);
      this.registries.set(file, registry);
    }
    return registry;
  }

  private add(faults: readonly Fault[]): void {
    for (const fault of faults) this.found.set(JSON.stringify(fault), fault);
  }
}

function documentsBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ya?ml|toml)$/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !/[\\/](node_modules|\.[^\\/]+)[\\/]/.test(file.slice(folder.length)))
    .sort();
}
