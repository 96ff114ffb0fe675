/**
 * One agent's line to its server: the official MCP client, made anew whenever the line broke. What is repeated and
 * what is not: a call that never reached the server is repeated, always; a call that may have reached it is repeated
 * only when the caller says that this does no harm.
 */
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { AgentClosed, ConnectionLost, ToolError } from './errors.ts';

/** How long one request may take beyond what was asked for, ms: above the 55 s that a wait or a first connection may be held. */
const REQUEST_TIMEOUT = 70_000;
const FIRST_DELAY = 100;
const LONGEST_DELAY = 5_000;
/** How long saying goodbye to the server may take, ms. */
const GOODBYE = 1_000;

/** Where to dial, and what to do about trouble. */
export interface ConnectionOptions {
  readonly url: string;
  /** Shown to the server as the client's name. */
  readonly name: string;
  /** How long to go on trying to reach a server that does not answer, ms. */
  readonly reconnectFor: number;
  /** Called once, when the server says that the secret is not valid (any more). */
  readonly onRevoked: () => void;
}

/** How one call may be treated. */
export interface CallOptions {
  /** The server may take this long before it answers, ms; default 0. */
  readonly heldFor?: number;
  /** A second time does no harm. */
  readonly repeatable?: boolean;
  /** Arguments for repeats after a break in which an answer may have been lost; default: the same again. */
  readonly afterBreak?: Record<string, unknown>;
  readonly signal?: AbortSignal;
}

/** What a tool answered. */
export interface ToolAnswer {
  /** Of all text parts, joined by line breaks. */
  readonly text: string;
  readonly structured?: Record<string, unknown>;
  /** An earlier try broke off and its answer may have been lost. */
  readonly repeated?: true;
}

/** What the transports tell of a failed HTTP request. */
type Failure = 'revoked' | 'unknown_session' | 'not_reached' | 'uncertain' | 'answered';

/** The line: opened once, dialled again as often as it breaks, closed for good. */
export class Connection {
  readonly #options: ConnectionOptions;
  /** Aborted when this connection is over, for good. */
  readonly #over = new AbortController();
  #client: Promise<Line> | undefined;
  #end: AgentClosed | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Resolves once the server has let us in; rejects with AgentClosed or ConnectionLost. */
  async open(signal?: AbortSignal): Promise<void> {
    await this.#repeatedly(true, signal, async () => undefined);
  }

  /** Rejects with ToolError when the tool says no. */
  async callTool(
    name: string,
    args: Record<string, unknown>,
    options: CallOptions = {},
  ): Promise<ToolAnswer> {
    const tried = { brokenOff: false };
    const result = await this.#repeatedly(options.repeatable === true, options.signal, (line, broken) => {
      if (broken) tried.brokenOff = true;
      return line.client.callTool(
        { name, arguments: (broken ? options.afterBreak : undefined) ?? args },
        {
          timeout: (options.heldFor ?? 0) + REQUEST_TIMEOUT,
          ...(options.signal && { signal: options.signal }),
        },
      );
    });
    const text = result.content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
    if (result.isError === true) throw new ToolError(name, text === '' ? `${name} failed.` : text);
    const structured = result.structuredContent as Record<string, unknown> | undefined;
    return {
      text,
      ...(structured !== undefined && { structured }),
      ...(tried.brokenOff && { repeated: true as const }),
    };
  }

  async readResource(uri: string): Promise<string> {
    const result = await this.#repeatedly(true, undefined, (line) =>
      line.client.readResource({ uri }, { timeout: REQUEST_TIMEOUT }),
    );
    return result.contents.flatMap((part) => ('text' in part ? [part.text] : [])).join('\n');
  }

  /** Ends everything that is under way with `why` and tells the server goodbye; takes a second at most. */
  async close(why: AgentClosed): Promise<void> {
    this.#closing ??= this.#leave(why);
    await this.#closing;
  }

  async #leave(why: AgentClosed): Promise<void> {
    this.#end = why;
    this.#over.abort(why);
    const line = await this.#client?.catch(() => undefined);
    await line?.end(why.reason !== 'revoked');
  }

  /**
   * Runs `request` on a line that stands, again and again with growing pauses while it is right to. Rejects with
   * ConnectionLost when the server was out of reach for `reconnectFor` ms.
   */
  async #repeatedly<T>(
    repeatable: boolean,
    signal: AbortSignal | undefined,
    request: (line: Line, broken: boolean) => Promise<T>,
  ): Promise<T> {
    let delay = FIRST_DELAY;
    let unreachableSince: number | undefined;
    let renewed = false;
    let broken = false;
    for (;;) {
      this.#throwIfOver(signal);
      let line: Line | undefined;
      try {
        line = await this.#line(signal);
        return await request(line, broken);
      } catch (error) {
        this.#throwIfOver(signal);
        const failure = line?.revoked === true ? 'revoked' : judge(error);
        if (failure === 'revoked') throw this.#revoked();
        if (failure === 'answered') throw error;
        if (failure === 'unknown_session') {
          if (line === undefined) throw notThere(this.#options.url, error);
          this.#drop(line);
          if (!renewed) {
            renewed = true;
            continue;
          }
        }
        if (failure === 'uncertain' && line !== undefined) broken = true;
        if (broken && !repeatable) {
          throw new ConnectionLost(
            `The connection to the server broke before it answered; nobody can say whether it was done: ${reason(error)}`,
            true,
            { cause: error },
          );
        }
        const now = performance.now();
        unreachableSince ??= now;
        if (now - unreachableSince >= this.#options.reconnectFor) {
          throw new ConnectionLost(
            `The server at ${hostOf(this.#options.url)} could not be reached for ${Math.round((now - unreachableSince) / 1_000)} s: ${reason(error)}`,
            false,
            { cause: error },
          );
        }
        await this.#pause(delay, signal);
        delay = Math.min(delay * 2, LONGEST_DELAY);
      }
    }
  }

  /** Waits, but not beyond the end of this connection or of the call. */
  async #pause(ms: number, signal?: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#over.signal.removeEventListener('abort', done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#over.signal.addEventListener('abort', done);
      signal?.addEventListener('abort', done);
      if (this.#over.signal.aborted || signal?.aborted === true) done();
    });
  }

  #throwIfOver(signal: AbortSignal | undefined): void {
    if (this.#end !== undefined) throw this.#end;
    signal?.throwIfAborted();
  }

  #revoked(): AgentClosed {
    const end = new AgentClosed(
      'revoked',
      'The server does not know this agent (any more): its session is over.',
    );
    if (this.#end === undefined) {
      this.#options.onRevoked();
      void this.close(end);
    }
    return this.#end ?? end;
  }

  #drop(line: Line): void {
    if (this.#client === line.made) this.#client = undefined;
    void line.end(false);
  }

  /** The line that stands, or a new one; several callers share one attempt. */
  async #line(signal: AbortSignal | undefined): Promise<Line> {
    if (this.#client === undefined) {
      const made: Promise<Line> = dial(this.#options, this.#over.signal, (line) => {
        if (line.revoked) this.#revoked();
        else this.#drop(line);
      }).then((line) => {
        line.made = made;
        return line;
      });
      this.#client = made;
      made.catch(() => {
        if (this.#client === made) this.#client = undefined;
      });
    }
    return await abortable(this.#client, signal);
  }
}

