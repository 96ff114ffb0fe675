/** `coral stop`: ends sessions in good order. */
import type { Command } from 'commander';
import type { SessionIdentifier } from '../client/index.ts';
import { BadInput, EXIT } from './exit-codes.ts';
import { findSession } from './find-session.ts';
import type { Invocation } from './program.ts';
import { findRunning } from './reach.ts';
import {
  configOf,
  withConfig,
  withExamples,
  withJson,
  type ConfigOptions,
  type JsonOption,
} from './settings.ts';

interface StopOptions extends ConfigOptions, JsonOption {
  readonly all?: boolean;
}

/** Adds the command. */
export function stopCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('stop')
    .description(
      'Stop the agents of sessions and wait until they are gone; a session that is held ends its hold.',
    )
    .argument('[session...]', 'ids, parts of them, or NAMESPACE/ID')
    .option('--all', 'every session that lives')
    .action(async (sessions: string[], options: StopOptions) =>
      done(await stop(invocation, sessions, options)),
    );
  withJson(withConfig(command), 'one line of JSON for each session');
  withExamples(command, [
    ['coral stop 3f2a', 'the session whose id begins or ends so'],
    ['coral stop --all', 'all of them'],
  ]);
}

async function stop(invocation: Invocation, words: readonly string[], options: StopOptions): Promise<number> {
  const { terminal } = invocation;
  if (words.length === 0 && options.all !== true) {
    throw new BadInput('Say which session to stop (coral ps lists them), or --all.');
  }
  const config = configOf(invocation, options);
  const server = await findRunning(config);
  if (server === undefined) {
    throw new BadInput(`No server holds ${config.stateDir}, so no session runs there.`);
  }
  const { client } = server;
  const keys: SessionIdentifier[] = [];
  for (const word of words) keys.push(await findSession(client, word));
  if (options.all === true) {
    for (const { sessions } of await client.namespaces.extended()) {
      keys.push(...sessions.map(({ id, namespace }) => ({ sessionId: id, namespace })));
    }
  }
  await Promise.all(
    keys.map(async (key) => {
      await client.sessions.close(key);
      if (options.json === true) terminal.line(JSON.stringify({ ...key, stopped: true }));
      else terminal.line(`${key.namespace}/${key.sessionId} has stopped.`);
    }),
  );
  if (keys.length === 0 && options.json !== true) terminal.note('No session lives.');
  return EXIT.ok;
}
