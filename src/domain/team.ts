/** A team file: a session request for people. Source: docs/wire.md, "Team files". */
import type { SessionRequest } from './wire/request.ts';
import type { Issue } from './refusal.ts';

/** What a team can be given. Without a default it must be given. */
export interface TeamInput {
  readonly description: string;
  readonly default?: string;
  /** The value names a file or folder: a relative one starts from `TeamRun.directory`. */
  readonly type?: 'path';
}

/** What somebody who launches a team says. */
export interface TeamRun {
  readonly inputs?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly execution?: SessionRequest['execution'];
  readonly namespace?: string;
  /** Absolute: where relative inputs of type `path` start. Without it a relative one is a fault. */
  readonly directory?: string;
}

/** A team file that was found to be right. */
export interface Team {
  readonly name: string;
  readonly description: string;
  readonly inputs: Readonly<Record<string, TeamInput>>;
  /** Agent names, in the order of the file. */
  readonly agents: readonly string[];
  /** Absolute path. */
  readonly file: string;
  /**
   * The one session request this team means, or every fault (path: `line:key` in the file's spelling).
   * `environment` answers `${env.X}`; with `masked`, values from it and of secret options are `***` (for `--dry-run`).
   */
  request(
    run: TeamRun,
    environment: Readonly<Record<string, string | undefined>>,
    masked?: boolean,
  ): SessionRequest | readonly Issue[];
}
