/** `coral dev`: launches a team but leaves one agent to be started by hand, under a debugger for instance. */
import type { Command } from 'commander';
import type { SessionRequest } from '../domain/wire/request.ts';
import type { ManualStart } from '../runtimes/manual.ts';
import { MANUAL_LINE } from '../runtimes/manual.ts';
import { didYouMean } from '../domain/nearest.ts';
import { Conversation } from './conversation.ts';
import { BadInput } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';
import { launch, type RunView } from './run.ts';
import {
  configOf,
  withConfig,
  withExamples,
  withJson,
  type ConfigOptions,
  type JsonOption,
} from './settings.ts';
import { collectPair, compileTeam } from './team.ts';
import type { Terminal } from './terminal.ts';

interface DevOptions extends ConfigOptions, JsonOption {
  readonly input?: Readonly<Record<string, string>>;
}

/** Adds the command. */
export function devCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('dev')
    .description(
      'Launch a team but leave one agent to you: prints the environment to start it with, under your own debugger.',
    )
    .argument('<team>', 'the name of a team, or a team file')
    .argument('<agent>', 'the agent of the team that you start')
    .option(
      '-i, --input <name=value>',
      'an input of the team; may be given several times',
      collectPair('--input'),
    )
    .action(async (team: string, agent: string, options: DevOptions) =>
      done(await dev(invocation, team, agent, options)),
    );
  withJson(withConfig(command), 'the environment and every event as lines of JSON');
  withExamples(command, [
    ['coral dev repo-report analyst', 'prints export lines; paste them where you start the agent'],
    ['coral dev repo-report analyst > env.sh', 'into a file: `. ./env.sh` there'],
  ]);
  command.addHelpText(
    'after',
    '\nThe conversation goes to standard error. No ttl applies. Ctrl-C ends the session. The environment holds the secret of the agent.',
  );
}

async function dev(
  invocation: Invocation,
  team: string,
  agent: string,
  options: DevOptions,
): Promise<number> {
  const { terminal } = invocation;
  const config = configOf(invocation, options);
  const { request } = await compileTeam(
    config,
    terminal,
    team,
    options.input ? { inputs: options.input } : {},
  );
  const { agents } = request.agentGraphRequest;
  if (!agents.some(({ name }) => name === agent)) {
    const names = agents.map(({ name }) => name);
    throw new BadInput(
      `The team has no agent ${agent}.${didYouMean(agent, names) || ` It has: ${names.join(', ')}.`}`,
    );
  }
  const byHand: SessionRequest = {
    ...request,
    execution: withoutTtl(request.execution),
    agentGraphRequest: {
      ...request.agentGraphRequest,
      agents: agents.map((one) => (one.name === agent ? { ...one, manual: true } : one)),
    },
  };
  return await launch(config, terminal, byHand, viewOf(terminal, agent, options.json === true));
}

/** Nobody debugs against a clock. */
function withoutTtl(execution: SessionRequest['execution']): SessionRequest['execution'] {
  if (execution?.mode !== 'immediate' || execution.runtimeSettings == null) return execution;
  return { ...execution, runtimeSettings: { ...execution.runtimeSettings, ttl: null } };
}

function viewOf(terminal: Terminal, agent: string, json: boolean): RunView {
  const { line, note, noteColors } = terminal;
  const conversation = new Conversation({ colors: noteColors, verbose: true });
  let told = false;
  return {
    begin(key, agents) {
      conversation.expect(agents);
      note(noteColors.dim(`session ${key.namespace}/${key.sessionId}`));
    },
    event(event) {
      if (json) line(JSON.stringify(event));
      else if (event.type !== 'session_opened') conversation.lines(event).forEach(note);
    },
    lines: { agent, sensitive: true },
    line({ text }) {
      if (told || !text.startsWith(MANUAL_LINE)) return;
      told = true;
      tell(JSON.parse(text.slice(MANUAL_LINE.length)) as ManualStart, terminal, agent, json);
    },
    end(outcome) {
      note(outcome.sentence());
    },
    note: (text) => note(noteColors.yellow(text)),
  };
}

function tell(start: ManualStart, { line, note, noteColors }: Terminal, agent: string, json: boolean): void {
  if (json) {
    line(JSON.stringify({ type: 'start_by_hand', name: agent, ...start }));
    return;
  }
  for (const [name, value] of Object.entries(start.environment)) line(`export ${name}=${quoted(value)}`);
  const command = start.command === undefined ? 'it' : start.command.map(quotedIfNeeded).join(' ');
  note(noteColors.bold(`Start ${agent} with this environment, in ${start.folder}: ${command}`));
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function quotedIfNeeded(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : quoted(text);
}
