/**
 * How results are shown: as lines on a terminal, and as the part of docs/performance.md between two markers. There
 * each benchmark has a section of its own with the command, the commit and the date, so that one can be measured anew
 * without the others.
 */
import { format } from 'prettier';
import { meets, type Bench, type Row } from './harness.ts';

/** What one benchmark found. */
export interface Result {
  readonly name: string;
  readonly about: string;
  readonly rows: readonly Row[];
}

/** Where and when it was found. */
export interface Origin {
  readonly command: string;
  readonly commit: string;
  /** ISO 8601. */
  readonly date: string;
  readonly machine: string;
}

/** The columns of a table. */
export const HEAD = ['', 'median', 'unit', 'spread', 'p99', 'baseline', 'ratio', 'bar', '', ''] as const;

export const BEGIN = '<!-- results: written by npm run bench -- --write docs/performance.md -->';
export const END = '<!-- end of results -->';

/** One row of the table, column by column. */
export function cells(row: Row): readonly string[] {
  const { bar, low, high } = row;
  const met = meets(row);
  return [
    row.name,
    short(row.value),
    row.unit,
    low === undefined || high === undefined ? '' : `${short(low)}–${short(high)}`,
    row.p99 === undefined ? '' : short(row.p99),
    row.baseline === undefined ? '' : short(row.baseline),
    row.ratio === undefined ? '' : row.ratio.toFixed(2),
    bar === undefined ? '' : `${bar.of} ${limit(bar)}`,
    met === undefined ? '' : met ? 'met' : 'NOT MET',
    row.note ?? '',
  ];
}

/** One line of a table on a terminal. */
export function line(columns: readonly string[]): string {
  const widths = [46, 9, 12, 19, 8, 9, 6, 13, 7, 0];
  const isText = [true, false, true, false, false, false, false, true, true, true];
  return columns
    .map((text, at) => (isText[at] === true ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0)))
    .join(' ')
    .trimEnd();
}

/** A benchmark's section. */
export function section({ name, about, rows }: Result, { command, commit, date, machine }: Origin): string {
  return [
    `### ${name}`,
    '',
    about,
    '',
    `\`${command}\` at ${commit}, ${date.slice(0, 10)}, ${machine}.`,
    '',
    tableLine(HEAD),
    tableLine(HEAD.map(() => '---')),
    ...rows.map((row) => tableLine(cells(row))),
    '',
  ].join('\n');
}

/** The section of a benchmark that was not run for the document yet. */
export function unmeasured({ name, about }: Pick<Bench, 'name' | 'about'>): string {
  const command = `npm run bench -- ${name} --write docs/performance.md`;
  return `### ${name}\n\n${about}\n\nNot measured yet: \`${command}\`.\n`;
}

/**
 * The document with new sections in the place of those of the same benchmarks, in the order of `benches`; what belongs
 * to no benchmark goes, and one that has no section yet gets one that says so. Throws when the document has no place for them.
 */
export async function written(
  document: string,
  benches: readonly Pick<Bench, 'name' | 'about'>[],
  results: readonly Result[],
  origin: Origin,
): Promise<string> {
  const [before, rest] = cut(document, BEGIN);
  const [old, after] = cut(rest, END);
  const sections = sectionsOf(old);
  for (const result of results) sections.set(result.name, section(result, origin));
  const all = benches.map((bench) => sections.get(bench.name) ?? unmeasured(bench));
  const text = [`${before}${BEGIN}`, '', ...all, `${END}${after}`].join('\n');
  return format(text, { parser: 'markdown', printWidth: 110 });
}

/** The sections of the generated part, by benchmark. */
export function sectionsOf(generated: string): Map<string, string> {
  const sections = generated.split(/^(?=### )/m).filter((text) => text.startsWith('### '));
  return new Map(sections.map((text) => [/^### (.+)$/m.exec(text)?.[1] ?? '', text]));
}

function cut(text: string, marker: string): [string, string] {
  const at = text.indexOf(marker);
  if (at === -1) throw new Error(`The document has no line "${marker}"; put it where the results belong.`);
  return [text.slice(0, at), text.slice(at + marker.length)];
}

function tableLine(columns: readonly string[]): string {
  return `| ${columns.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;
}

function limit({ atLeast, atMost }: NonNullable<Row['bar']>): string {
  return atLeast === undefined ? `≤ ${atMost ?? ''}` : `≥ ${atLeast}`;
}

function short(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}
