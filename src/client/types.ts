/** What the client takes and gives that is not a type of the wire itself. */
import type { SessionRequestInput } from '../domain/wire/request.ts';

/** Gives the request up when it aborts; it rejects with the signal's reason. */
export interface Cancellable {
  readonly signal?: AbortSignal | undefined;
}

/** Ends the iteration when it aborts: quietly. */
export interface Followed {
  readonly signal?: AbortSignal | undefined;
}

/** What a session runs by: ttl, end report, persistence mode, webhooks. */
export type SessionRuntimeSettingsInput = NonNullable<
  Extract<NonNullable<SessionRequestInput['execution']>, { mode: 'immediate' }>['runtimeSettings']
>;

/** A new namespace. */
export interface NamespaceRequestInput {
  readonly name: string;
  /** Default: true. */
  readonly deleteOnLastSessionExit?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What a run of a team is given. */
export interface TeamRunOptions extends Cancellable {
  readonly inputs?: Readonly<Record<string, string | number | boolean>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Default: at once, as the team's file says. */
  readonly execution?: SessionRequestInput['execution'];
  readonly namespace?: string;
  /** Absolute: where relative inputs of type `path` start. Without it they are refused. */
  readonly directory?: string;
}

/** Which sessions of the archive. */
export interface ArchiveQuery extends Cancellable {
  readonly namespace?: string;
  /** All pairs must match. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Opened at this time or later. */
  readonly from?: Date | string;
  /** Opened before this time. */
  readonly before?: Date | string;
  /** Sessions asked for at once, 1 to 500. Default: 50. */
  readonly pageSize?: number;
}

/** Which events of a session. */
export interface EventQuery extends Followed {
  /** Behind this seq; default 0: from the beginning. */
  readonly after?: number;
  /** With the types that are not sent unasked. Default: false. */
  readonly all?: boolean;
}

/** Which lines of a session. */
export interface LogQuery extends Followed {
  /** Behind the line of this number; default 0: all that is kept. */
  readonly after?: number;
  /** Only what this agent printed. */
  readonly agent?: string;
  /** With lines that may hold secrets. Default: false. */
  readonly sensitive?: boolean;
}

/** One line that an agent printed. */
export interface LogLine {
  /** Counts the session's lines in the order they came. */
  readonly number: number;
  readonly timestamp: string;
  readonly agent: string;
  readonly io: 'out' | 'error';
  readonly text: string;
}
