/** `coral run`: launches a team and follows it to its end. */
import type { Command } from 'commander';
import type { WireEvent } from '../domain/wire/event.ts';
import type { SessionRequest, SessionRequestInput } from '../domain/wire/request.ts';
import { CoralError, type LogLine, type SessionIdentifier } from '../client/index.ts';
import { Conversation } from './conversation.ts';
import { EXIT } from './exit-codes.ts';
import { Outcome } from './outcome.ts';
import type { Invocation } from './invocation.ts';
import { reach, type Server } from './reach.ts';
import {
  configOf,
  withConfig,
  withExamples,
  withJson,
  type ConfigOptions,
  type JsonOption,
} from './settings.ts';
import { onSignals } from './signals.ts';
import { collectPair, compileTeam } from './team.ts';
import type { Terminal } from './terminal.ts';
import { harmless } from './text.ts';

/** The options of `coral run`, as given. */
export interface RunOptions extends ConfigOptions, JsonOption {
  readonly input?: Readonly<Record<string, string>>;
  readonly annotation?: Readonly<Record<string, string>>;
  readonly namespace?: string;
  readonly dryRun?: boolean;
  readonly full?: boolean;
  readonly logs?: boolean;
  readonly verbose?: boolean;
  readonly quiet?: boolean;
}

/** Adds the command. */
export function runCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('run')
    .description(
      'Launch a team and follow it: on the server that holds the state folder, else on one of its own for this run.',
    )
    .argument('[team]', 'the name of a team, or a team file')
    .option(
      '-i, --input <name=value>',
      'an input of the team; may be given several times',
      collectPair('--input'),
    )
    .option('--namespace <name>', 'the namespace of the session (default: as the team says)')
    .option('--annotation <key=value>', 'marks the session; several times', collectPair('--annotation'))
    .option('--dry-run', 'print the session request instead, with secrets masked')
    .option('--full', 'messages whole, not cut to one line')
    .option('--logs', 'also what the agents print')
    .option('-v, --verbose', 'also launches, connections and waits')
    .option('-q, --quiet', 'only the result')
    .action(async (team: string | undefined, options: RunOptions) =>
      done(await run(invocation, team, options)),
    );
  withJson(withConfig(command), 'print every event as one line of JSON, and how it ended as the last');
  withExamples(command, [
    ['coral run repo-report', 'launch the team repo-report'],
    ['coral run repo-report -i path=../other', 'with an input'],
    ['coral run teams/review.yaml --dry-run', 'what would be asked of the server'],
    ['coral run ask -q -i question="Why?"', 'print the result and nothing else'],
  ]);
  command.addHelpText(
    'after',
    `
An input that the team declares with "type: path" is taken from the current folder, its default too.
Exit codes: 0 all agents completed or one closed the session, 1 one failed, 2 bad input, 124 the ttl ended it,
130 Ctrl-C (the first closes in good order, the second at once).`,
  );
}

async function run(invocation: Invocation, name: string | undefined, options: RunOptions): Promise<number> {
  const { terminal } = invocation;
  const config = configOf(invocation, options);
  const team = await compileTeam(config, terminal, name, {
    ...(options.input === undefined ? {} : { inputs: options.input }),
    ...(options.annotation === undefined ? {} : { annotations: options.annotation }),
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
  });
  if (options.dryRun === true) {
    terminal.line(JSON.stringify(team.masked, null, 2));
    return EXIT.ok;
  }
  return await launch(config, terminal, team.request, viewOf(terminal, options));
}

/** What is shown of a run while it goes on. */
export interface RunView {
  begin(key: SessionIdentifier, agents: readonly string[], server: Server): void;
  event(event: WireEvent): void;
  /** Called for output lines when `lines` is set. */
  line(line: LogLine): void;
  readonly lines?: { readonly agent?: string; readonly sensitive?: boolean };
  end(outcome: Outcome, exitCode: number): void;
  note(text: string): void;
}

/** Opens the session, follows it and resolves with the exit code of the run. */
export async function launch(
  config: Parameters<typeof reach>[0],
  terminal: Terminal,
  request: SessionRequest,
  view: RunView,
): Promise<number> {
  const interrupted = new AbortController();
  let signalled: 'SIGINT' | 'SIGTERM' | undefined;
  let server: Server | undefined;
  const release = onSignals({
    first: (signal) => {
      signalled = signal;
      view.note('Closing the session in good order; Ctrl-C again ends it at once.');
      interrupted.abort();
    },
    second: async () => server?.own?.abort(),
  });
  const interruption = (): number => (signalled === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted);
  try {
    const opened = await open(config, terminal, request);
    server = opened.server;
    const { key } = opened;
    const { client } = server;
    view.begin(
      key,
      request.agentGraphRequest.agents.map((agent) => agent.name),
      server,
    );

    const close = (): void => {
      // A session that is over already needs no closing.
      client.sessions.close(key).catch(() => undefined);
    };
    if (interrupted.signal.aborted) close();
    else interrupted.signal.addEventListener('abort', close, { once: true });

    const outcome = await watch(server, key, view);
    const exitCode = signalled === undefined ? outcome.exitCode() : interruption();
    view.end(outcome, exitCode);
    if (signalled === undefined) await stayForOthers(server, view, interrupted.signal);
    return exitCode;
  } finally {
    await server?.close();
    release();
  }
}

