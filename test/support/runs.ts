/**
 * How often a property is tried: the same stories each time, so that nothing is found by luck. `CORAL_TEST_RUNS` tries
 * more of them, `CORAL_TEST_SEED` others; a failure prints the seed and the path to the shortest story that fails, which
 * `CORAL_TEST_SEED` and `CORAL_TEST_PATH` tell again.
 */
export function runs(usually: number): {
  readonly numRuns: number;
  readonly seed: number;
  readonly path?: string;
} {
  const { CORAL_TEST_RUNS: many, CORAL_TEST_SEED: seed, CORAL_TEST_PATH: path } = process.env;
  return {
    numRuns: Number(many ?? usually),
    seed: Number(seed ?? 1),
    ...(path !== undefined && { path }),
  };
}
