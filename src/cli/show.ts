/** `coral show`: one session, its agents and what they said. */
import type { Command } from 'commander';
import type { AgentState, SessionStateExtended } from '../domain/wire/session.ts';
import { describeExit } from './conversation.ts';
import { withSession } from './find-session.ts';
import type { Invocation } from './invocation.ts';
import { withConfig, withExamples, withJson, type ConfigOptions, type JsonOption } from './settings.ts';
import type { Colors, Terminal } from './terminal.ts';
import { clock, harmless } from './text.ts';

type ShowOptions = ConfigOptions & JsonOption;

/** Adds the command. */
export function showCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('show')
    .description('Show a session, live or archived: its agents, its threads with all messages, its result.')
    .argument('[session]', 'its id, part of it, or NAMESPACE/ID (default: the newest session)')
    .action(async (session: string | undefined, options: ShowOptions) =>
      done(await show(invocation, session, options)),
    );
  withJson(withConfig(command));
  withExamples(command, [
    ['coral show', 'the newest session'],
    ['coral show reports/3f2a', 'another one'],
    ["coral show --json | jq '.agents[].exit'", 'for machines'],
  ]);
}

function show(invocation: Invocation, word: string | undefined, options: ShowOptions): Promise<number> {
  const { terminal } = invocation;
  return withSession(invocation, options, word, async (client, key) => {
    const story = await client.archive.state(key);
    if (options.json === true) terminal.line(JSON.stringify(story, null, 2));
    else print(story, terminal);
  });
}

function print({ base, agents, threads, result }: SessionStateExtended, { line, colors }: Terminal): void {
  line(`${colors.bold(`${base.namespace}/${base.id}`)}  ${base.status.type.replaceAll('_', ' ')}`);
  line(colors.dim(`created ${base.timestamp}`));
  for (const [key, value] of Object.entries(base.annotations)) line(harmless(`${key}: ${value}`));

  line('');
  for (const agent of agents) {
    const { name, version } = agent.registryAgentIdentifier;
    line(
      `${colors.bold(harmless(agent.name))}  ${colors.dim(`${name}@${version}`)}  ${stateOf(agent, colors)}`,
    );
    if (agent.status.type === 'running') for (const limit of agent.status.unlimited ?? []) line(`  ${limit}`);
  }
  for (const thread of threads) {
    const state =
      thread.state.state === 'closed' ? colors.dim(` (closed: ${harmless(thread.state.summary)})`) : '';
    line('');
    line(
      `${colors.bold(`#${harmless(thread.name)}`)}${state}  ${colors.dim(thread.participants.join(', '))}`,
    );
    for (const message of thread.messages) {
      const mentions = message.mentionNames.map((name) => `@${name} `).join('');
      const [first = '', ...rest] = harmless(`${mentions}${message.text}`).split('\n');
      line(
        `  ${colors.dim(clock(message.timestamp))}  ${colors.cyan(harmless(message.senderName))}: ${first}`,
      );
      for (const more of rest) line(`            ${more}`);
    }
  }
  if (result !== undefined) {
    line('');
    line(colors.bold('Result'));
    line(typeof result === 'string' ? harmless(result) : JSON.stringify(result, null, 2));
  }
}

function stateOf(agent: AgentState, colors: Colors): string {
  if (agent.exit !== undefined) {
    const restarts = agent.exit.restarts > 0 ? colors.dim(`, restarted ${agent.exit.restarts} times`) : '';
    return describeExit(agent.exit, colors) + restarts;
  }
  const { status } = agent;
  if (status.type !== 'running') return status.type;
  if (status.observed !== undefined) return colors.yellow('running, but cannot be seen for now');
  const { connectionStatus } = status;
  return connectionStatus.type === 'connected'
    ? `running, ${connectionStatus.communicationStatus.type.replaceAll('_', ' for ').replace('waiting for message', 'waiting for a message')}`
    : 'running, not connected';
}
