/**
 * Put into a process with `--expose-gc --require`: at SIGUSR2 it collects its garbage and writes what it holds, as
 * JSON, to the file that CORAL_TEST_SELF_LOOK names.
 */
const { readdirSync, writeFileSync, renameSync } = require('node:fs');

const file = process.env.CORAL_TEST_SELF_LOOK;

process.on('SIGUSR2', () => {
  globalThis.gc();
  globalThis.gc();
  const resources = process.getActiveResourcesInfo();
  const look = {
    heap: process.memoryUsage().heapUsed,
    timers: resources.filter((name) => name === 'Timeout').length,
    descriptors: readdirSync('/proc/self/fd').length,
  };
  writeFileSync(`${file}.new`, JSON.stringify(look));
  renameSync(`${file}.new`, file);
});
