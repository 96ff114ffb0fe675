/** Real processes whose wall clock a test moves (libfaketime); their monotonic clock goes on as it is. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';

const LIBRARIES = '/usr/lib';
const LIBRARY = existsSync(LIBRARIES)
  ? readdirSync(LIBRARIES)
      .map((name) => join(LIBRARIES, name, 'faketime', 'libfaketime.so.1'))
      .find((path) => existsSync(path))
  : undefined;
if (LIBRARY === undefined)
  console.error('\n!!! Tests with a faked clock are LEFT OUT: there is no libfaketime (Debian: faketime)\n'); // eslint-disable-line no-console

/** A wall clock that is moved for all processes started with its environment. */
export class FakeTime {
  private readonly file: string;

  /** `folder`: for the file that the processes read the shift from. */
  constructor(folder: string) {
    this.file = join(folder, 'wall-clock');
    this.shift(0);
  }

  get environment(): Record<string, string> {
    return {
      LD_PRELOAD: LIBRARY ?? '',
      FAKETIME_TIMESTAMP_FILE: this.file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** Their wall clock shows the true time plus so many seconds. */
  shift(seconds: number): void {
    writeFileSync(this.file, `${seconds < 0 ? '' : '+'}${seconds}`);
  }
}

/** A suite that moves clocks: left out, loudly, where that cannot be done. */
export function describeFakeTime(name: string, suite: () => void): void {
  if (LIBRARY !== undefined) describe(name, suite);
  else if (process.env['CORAL_REQUIRE_FAKETIME'] === '1')
    it(`${name} (needs libfaketime)`, () => {
      throw new Error('CORAL_REQUIRE_FAKETIME=1, but there is no libfaketime.');
    });
  else describe.skip(`${name} (left out: there is no libfaketime)`, suite);
}
