/**
 * The guard against getting slower, for CI: the quick benchmarks, ratios only, held to half of what we aim for. What
 * misses that is measured once more before it counts: a machine may be busy with something else for a while.
 */
import { meets, type Bar, type Bench, type Row } from './harness.ts';

/** Half as good as the bar asks for; undefined for bars that say nothing on a machine that is not quiet. */
export function halved(bar: Bar): Bar | undefined {
  const { atLeast, atMost } = bar;
  if (bar.of !== 'ratio' || bar.unsteady === true) return undefined;
  return {
    of: 'ratio',
    ...(atLeast !== undefined && { atLeast: atLeast / 2 }),
    ...(atMost !== undefined && { atMost: atMost * 2 }),
  };
}

/** The rows that do not keep to half their bar, with that as their bar. */
export function slow(rows: readonly Row[]): readonly Row[] {
  return rows.flatMap((row) => {
    const bar = row.bar === undefined ? undefined : halved(row.bar);
    if (bar === undefined) return [];
    const guarded = { ...row, bar };
    return meets(guarded) === false ? [guarded] : [];
  });
}

/** Runs those of the benchmarks that are quick; resolves with the rows that were slow twice. */
export async function guard(
  benches: readonly Bench[],
  report: (bench: Bench, row: Row) => void,
): Promise<readonly Row[]> {
  const found: Row[] = [];
  for (const bench of benches) {
    if (bench.guarded !== true) continue;
    const first = slow(await rowsOf(bench, report));
    if (first.length === 0) continue;
    const again = slow(await rowsOf(bench, report));
    found.push(...again.filter(({ name }) => first.some((row) => row.name === name)));
  }
  return found;
}

async function rowsOf(bench: Bench, report: (bench: Bench, row: Row) => void): Promise<readonly Row[]> {
  const rows: Row[] = [];
  await bench.run(
    (row) => {
      rows.push(row);
      report(bench, row);
    },
    { quick: true },
  );
  return rows;
}
