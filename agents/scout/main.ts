/**
 * `scout`, a member of the report team: finds the files below ROOT, looks into each, and tells the others what there
 * is. Options: ROOT (a folder), EXCEPT (a file that is not counted: the report itself).
 */
import { isAbsolute, resolve } from 'node:path';
import { run } from 'coral/agent';
import type { Agent } from 'coral/agent';
import { Colleague, GaveUp } from '../shared/colleague.ts';
import type { FileRow, Survey } from '../shared/facts.ts';
import { count, plural, size } from '../shared/words.ts';
import { listFiles, rootOf, MOST_FILES } from './files.ts';
import { measure } from './measure.ts';

/** Names told as examples where there may be very many. */
const EXAMPLES = 20;
/** Rows in one message stay below this many characters. */
const PART = 60_000;

await run(async (agent) => {
  const team = new Colleague(agent);
  try {
    await survey(agent, team);
  } catch (error) {
    // That somebody else cannot go on is no failure of one's own: the survey was good.
    if (error instanceof GaveUp) {
      console.error(error.message);
      return;
    }
    await team.giveUp(error);
    throw error;
  }
});

async function survey(agent: Agent, team: Colleague): Promise<void> {
  const path = agent.options.string('ROOT');
  const except = agent.options.string('EXCEPT', '');
  await team.gather('repository report');
  const root = await rootOf(path);
  await team.say(`Good morning. I am going to look at ${root}; give me a moment.`);

  const listing = await listFiles(root, except === '' ? undefined : absolute(except));
  const { rows, unreadable } = await measure(root, listing.names);
  const missed = [...listing.unreadable, ...unreadable];
  const parts = inParts(rows);
  const facts: Survey = {
    kind: 'survey',
    root,
    listing: listing.how,
    files: rows.length,
    bytes: rows.reduce((sum, [, bytes]) => sum + bytes, 0),
    lines: rows.reduce((sum, [, , lines]) => sum + (lines ?? 0), 0),
    binary: rows.filter(([, , , language]) => language === null).length,
    uncounted: rows.filter(([, , lines, language]) => lines === null && language !== null).length,
    links: listing.links,
    unreadable: missed.slice(0, EXAMPLES),
    unreadableCount: missed.length,
    leftOut: listing.leftOut.slice(0, EXAMPLES),
    leftOutCount: listing.leftOut.length,
    ...(listing.cut && { cutAt: MOST_FILES }),
    newest: newest(rows),
    parts: parts.length,
  };
  await team.say(sentences(facts), facts);
  for (const [index, files] of parts.entries()) {
    const part = index + 1;
    await team.say(
      `Analyst, here is the inventory${parts.length > 1 ? `, part ${part} of ${parts.length}` : ''}: ${plural(files.length, 'file')}.`,
      { kind: 'inventory', part, parts: parts.length, files },
      ['analyst'],
    );
  }
  await team.hear('done', 'writer');
  await team.say('Glad to help. Goodbye.', { kind: 'goodbye' }, ['writer']);
}

function sentences(survey: Survey): string {
  const what = survey.listing === 'git' ? 'It is in a git work tree' : 'There is no git here';
  if (survey.files === 0) return `${what}, and there is not a single file.`;
  const binary = survey.binary > 0 ? `, ${count(survey.binary)} of them binary` : '';
  return `${what}: ${plural(survey.files, 'file')}${binary}, ${size(survey.bytes)}, ${plural(survey.lines, 'line')} of text.`;
}

function newest(rows: readonly FileRow[]): Survey['newest'] {
  return [...rows]
    .sort((a, b) => b[4] - a[4] || (a[0] < b[0] ? -1 : 1))
    .slice(0, 5)
    .map(([name, , , , mtime]) => ({ name, time: new Date(mtime).toISOString() }));
}

/** At least one part, so that the analyst always hears something. */
function inParts(rows: readonly FileRow[]): FileRow[][] {
  const parts: FileRow[][] = [[]];
  let length = 0;
  for (const row of rows) {
    const more = JSON.stringify(row).length + 1;
    if (length + more > PART) {
      parts.push([]);
      length = 0;
    }
    parts.at(-1)?.push(row);
    length += more;
  }
  return parts;
}

function absolute(path: string): string {
  return isAbsolute(path) ? path : resolve(path);
}
