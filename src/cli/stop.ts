/** `coral stop`: ends sessions in good order. */
import type { Command } from 'commander';
import { join } from 'node:path';
import type { CoralClient, SessionIdentifier } from '../client/index.ts';
import type { Config } from '../config.ts';
import { isAlive } from '../process-identity.ts';
import { endKeeper, strangerIn } from '../runtimes/executable/keeper/living.ts';
import { hasKept } from '../runtimes/executable/keeper/kept-files.ts';
import { BadInput, EXIT } from './exit-codes.ts';
import { findSession } from './find-session.ts';
import type { Invocation } from './invocation.ts';
import { findRunning, reach, type Server } from './reach.ts';
import {
  configOf,
  withConfig,
  withExamples,
  withJson,
  type ConfigOptions,
  type JsonOption,
} from './settings.ts';
import type { Terminal } from './terminal.ts';

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
    .option(
      '--all',
      'every session that lives, also where no server runs any more, and the keeper of their agents',
    )
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
  const server = (await findRunning(config)) ?? (await leftBehind(config, options, terminal));
  if (server === undefined) {
    throw new BadInput(`No server holds ${config.stateDir}, so no session runs there.`);
  }
  try {
    await stopSessions(invocation, server.client, words, options);
  } finally {
    await server.close();
  }
  if (options.all === true) await endKeeper(join(config.stateDir, 'keeper'), isAlive);
  return EXIT.ok;
}

/**
 * What a server that is gone has left running is taken over by one of our own, which ends it in good order; what a keeper
 * of another version has, that keeper ends.
 */
async function leftBehind(
  config: Config,
  { all }: StopOptions,
  terminal: Terminal,
): Promise<Server | undefined> {
  const folder = join(config.stateDir, 'keeper');
  if (all !== true || !hasKept(folder)) return undefined;
  if (strangerIn(folder, isAlive) !== undefined) await endKeeper(folder, isAlive);
  return reach(config, terminal);
}

async function stopSessions(
  { terminal }: Invocation,
  client: CoralClient,
  words: readonly string[],
  options: StopOptions,
): Promise<void> {
  const keys: SessionIdentifier[] = [];
  for (const word of words) keys.push(await findSession(client, word));
  if (options.all === true) {
    for (const { sessions } of await client.namespaces.extended()) {
      keys.push(...sessions.map(({ id, namespace }) => ({ sessionId: id, namespace })));
    }
    for (const { id, namespace } of await client.archive.quarantined())
      keys.push({ sessionId: id, namespace });
  }
  await Promise.all(
    keys.map(async (key) => {
      await client.sessions.close(key);
      if (options.json === true) terminal.line(JSON.stringify({ ...key, stopped: true }));
      else terminal.line(`${key.namespace}/${key.sessionId} has stopped.`);
    }),
  );
  if (keys.length === 0 && options.json !== true) terminal.note('No session lives.');
}
