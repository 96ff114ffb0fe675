/** `coral ps`: the sessions there are. */
import type { Command } from 'commander';
import { CoralError, type AgentState, type CoralClient, type SessionStateBase } from '../client/index.ts';
import { createHost } from '../host.ts';
import { EXIT } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';
import { reach } from './reach.ts';
import {
  configOf,
  withConfig,
  withExamples,
  withJson,
  type ConfigOptions,
  type JsonOption,
} from './settings.ts';
import { span, table } from './text.ts';

interface PsOptions extends ConfigOptions, JsonOption {
  readonly all?: boolean;
  readonly limit: number;
  readonly namespace?: string;
}

/** Adds the command. */
export function psCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('ps')
    .description('List the sessions that live, newest first.')
    .option('-a, --all', 'also those that are closed')
    .option('-n, --limit <sessions>', 'at most so many', Number, 50)
    .option('--namespace <name>', 'of this namespace only')
    .action(async (options: PsOptions) => done(await ps(invocation, options)));
  withJson(withConfig(command), 'one line of JSON for each session');
  withExamples(command, [
    ['coral ps', 'what runs, waits or is held now'],
    ['coral ps --all -n 10', 'the last ten there were'],
  ]);
}

async function ps(invocation: Invocation, options: PsOptions): Promise<number> {
  const { terminal } = invocation;
  const config = configOf(invocation, options);
  const server = await reach(config, terminal);
  try {
    const sessions: SessionStateBase[] = [];
    for await (const session of listed(server.client, options)) {
      sessions.push(session);
      if (sessions.length >= options.limit) break;
    }
    const rows = await Promise.all(
      sessions.map(async (session) => ({ session, agents: await agentsOf(server.client, session) })),
    );
    if (options.json === true) {
      for (const { session, agents } of rows) {
        terminal.line(
          JSON.stringify({
            ...session,
            agents: agents.map(({ name, status, exit }) => ({ name, status, exit })),
          }),
        );
      }
      return EXIT.ok;
    }
    if (rows.length === 0) {
      terminal.note(
        options.all === true ? 'There is no session yet.' : 'No session lives. --all lists the closed ones.',
      );
      return EXIT.ok;
    }
    const now = createHost().now();
    const lines = table(
      ['session', 'status', 'age', 'agents'],
      rows.map(({ session, agents }) => [
        `${session.namespace}/${session.id}`,
        session.status.type.replaceAll('_', ' '),
        span(now - Date.parse(session.timestamp)),
        agents
          .map(({ name, status, exit }) => `${name} ${exit?.reason ?? status.type}`.replaceAll('_', ' '))
          .join(', '),
      ]),
    );
    lines.forEach((line, index) => terminal.line(index === 0 ? terminal.colors.dim(line) : line));
    for (const { status } of sessions) if (status.type === 'quarantined') terminal.note(status.message);
    return EXIT.ok;
  } finally {
    await server.close();
  }
}

/** A damaged session does not say who is in it. */
async function agentsOf(
  client: CoralClient,
  { namespace, id, status }: SessionStateBase,
): Promise<AgentState[]> {
  if (status.type === 'quarantined') return [];
  try {
    const { agents } = await client.archive.state({ namespace, sessionId: id }, { messages: 0 });
    return agents;
  } catch (error) {
    if (error instanceof CoralError && error.code === 'session_damaged') return [];
    throw error;
  }
}

async function* listed(
  client: CoralClient,
  { all, namespace, limit }: PsOptions,
): AsyncGenerator<SessionStateBase, void> {
  if (all === true) {
    const pageSize = Math.min(limit, 500);
    yield* client.archive.list({ pageSize, ...(namespace !== undefined && { namespace }) });
    return;
  }
  const live = (await client.namespaces.extended())
    .filter(({ base }) => namespace === undefined || base.name === namespace)
    .flatMap(({ sessions }) => sessions);
  const quarantined = await client.archive.quarantined();
  live.push(...quarantined.filter((session) => namespace === undefined || session.namespace === namespace));
  yield* live.sort((a, b) => b.timestamp.localeCompare(a.timestamp));
}
