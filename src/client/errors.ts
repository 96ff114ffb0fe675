/** What can go wrong for an application. */

/** One fault of several: where (a key path of the request) and what. */
export interface CoralIssue {
  readonly path: string;
  readonly message: string;
}

/**
 * The server said no, or could not be reached. `message` is a sentence for a person. `code` is a stable word
 * (docs/wire.md, "Errors"), or one of ours: `unreachable` (then `status` is 0) and `unknown` (an answer that did not
 * come from Coral).
 */
export class CoralError extends Error {
  constructor(
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    readonly code: string,
    message: string,
    /** Every fault of a request that does not fit; empty for other errors. */
    readonly issues: readonly CoralIssue[] = [],
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'CoralError';
  }
}