/** A server that is just ending takes no session; the next one will, or we become it. */
async function open(
  config: Parameters<typeof reach>[0],
  terminal: Terminal,
  request: SessionRequestInput,
): Promise<{ server: Server; key: SessionIdentifier }> {
  for (let tries = 0; ; tries++) {
    const server = await reach(config, terminal);
    try {
      return { server, key: await server.client.sessions.create(request) };
    } catch (error) {
      await server.close();
      const ending = isUnreachable(error) || (error instanceof CoralError && error.code === 'shutting_down');
      if (!ending || server.own !== undefined || tries >= 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Shows everything until all agents are gone. */
async function watch({ client }: Server, key: SessionIdentifier, view: RunView): Promise<Outcome> {
  const outcome = new Outcome();
  const ended = new AbortController();
  const { signal } = ended;
  let last = 0;
  const lines = async (): Promise<void> => {
    if (view.lines === undefined) return;
    for await (const line of client.logs(key, { ...view.lines, signal })) {
      last = line.number;
      view.line(line);
    }
  };
  const showing = lines();
  // Trouble with the lines shows in the events, too.
  showing.catch(() => undefined);
  try {
    for await (const event of client.events(key, { all: true, signal })) {
      outcome.take(event);
      view.event(event);
      if (event.type === 'session_ended' || event.type === 'session_closed') break;
    }
  } catch (error) {
    // The server went while the session was ending: how it ends is known, and that is what was waited for.
    if (!isUnreachable(error) || outcome.cause === undefined) throw error;
  } finally {
    ended.abort();
    await showing.catch(() => undefined);
  }
  if (view.lines === undefined) return outcome;
  try {
    for await (const line of client.archive.logs(key, { ...view.lines, after: last })) view.line(line);
  } catch (error) {
    // A server that was shut down took the last lines with it; they are in its files.
    if (!isUnreachable(error)) throw error;
  }
  return outcome;
}

/** No answer, or the last answers of a server that is just closing. */
function isUnreachable(error: unknown): boolean {
  return error instanceof CoralError && (error.status === 0 || error.status === 503);
}

/** Others may have begun sessions on our own server: it does not end under their feet. */
async function stayForOthers(server: Server, view: RunView, interrupted: AbortSignal): Promise<void> {
  const { own } = server;
  if (own === undefined) return;
  const busy = (): number =>
    own.coral.sessions().filter(({ phase }) => phase.type === 'running' || phase.type === 'stopping').length;
  if (busy() === 0) return;
  view.note(
    'Other sessions run on the server of this run: it stays until they have ended (Ctrl-C stops them).',
  );
  while (busy() > 0 && !interrupted.aborted) await new Promise((resolve) => setTimeout(resolve, 100));
}

function viewOf(terminal: Terminal, options: RunOptions): RunView {
  if (options.json === true) return jsonView(terminal, options);
  const { line, note, colors, noteColors, width } = terminal;
  const conversation = new Conversation({
    colors,
    width,
    full: options.full === true,
    verbose: options.verbose === true,
  });
  const quiet = options.quiet === true;
  const tell = (text: string): void => {
    if (!quiet) line(text);
  };
  return {
    begin(key, agents) {
      conversation.expect(agents);
      tell(colors.dim(`session ${key.namespace}/${key.sessionId}`));
    },
    event(event) {
      if (event.type !== 'session_opened') conversation.lines(event).forEach(tell);
    },
    ...(options.logs === true && !quiet ? { lines: {} } : {}),
    line: (output) => tell(conversation.output(output)),
    end(outcome, exitCode) {
      const failed = exitCode !== EXIT.ok;
      const { colors: paint } = quiet ? { colors: noteColors } : { colors };
      const sentence = paint.bold((failed ? paint.red : paint.green)(outcome.sentence()));
      if (!quiet) line(sentence);
      else if (failed) note(sentence);
      if (!outcome.hasResult) return;
      const text =
        typeof outcome.result === 'string' ? outcome.result : JSON.stringify(outcome.result, null, 2);
      tell('');
      // On a terminal nothing an agent says is obeyed; a pipe gets it as it is.
      line(width === undefined ? text.trimEnd() : harmless(text.trimEnd()));
    },
    note: (text) => note(noteColors.yellow(text)),
  };
}

function jsonView({ line, note }: Terminal, options: RunOptions): RunView {
  let session: SessionIdentifier | undefined;
  return {
    begin(key) {
      session = key;
    },
    event: (event) => line(JSON.stringify(event)),
    ...(options.logs === true ? { lines: {} } : {}),
    line: ({ agent, io, text, timestamp }) =>
      line(JSON.stringify({ type: 'output', name: agent, io, text, timestamp })),
    end(outcome, exitCode) {
      line(JSON.stringify({ type: 'run_ended', ...session, exitCode, ...outcome.facts() }));
    },
    note,
  };
}
