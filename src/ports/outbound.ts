/** Calls the server makes to addresses that somebody else named. Implementation: src/outbound/http-sender.ts. */

export interface OutboundRequest {
  /** http or https. */
  readonly url: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** ms for the whole exchange. */
  readonly timeoutMs: number;
  /** The answer's body is read up to this many bytes; a longer one is an error. */
  readonly maxAnswerBytes: number;
  readonly signal?: AbortSignal;
}

/** What came back: the status and the whole body as UTF-8. */
export interface OutboundAnswer {
  readonly status: number;
  readonly body: string;
}

/** No answer came: the message is a sentence without anything internal. */
export class OutboundError extends Error {
  constructor(
    readonly code: 'refused_address' | 'timeout' | 'unreachable' | 'too_large' | 'aborted',
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'OutboundError';
  }
}

/** Makes outgoing calls. */
export interface Sender {
  /** POSTs a JSON body. Any status is an answer; redirects are not followed. Rejects with OutboundError. */
  post(request: OutboundRequest): Promise<OutboundAnswer>;
  close(): Promise<void>;
}
