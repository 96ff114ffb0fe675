/** `coral logs`: what the agents of a session print. */
import type { Command } from 'commander';
import type { LogLine } from '../client/index.ts';
import { Conversation } from './conversation.ts';
import { withSession } from './find-session.ts';
import type { Invocation } from './invocation.ts';
import { withConfig, withExamples, withJson, type ConfigOptions, type JsonOption } from './settings.ts';

interface LogsOptions extends ConfigOptions, JsonOption {
  readonly follow?: boolean;
  readonly agent?: string;
  readonly tail?: number;
}

/** Adds the command. */
export function logsCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('logs')
    .description('Print what the agents of a session printed: standard output with |, standard error with !.')
    .argument('[session]', 'its id, part of it, or NAMESPACE/ID (default: the newest session)')
    .option('-f, --follow', 'go on until the session is closed')
    .option('-a, --agent <name>', 'of this agent only')
    .option('-n, --tail <lines>', 'only the last lines', Number)
    .action(async (session: string | undefined, options: LogsOptions) =>
      done(await logs(invocation, session, options)),
    );
  withJson(withConfig(command), 'one line of JSON for each line');
  withExamples(command, [
    ['coral logs', 'of the newest session'],
    ['coral logs -f -a writer', 'of one agent, as they come'],
    ['coral logs -n 20 3f2a', 'the last lines of another session'],
  ]);
}

function logs(invocation: Invocation, word: string | undefined, options: LogsOptions): Promise<number> {
  const { terminal } = invocation;
  return withSession(invocation, options, word, async (client, key) => {
    const conversation = new Conversation({ colors: terminal.colors });
    conversation.expect((await client.archive.state(key, { messages: 0 })).agents.map((agent) => agent.name));
    const show = (line: LogLine): void => {
      const { agent, io, text, timestamp, number } = line;
      if (options.json === true) terminal.line(JSON.stringify({ number, agent, io, text, timestamp }));
      else terminal.line(conversation.output(line));
    };

    const { gone: signal } = terminal;
    const filter = options.agent === undefined ? { signal } : { agent: options.agent, signal };
    let last = 0;
    const past: LogLine[] = [];
    for await (const line of client.archive.logs(key, filter)) {
      last = line.number;
      if (options.tail === undefined) show(line);
      else {
        past.push(line);
        if (past.length > options.tail) past.shift();
      }
    }
    past.forEach(show);
    if (options.follow === true) {
      for await (const line of client.logs(key, { ...filter, after: last })) show(line);
    }
  });
}