/** One MCP client with its transport. */
interface Line {
  readonly client: Client;
  /** The server answered 401. */
  revoked: boolean;
  /** The promise it came from: what tells it from its successors. */
  made?: Promise<Line>;
  end(politely: boolean): Promise<void>;
}

/** Connects once. `broken` is called when the server is seen to be gone or to have revoked us while nobody asks. */
async function dial(
  options: ConnectionOptions,
  over: AbortSignal,
  broken: (line: Line) => void,
): Promise<Line> {
  const client = new Client({ name: options.name, version: '1.0.0' });
  const url = new URL(options.url);
  const legacy = /\/sse\/?$/.test(url.pathname);
  const watched = async (input: string | URL, init?: RequestInit): Promise<Response> => {
    const response = await fetch(input, init);
    if (response.status === 401) {
      line.revoked = true;
      if (line.made !== undefined) broken(line);
    }
    return response;
  };
  const transport = legacy
    ? new SSEClientTransport(url, { fetch: watched })
    : new StreamableHTTPClientTransport(url, { fetch: watched });
  let ending: Promise<void> | undefined;
  const end = async (politely: boolean): Promise<void> => {
    // Not before the server has named the MCP session there is anybody to say goodbye to.
    if (politely && transport instanceof StreamableHTTPClientTransport && transport.sessionId !== undefined) {
      await Promise.race([transport.terminateSession().catch(() => undefined), atMost(GOODBYE)]);
    }
    await client.close().catch(() => undefined);
  };
  const line: Line = { client, revoked: false, end: (politely) => (ending ??= end(politely)) };
  // On the old pair of streams a lost stream means lost answers; the event source would dial again for other ones.
  client.onerror = () => {
    if (legacy && line.made !== undefined && ending === undefined) broken(line);
  };
  const hangUp = (): void => void line.end(true);
  over.addEventListener('abort', hangUp, { once: true });
  try {
    await client.connect(transport, { timeout: REQUEST_TIMEOUT });
    return line;
  } catch (error) {
    await line.end(false);
    throw line.revoked ? new AgentClosed('revoked', 'The server does not know this agent.') : error;
  } finally {
    over.removeEventListener('abort', hangUp);
  }
}

/** What a failure of the client means for the call that met it. */
function judge(error: unknown): Failure {
  if (error instanceof AgentClosed) return 'revoked';
  if (!(error instanceof Error)) return 'uncertain';
  if (error.name === 'ProtocolError') return 'answered';
  const status = statusOf(error);
  if (status === 401) return 'revoked';
  if (status === 404) return 'unknown_session';
  if (status === 429 || status === 503) return 'not_reached';
  if (status !== undefined && status < 500) return 'answered';
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const code = (cause as { code?: unknown }).code;
    if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EHOSTUNREACH') {
      return 'not_reached';
    }
  }
  return 'uncertain';
}

function statusOf(error: Error): number | undefined {
  const { status, code } = error as { status?: unknown; code?: unknown };
  if (typeof status === 'number') return status;
  return typeof code === 'number' && code >= 400 && code < 600 ? code : undefined;
}

/** The sentence of an error with that of its cause, without any URL: ours holds the secret. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  return `${error.message}${cause}`.replace(/https?:\/\/\S+/g, 'the server');
}

function notThere(url: string, cause: unknown): ConnectionLost {
  return new ConnectionLost(
    `The server at ${hostOf(url)} has no MCP endpoint where CORAL_CONNECTION_URL says: ${reason(cause)}`,
    false,
    { cause },
  );
}

function hostOf(url: string): string {
  return new URL(url).host;
}

function atMost(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  return await new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
