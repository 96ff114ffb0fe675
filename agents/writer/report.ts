/** The report: facts in, Markdown out. Nothing here looks at a clock or a disk, so that the same facts give the same text. */
import { basename } from 'node:path';
import { purposeOf } from '../scout/languages.ts';
import type { Analysis, History, Survey, WhenAnswer } from '../shared/facts.ts';
import { shownName } from '../shared/names.ts';
import { count, moment, plural, share, size } from '../shared/words.ts';

/** Rows of the longer tables. */
const LANGUAGES = 20;
const FOLDERS = 15;

export interface ReportFacts {
  readonly survey: Survey;
  readonly history: History;
  readonly analysis: Analysis;
  readonly dates: WhenAnswer['dates'];
}

export function report(facts: ReportFacts): string {
  const { survey } = facts;
  const parts = [
    `# ${text(basename(survey.root) || survey.root)}: a survey`,
    opening(facts),
    atAGlance(facts),
    ...(survey.files > 0
      ? [languages(facts), folders(facts), largest(facts), activity(facts), todos(facts)]
      : [activity(facts)]),
    notes(facts),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

/** The language with most lines: of programs, else of whatever there is. */
export function mainLanguage({ languages }: Analysis): string | undefined {
  const first = languages.find(({ name, lines }) => lines > 0 && purposeOf(name) === 'program');
  return (first ?? languages[0])?.name;
}

function opening({ survey, analysis, history }: ReportFacts): string {
  if (survey.files === 0) return `${code(survey.root)} holds no files.`;
  const main = mainLanguage(analysis);
  const written = main === undefined ? '' : `, written mostly in **${text(main)}**`;
  const last = history.last === undefined ? '' : ` The last commit is of ${moment(history.last.date)}.`;
  const open =
    analysis.todoCount === 0
      ? 'No TODO is open.'
      : `${plural(analysis.todoCount, 'TODO')} ${analysis.todoCount === 1 ? 'is' : 'are'} open.`;
  return `${code(survey.root)} holds **${plural(survey.files, 'file')}** with **${plural(survey.lines, 'line')}** of text (${size(survey.bytes)})${written}.${last} ${open}`;
}

function atAGlance({ survey, history, analysis }: ReportFacts): string {
  const rows: [string, string][] = [
    ['Files', count(survey.files)],
    ['Lines of text', count(survey.lines)],
    ['Size', `${size(survey.bytes)} (${count(survey.bytes)} bytes)`],
    ['Binary files', count(survey.binary)],
    ['Symbolic links (not followed)', count(survey.links)],
    ['Languages', count(analysis.languages.length)],
    ['Open TODOs', count(analysis.todoCount)],
  ];
  if (history.commits !== undefined) rows.push(['Commits', count(history.commits)]);
  if (history.peopleCount !== undefined) rows.push(['People', count(history.peopleCount)]);
  if (history.branch !== undefined) rows.push(['Branch', code(history.branch)]);
  return `## At a glance\n\n${table(['What', 'How much'], rows)}`;
}

function languages({ analysis, survey }: ReportFacts): string {
  const rows = analysis.languages
    .slice(0, LANGUAGES)
    .map(({ name, files, lines, bytes }) => [
      text(name),
      count(files),
      count(lines),
      share(lines, survey.lines),
      size(bytes),
    ]);
  const more = analysis.languages.length - rows.length;
  const rest = more > 0 ? `\n\nAnd ${count(more)} more.` : '';
  return `## Languages\n\n${table(['Language', 'Files', 'Lines', 'Share of lines', 'Size'], rows, 1)}${rest}`;
}

function folders({ analysis }: ReportFacts): string {
  if (analysis.folders.length < 2) return '';
  const rows = analysis.folders
    .slice(0, FOLDERS)
    .map(({ name, files, lines, bytes }) => [
      name === '.' ? '(beside the folders)' : code(`${shownName(name)}/`),
      count(files),
      count(lines),
      size(bytes),
    ]);
  const more = analysis.folders.length - rows.length;
  const rest = more > 0 ? `\n\nAnd ${count(more)} more.` : '';
  return `## Folders\n\n${table(['Folder', 'Files', 'Lines', 'Size'], rows, 1)}${rest}`;
}

function largest({ analysis, dates }: ReportFacts): string {
  const changed = new Map(dates.map((entry) => [entry.file, entry]));
  const rows = analysis.largest.map((file) => {
    const change = changed.get(file.name);
    return [
      code(shownName(file.name)),
      `${size(file.bytes)}`,
      file.lines === null ? '–' : count(file.lines),
      file.language === null ? 'binary' : text(file.language),
      change === undefined ? '–' : `${moment(change.date)}${change.how === 'file' ? ' (file time)' : ''}`,
    ];
  });
  return `## Largest files\n\n${table(['File', 'Size', 'Lines', 'Language', 'Last change'], rows, 1, 2)}`;
}

function activity({ history, survey }: ReportFacts): string {
  const lines: string[] = ['## Most recent activity', ''];
  if (history.last !== undefined) {
    const { hash, date, author, subject } = history.last;
    lines.push(`- Last commit: ${code(hash)} of ${moment(date)} by ${text(author)}: ${text(subject)}`);
    if (history.first !== undefined) {
      lines.push(
        history.shallow === true
          ? `- This is a shallow clone: only ${plural(history.commits ?? 0, 'commit')} of its history ${history.commits === 1 ? 'is' : 'are'} here`
          : `- ${plural(history.commits ?? 0, 'commit')} since ${moment(history.first)}`,
      );
    }
    lines.push(
      history.uncommitted === 0
        ? '- Nothing is uncommitted'
        : `- ${plural(history.uncommitted ?? 0, 'file')} with changes that are not committed`,
    );
    const people = history.people ?? [];
    if (people.length > 0) {
      lines.push('', table(['Who', 'Commits'], people.map(({ name, commits }) => [text(name), count(commits)]), 1)); // prettier-ignore
      const more = (history.peopleCount ?? 0) - people.length;
      if (more > 0) lines.push('', `And ${plural(more, 'person', 'people')} more.`);
    }
    return lines.join('\n');
  }
  lines.push(
    history.git
      ? 'The repository has no commit yet.'
      : 'There is no git history; these are the times of the files.',
  );
  if (survey.newest.length > 0) {
    lines.push(
      '',
      table(['File', 'Changed'], survey.newest.map(({ name, time }) => [code(shownName(name)), moment(time)])), // prettier-ignore
    );
  }
  return lines.join('\n');
}

function todos({ analysis }: ReportFacts): string {
  if (analysis.todoCount === 0) return '## Open TODOs\n\nNone.';
  const rows = analysis.todos.map(
    (todo) => `- ${code(`${shownName(todo.file)}:${todo.line}`)} ${text(todo.text)}`,
  );
  const more = analysis.todoCount - rows.length;
  const rest = more > 0 ? `\n\nAnd ${count(more)} more.` : '';
  return (
    `## Open TODOs\n\n${plural(analysis.todoCount, 'TODO')} in ${plural(analysis.todoFiles, 'file')}:\n\n` +
    `${rows.join('\n')}${rest}`
  );
}

function notes({ survey, analysis }: ReportFacts): string {
  const lines = [
    survey.listing === 'git'
      ? 'Files are those that git tracks and those that it would (ignored ones are left out), but for this report.'
      : 'Files are all below the folder, without version control, dependencies, caches and this report.',
    'A line ends with a line feed, or with the file. A file with a zero byte among its first 8,000 is binary.',
    'A TODO is `TODO` or `FIXME` (in capitals) at the start of a comment or of a line.',
  ];
  if (survey.leftOutCount > 0) lines.push(`Left out: ${names(survey.leftOut, survey.leftOutCount)}.`);
  if (survey.unreadableCount > 0) {
    lines.push(`Could not be read: ${names(survey.unreadable, survey.unreadableCount)}.`);
  }
  if (survey.uncounted > 0) lines.push(`${plural(survey.uncounted, 'file')} too large to count lines in.`);
  if (analysis.unsearched > 0) {
    lines.push(`${plural(analysis.unsearched, 'file')} too large to be searched for TODOs.`);
  }
  if (survey.cutAt !== undefined) {
    lines.push(`There are more files than a survey takes: these are the first ${count(survey.cutAt)}.`);
  }
  return `## How this was counted\n\n${lines.map((line) => `- ${line}`).join('\n')}`;
}

function names(some: readonly string[], all: number): string {
  const more = all - some.length;
  return `${some.map((name) => code(shownName(name))).join(', ')}${more > 0 ? ` and ${count(more)} more` : ''}`;
}

/** A table; `numbers` columns from `numbersFrom` on are set to the right. */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  numbersFrom = 99,
  numbers = 99,
): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, index) =>
    index >= numbersFrom && index < numbersFrom + numbers ? '---:' : '---',
  );
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** Text that means nothing to Markdown, on one line. */
function text(value: string): string {
  return value.replace(/\s+/g, ' ').replace(/[\\`*_[\]<>|#~]/g, '\\$&');
}

/** Text as code: fenced by more backticks than it has in a row; a bar would end a table's cell. */
function code(value: string): string {
  const longest = Math.max(0, ...(value.match(/`+/g) ?? []).map((ticks) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  const pad = value.startsWith('`') || value.endsWith('`') ? ' ' : '';
  return `${fence}${pad}${value.replaceAll('|', '\\|')}${pad}${fence}`;
}
