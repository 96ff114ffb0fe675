/** `coral events`: the facts of a session, one line each. */
import type { Command } from 'commander';
import type { WireEvent } from '../domain/wire/event.ts';
import { Conversation } from './conversation.ts';
import { withSession } from './find-session.ts';
import type { Invocation } from './invocation.ts';
import { withConfig, withExamples, withJson, type ConfigOptions, type JsonOption } from './settings.ts';

interface EventsOptions extends ConfigOptions, JsonOption {
  readonly follow?: boolean;
  readonly after: number;
}

/** Adds the command. */
export function eventsCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('events')
    .description('Print the events of a session, live or archived.')
    .argument('[session]', 'its id, part of it, or NAMESPACE/ID (default: the newest session)')
    .option('-f, --follow', 'go on until the session is closed')
    .option('--after <seq>', 'only events behind this number', Number, 0)
    .action(async (session: string | undefined, options: EventsOptions) =>
      done(await events(invocation, session, options)),
    );
  withJson(withConfig(command), 'one line of JSON for each event');
  withExamples(command, [
    ['coral events', 'of the newest session'],
    ['coral events -f 3f2a', 'of the session whose id begins or ends so, as they come'],
    ['coral events --json | jq .type', 'for machines'],
  ]);
}

function events(invocation: Invocation, word: string | undefined, options: EventsOptions): Promise<number> {
  const { terminal } = invocation;
  return withSession(invocation, options, word, async (client, key) => {
    const { colors, width } = terminal;
    const conversation = new Conversation({ colors, width, verbose: true });
    const show = (event: WireEvent): void => {
      if (options.json === true) terminal.line(JSON.stringify(event));
      else conversation.lines(event).forEach(terminal.line);
    };
    const query = { after: options.after, all: true, signal: terminal.gone };
    const all = options.follow === true ? client.events(key, query) : client.archive.events(key, query);
    for await (const event of all) show(event);
  });
}
