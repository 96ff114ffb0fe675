/** The journal's own benchmark (`journal.ts`) as rows of the table. */
import type { Bench } from './harness.ts';
import { benchJournal, CASES } from './journal.ts';

/** The benchmark. */
export const journal: Bench = {
  name: 'journal',
  about:
    'Appends of 400-byte events a second, one at a time and many in one turn of the event loop, against bare better-sqlite3 writing the same columns. It does not measure reading.',
  guarded: true,
  async run(report, effort) {
    const quick = CASES.filter(({ name }) => name === 'SQLite normal, 100 appends in a turn');
    await benchJournal(
      (row) => {
        const grouped = row.name.includes('in a turn');
        report({
          name: row.name,
          value: row.value,
          unit: row.unit,
          low: row.low,
          high: row.high,
          baseline: row.baseline,
          ratio: row.ratio,
          ...(grouped && { bar: { of: 'ratio' as const, atLeast: 0.8 } }),
          note: row.note,
        });
      },
      effort?.quick === true ? quick : CASES,
    );
  },
};
