/** docs/performance.md is what the benchmarks of today write. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BENCHES } from '../../bench/benches.ts';
import { guard, halved, slow } from '../../bench/guard.ts';
import type { Bench, Row } from '../../bench/harness.ts';
import { BEGIN, END, HEAD, section, sectionsOf, written } from '../../bench/report.ts';

const DOCUMENT = readFileSync('docs/performance.md', 'utf8');
const ORIGIN = {
  command: 'npm run bench',
  commit: 'abc',
  date: '2026-01-01T00:00:00Z',
  machine: 'a machine',
};
const row = (given: Partial<Row> = {}): Row => ({ name: 'calls', value: 10, unit: 'a second', ...given });
const columns = (line: string): string[] => line.split(/(?<!\\)\|/).map((text) => text.trim());

describe('docs/performance.md', () => {
  const generated = DOCUMENT.slice(DOCUMENT.indexOf(BEGIN), DOCUMENT.indexOf(END));

  it('has a section for each benchmark there is, written by it', () => {
    const sections = sectionsOf(generated);
    const help = 'npm run bench -- NAME --write docs/performance.md';
    expect([...sections.keys()], help).toEqual(BENCHES.map(({ name }) => name));
    for (const { name, about } of BENCHES) {
      const text = sections.get(name) ?? '';
      expect(text.replaceAll('\\', ''), `${name} says something else now: ${help}`).toContain(about);
      if (text.includes('Not measured yet')) continue;
      expect(text).toMatch(/^`npm run bench[^`]*` at [0-9a-f]{7,}.*, \d{4}-\d\d-\d\d, /m);
      const table = text.split('\n').filter((line) => line.startsWith('|'));
      expect(columns(table[0] ?? '').slice(1, -1), `${name} has other columns now: ${help}`).toEqual([
        ...HEAD,
      ]);
      expect(table.length, `${name} has no rows`).toBeGreaterThan(2);
    }
  });

  it('gets a new section in the place of the old one, and keeps the others and the text around them', async () => {
    const benches = ['a', 'b'].map((name) => ({ name, about: `What ${name} is.` }));
    const first = [
      { name: 'b', about: 'What b is.', rows: [row({ name: 'old' })] },
      { name: 'gone', about: 'What is no more.', rows: [row()] },
    ];
    const one = await written(`Before.\n\n${BEGIN}\n${END}\n\nAfter.\n`, benches, first, ORIGIN);
    const second = [
      { name: 'a', about: 'What a is.', rows: [row()] },
      {
        name: 'b',
        about: 'What b is.',
        rows: [row({ name: 'new', ratio: 0.5, bar: { of: 'ratio', atLeast: 0.6 } })],
      },
    ];
    const two = await written(one, benches, second, ORIGIN);
    expect(one).toMatch(/### a\n\nWhat a is\.\n\nNot measured yet: .+### b[^]*old/s);
    expect(two).not.toMatch(/old|gone|Not measured/);
    expect(two).toMatch(/^Before\.[^]*### a[^]*### b[^]*NOT MET[^]*After\.\n$/);
    expect(await written(two, benches, second, ORIGIN)).toBe(two);
  });

  it('says of each row whether its bar is met', () => {
    const of = (given: Partial<Row>): string =>
      section({ name: 'x', about: 'y', rows: [row(given)] }, ORIGIN);
    expect(of({ ratio: 0.7, bar: { of: 'ratio', atLeast: 0.6 } })).toContain('| 0.70 | ratio ≥ 0.6 | met |');
    expect(of({ p99: 21, bar: { of: 'p99', atMost: 20 } })).toContain('| p99 ≤ 20 | NOT MET |');
    expect(of({})).toContain('|  |  |  |');
  });
});

describe('the guard', () => {
  const bench = (name: string, ...values: readonly number[]): Bench & { runs: number } => {
    const it = {
      name,
      about: '',
      guarded: true as const,
      runs: 0,
      run: async (report: (row: Row) => void) => {
        report(row({ name, ratio: values[it.runs] ?? NaN, bar: { of: 'ratio', atLeast: 0.6 } }));
        it.runs += 1;
      },
    };
    return it;
  };

  it('holds ratios to half their bar, and nothing else', () => {
    expect(halved({ of: 'ratio', atLeast: 0.6 })).toEqual({ of: 'ratio', atLeast: 0.3 });
    expect(halved({ of: 'ratio', atMost: 4 })).toEqual({ of: 'ratio', atMost: 8 });
    expect(halved({ of: 'ratio', atMost: 4, unsteady: true })).toBeUndefined();
    expect(halved({ of: 'value', atMost: 500 })).toBeUndefined();
    expect(slow([row({ ratio: 0.31, bar: { of: 'ratio', atLeast: 0.6 } })])).toEqual([]);
    expect(slow([row({ ratio: 9, bar: { of: 'ratio', atMost: 4 } })])).toHaveLength(1);
  });

  it('measures again what is slow, and fails what is slow twice', async () => {
    const [good, shaken, bad] = [bench('good', 0.5), bench('shaken', 0.1, 0.5), bench('bad', 0.1, 0.2)];
    const found = await guard([good, shaken, bad], () => undefined);
    expect(found.map(({ name }) => name)).toEqual(['bad']);
    expect([good.runs, shaken.runs, bad.runs]).toEqual([1, 2, 2]);
  });

  it('watches what has a ratio to watch', () => {
    expect(BENCHES.filter(({ guarded }) => guarded).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['tool-calls', 'wakes', 'sockets', 'journal']),
    );
  });
});
