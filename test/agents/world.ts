/** A folder of a test's own to be surveyed, and git to fill it with. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** When everything in these repositories happens. */
export const DATE = '2026-03-04T05:06:07+02:00';

export class World {
  /** Holds everything of the test. */
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'coral-report-')));
  /** Is surveyed. */
  readonly place = join(this.folder, 'place');

  constructor() {
    mkdirSync(this.place);
  }

  write(name: string | Buffer, content: string | Buffer): void {
    const path = Buffer.concat([Buffer.from(`${this.place}/`), Buffer.from(name)]);
    if (typeof name === 'string') mkdirSync(dirname(path.toString()), { recursive: true });
    writeFileSync(path, content);
  }

  /** Runs git in the place, as Ada Lovelace and at `DATE`. */
  git(...args: string[]): string {
    const who = [
      '-c',
      'user.name=Ada Lovelace',
      '-c',
      'user.email=ada@example.org',
      '-c',
      'commit.gpgsign=false',
    ];
    const environment = Object.fromEntries(
      Object.entries(process.env).filter(([key]) => !key.startsWith('GIT_')),
    );
    return execFileSync('git', ['-C', this.place, ...who, ...args], {
      encoding: 'utf8',
      env: { ...environment, GIT_AUTHOR_DATE: DATE, GIT_COMMITTER_DATE: DATE },
    }).trim();
  }

  commit(subject: string): void {
    this.git('add', '.');
    this.git('commit', '-q', '-m', subject);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
