/** `coral export`: a session's whole story as JSON Lines. */
import { createWriteStream } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { withSession } from './find-session.ts';
import type { Invocation } from './invocation.ts';
import { withConfig, withExamples, type ConfigOptions } from './settings.ts';

interface ExportOptions extends ConfigOptions {
  readonly output?: string;
}

/** Adds the command. */
export function exportCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('export')
    .description('Write every event of a session, live or archived, as JSON Lines.')
    .argument('[session]', 'its id, part of it, or NAMESPACE/ID (default: the newest session)')
    .option('-o, --output <file>', 'write to this file (default: standard output)')
    .action(async (session: string | undefined, options: ExportOptions) =>
      done(await exportSession(invocation, session, options)),
    );
  withConfig(command);
  withExamples(command, [
    ['coral export > story.jsonl', 'the newest session'],
    ['coral export 3f2a -o story.jsonl', 'another one, into a file'],
  ]);
}

function exportSession(
  invocation: Invocation,
  word: string | undefined,
  options: ExportOptions,
): Promise<number> {
  return withSession(invocation, options, word, async (client, key) => {
    const story = Readable.from(linesOf(client.archive.export(key)));
    if (options.output === undefined) await pipeline(story, process.stdout, { end: false });
    else await pipeline(story, createWriteStream(resolve(invocation.terminal.cwd, options.output)));
  });
}

async function* linesOf(events: AsyncIterable<unknown>): AsyncGenerator<string, void> {
  for await (const event of events) yield `${JSON.stringify(event)}\n`;
}
