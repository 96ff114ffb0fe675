/** `coral keys`: API keys that count at once, without a restart of the server. */
import type { Command } from 'commander';
import { ApiKeys } from '../api-keys.ts';
import { createHost } from '../host.ts';
import { BadInput, EXIT } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';
import {
  configOf,
  withConfig,
  withExamples,
  withJson,
  type ConfigOptions,
  type JsonOption,
} from './settings.ts';
import { table } from './text.ts';

interface KeysOptions extends ConfigOptions, JsonOption {
  readonly name?: string;
}

/** Adds the command. */
export function keysCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const { terminal } = invocation;
  const keysOf = (options: KeysOptions): ApiKeys => new ApiKeys(configOf(invocation, options).stateDir);
  const keys = program
    .command('keys')
    .description('API keys beside those of the configuration; a running server knows of a change at once.');

  const add = keys
    .command('add')
    .description('make a key; it is shown this once and kept as a digest')
    .option('--name <name>', 'what it is for')
    .action((options: KeysOptions) => {
      const { key, entry } = keysOf(options).add(options.name, createHost().now());
      if (options.json === true) terminal.line(JSON.stringify({ ...shown(entry), key }));
      else {
        terminal.line(key);
        terminal.note(`Its id is ${entry.id}; it is not shown again.`);
      }
      done(EXIT.ok);
    });
  const list = keys
    .command('list')
    .description('the keys, without the keys themselves')
    .action((options: KeysOptions) => {
      const entries = keysOf(options).list();
      if (options.json === true) for (const entry of entries) terminal.line(JSON.stringify(shown(entry)));
      else if (entries.length === 0) terminal.note('No key was added; coral keys add makes one.');
      else {
        const rows = entries.map(({ id, name = '', created }) => [id, name, created]);
        for (const line of table(['id', 'name', 'created'], rows)) terminal.line(line);
      }
      done(EXIT.ok);
    });
  const revoke = keys
    .command('revoke')
    .description('take a key back: whoever uses it is refused from now on')
    .argument('<key>', 'its id, or its name')
    .action((word: string, options: KeysOptions) => {
      const entry = keysOf(options).revoke(word);
      if (entry === undefined) {
        throw new BadInput(`No key has the id or the (only) name "${word}"; coral keys list shows them.`);
      }
      if (options.json === true) terminal.line(JSON.stringify({ ...shown(entry), revoked: true }));
      else terminal.line(`Key ${entry.id} is revoked.`);
      done(EXIT.ok);
    });
  for (const command of [add, list, revoke]) withJson(withConfig(command));
  withExamples(keys, [
    ['coral keys add --name=ci', 'a key for the build server'],
    ['coral keys revoke ci', 'and its end'],
  ]);
}

function shown({ id, name, created }: ReturnType<ApiKeys['list']>[number]): object {
  return { id, ...(name !== undefined && { name }), created };
}
