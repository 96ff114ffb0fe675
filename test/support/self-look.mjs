/**
 * Put into a process with `--expose-gc --import`: at SIGUSR2 it collects its garbage and writes what it holds, as
 * JSON, to the file that CORAL_TEST_SELF_LOOK names.
 */
import { readdirSync, renameSync, writeFileSync } from 'node:fs';
import { getHeapSpaceStatistics } from 'node:v8';

const file = process.env['CORAL_TEST_SELF_LOOK'];

process.on('SIGUSR2', () => {
  globalThis.gc();
  globalThis.gc();
  const look = {
    // Without code, which grows as long as the compiler finds something to make faster.
    heap: getHeapSpaceStatistics()
      .filter(({ space_name: name }) => !name.includes('code'))
      .reduce((sum, { space_used_size: used }) => sum + used, 0),
    timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
    descriptors: readdirSync('/proc/self/fd').length,
  };
  writeFileSync(`${file}.new`, JSON.stringify(look));
  renameSync(`${file}.new`, file);
});
