/**
 * `writer`, a member of the report team: gathers what the others found, asks the historian what is still missing,
 * writes the report to OUTPUT (a path) and closes the session with the outcome.
 */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from 'coral/agent';
import type { Agent } from 'coral/agent';
import { Colleague } from '../shared/colleague.ts';
import type { WhenAnswer } from '../shared/facts.ts';
import { plural } from '../shared/words.ts';
import { mainLanguage, report } from './report.ts';

/** How long the others may take to leave once they have said goodbye, ms. */
const LEAVING = 3_000;

await run(async (agent) => {
  const team = new Colleague(agent);
  try {
    await write(agent, team);
  } catch (error) {
    await team.giveUp(error);
    throw error;
  }
});

async function write(agent: Agent, team: Colleague): Promise<void> {
  const output = resolve(agent.options.string('OUTPUT'));
  const survey = await team.hear('survey', 'scout');
  const history = await team.hear('history', 'historian');
  const analysis = await team.hear('analysis', 'analyst');

  let dates: WhenAnswer['dates'] = [];
  const files = analysis.largest.map(({ name }) => name);
  if (files.length > 0) {
    await team.say(
      `Thank you both. Historian, when did the ${plural(files.length, 'largest file', 'largest files')} last change?`,
      { kind: 'when', files },
      ['historian'],
    );
    dates = (await team.hear('dates', 'historian')).dates;
  }

  await save(output, report({ survey, history, analysis, dates }));
  await team.say(`The report is written: ${output}. Thank you, everybody; that is all for today.`, {
    kind: 'done',
    report: output,
  });
  for (const name of team.others) await team.hear('goodbye', name);
  for (let waited = 0; waited < LEAVING && !(await team.haveLeft(team.others)); waited += 50) await sleep(50);

  await agent.closeSession('The report is written.', {
    summary: `${plural(survey.files, 'file')}, ${plural(survey.lines, 'line')}, ${plural(analysis.todoCount, 'open TODO')}`,
    report: output,
    root: survey.root,
    files: survey.files,
    lines: survey.lines,
    bytes: survey.bytes,
    binaryFiles: survey.binary,
    mainLanguage: mainLanguage(analysis) ?? null,
    languages: Object.fromEntries(analysis.languages.map(({ name, lines }) => [name, lines])),
    openTodos: analysis.todoCount,
    commits: history.commits ?? null,
    lastCommit: history.last ?? null,
  });
}

async function save(path: string, text: string): Promise<void> {
  try {
    if ((await stat(path).catch(() => undefined))?.isDirectory() === true) throw new Error('it is a folder');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  } catch (error) {
    throw new Error(`The report cannot be written to ${path}: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}
