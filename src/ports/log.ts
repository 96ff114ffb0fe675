/** The server's own log, for the operator. Messages are sentences; fields are plain JSON and never secret. */
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Says nothing; for tests and embedded use. */
export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
