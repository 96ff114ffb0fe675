/** What a command's exit code says, and the errors that carry one. */
export const EXIT = {
  ok: 0,
  failed: 1,
  badInput: 2,
  /** The session's ttl ended it. */
  timedOut: 124,
  interrupted: 130,
  terminated: 143,
} as const;

/** Ends the command with this sentence and exit code. */
export class CommandError extends Error {
  constructor(
    message: string,
    readonly exitCode: number = EXIT.failed,
  ) {
    super(message);
    this.name = 'CommandError';
  }
}

/** What was asked cannot be meant: exit code 2. `message` may have several lines, one per fault. */
export class BadInput extends CommandError {
  constructor(message: string) {
    super(message, EXIT.badInput);
    this.name = 'BadInput';
  }
}
