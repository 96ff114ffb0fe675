/** `coral journal`: check, copy and compact the journal of a state folder. Only a copy can be had while a server holds it. */
import { createWriteStream, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { JournalError } from '../ports/journal.ts';
import { CoralError } from '../client/index.ts';
import { BadInput, CommandError, EXIT } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';
import { findRunning, type Server } from './reach.ts';
import {
  configOf,
  withConfig,
  withExamples,
  withJson,
  type ConfigOptions,
  type JsonOption,
} from './settings.ts';

type Options = ConfigOptions & JsonOption;

/** Adds the commands. */
export function journalCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const journal = program
    .command('journal')
    .description('Check, copy or compact the journal. For all but a copy its server must be stopped first.');
  withExamples(journal, [
    ['coral journal check', 'look at every page and every record'],
    ['coral journal backup ../journal.backup.db', 'a copy that is whole, also after a crash'],
    ['coral journal compact', 'give back the space of what was deleted'],
  ]);

  const check = journal
    .command('check')
    .description(
      'Look at every page and every record, changing nothing; exit code 1 when something is wrong.',
    )
    .action(async (options: Options) => done(await checkIt(invocation, options)));
  withJson(withConfig(check), 'the findings as one line of JSON');

  const backup = journal
    .command('backup')
    .description(
      'Write a copy of the journal to a file that is not there yet, also while a server writes to it.',
    )
    .argument('<file>', 'where the copy goes')
    .action(async (file: string, options: Options) => done(await copyIt(invocation, file, options)));
  withJson(withConfig(backup), 'one line of JSON');

  const compact = journal
    .command('compact')
    .description('Rewrite the journal without the space of what was deleted.')
    .action(async (options: Options) => done(await compactIt(invocation, options)));
  withJson(withConfig(compact), 'one line of JSON');
}

async function checkIt(invocation: Invocation, options: Options): Promise<number> {
  const { terminal } = invocation;
  const { checkJournal } = await import('../journal/maintenance.ts');
  const file = fileOf(invocation, options);
  const found = onFile(() => checkJournal(file));
  if (options.json === true) terminal.line(JSON.stringify({ file, ...found }));
  else {
    for (const problem of found.problems) terminal.line(problem);
    const state = found.problems.length === 0 ? 'is whole' : `has ${found.problems.length} problems`;
    terminal.line(
      `${file} ${state}: ${found.streams} streams, ${found.events} events, ${found.bytes} bytes.`,
    );
  }
  return found.problems.length === 0 ? EXIT.ok : EXIT.failed;
}

async function copyIt(invocation: Invocation, target: string, options: Options): Promise<number> {
  const { terminal } = invocation;
  const { backupJournal } = await import('../journal/maintenance.ts');
  const file = fileOf(invocation, options);
  const to = resolve(terminal.cwd, target);
  // A server has its journal to itself; it makes the copy.
  const server = await findRunning(configOf(invocation, options));
  const { bytes } = await (server === undefined ? backupJournal(file, to) : fetchBackup(server, to)).catch(
    told,
  );
  if (options.json === true) terminal.line(JSON.stringify({ file, copy: to, bytes }));
  else terminal.line(`${to} holds a copy of ${file}: ${bytes} bytes.`);
  return EXIT.ok;
}

async function compactIt(invocation: Invocation, options: Options): Promise<number> {
  const { terminal } = invocation;
  const { compactJournal } = await import('../journal/maintenance.ts');
  const file = fileOf(invocation, options);
  const { before, after } = onFile(() => compactJournal(file));
  if (options.json === true) terminal.line(JSON.stringify({ file, before, after }));
  else terminal.line(`${file} had ${before} bytes and has ${after} now.`);
  return EXIT.ok;
}

/** The copy appears whole or not at all, and for its owner alone. */
async function fetchBackup({ client }: Server, to: string): Promise<{ readonly bytes: number }> {
  if (existsSync(to)) throw new CommandError(`${to} exists already: name a file that does not.`);
  const draft = `${to}.partial`;
  try {
    const { bytes, body } = await client.backup();
    await pipeline(body, createWriteStream(draft, { mode: 0o600, flush: true }));
    if (statSync(draft).size !== bytes)
      throw new CommandError(`The server ended before the copy was whole: try again.`);
    renameSync(draft, to);
    return { bytes };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof CommandError || error instanceof CoralError) throw error;
    throw new CommandError(
      `${to} could not be written (${code ?? 'the connection broke'}): try again, or name another file.`,
    );
  } finally {
    rmSync(draft, { force: true });
  }
}

function fileOf(invocation: Invocation, options: Options): string {
  const config = configOf(invocation, options);
  if (config.journal.kind === 'memory') {
    throw new BadInput('This configuration keeps its journal in memory (journal.kind): there is no file.');
  }
  return join(config.stateDir, 'journal.db');
}

function onFile<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    return told(error);
  }
}

/** What the journal says is a sentence for a person already. */
function told(error: unknown): never {
  if (error instanceof JournalError) throw new CommandError(error.message);
  throw error;
}
