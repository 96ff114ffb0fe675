/**
 * Runs calls and gets their answers to the client over whichever transport it uses, settling what they deliver:
 *
 * X1 A delivery is settled with true exactly when its answer has left for a client that was there until then, and with
 *    false in every other case.
 * X2 A client that goes away aborts its calls at once; a call that was cancelled is not answered.
 */
import type { ServerResponse } from 'node:http';
import { Call, progressToken } from './call.ts';
import { tell } from './errors.ts';
import { answerJson, answerTaken } from './http.ts';
import {
  INTERNAL_ERROR,
  INVALID_PARAMS,
  SERVER_ERROR,
  RpcFailure,
  errorMessage,
  isObject,
  notificationMessage,
  resultMessage,
  type RequestId,
} from './jsonrpc.ts';
import type { Request } from './messages.ts';
import { INSTRUCTION_URI, STATE_URI, type Methods } from './methods.ts';
import { SUBSCRIPTION_KEY } from './revisions.ts';
import type { McpSession } from './sessions.ts';
import { SseStream } from './sse.ts';
import { StateWatch } from './watch.ts';

/** What the runner is made of. */
export interface RunnerOptions {
  readonly methods: Methods;
  readonly now: () => number;
  readonly warn: (message: string, error?: unknown) => void;
}

interface Answer {
  /** Undefined when the client wants none. */
  readonly json: string | undefined;
  readonly status: number;
}

/** What a client's `Accept` lets us answer with. No header, or one that lists neither, means anything. */
export function acceptance(accept: string | undefined): { onlyStream: boolean; stream: boolean } {
  const stream = accept?.includes('text/event-stream') ?? false;
  return { stream, onlyStream: stream && !/application\/(json|\*)|\*\/\*/.test(accept ?? '') };
}

/** Runs the calls of one door. */
export class Runner {
  /** Calls under way. */
  readonly calls = new Set<Call>();
  /** Streams open, of any kind. */
  readonly streams = new Set<SseStream>();

  constructor(private readonly options: RunnerOptions) {}

  /** Opens a stream that is kept from looking dead until it ends. */
  open(response: ServerResponse, headers?: Readonly<Record<string, string>>): SseStream {
    const stream = new SseStream(response, headers);
    this.streams.add(stream);
    stream.onceClosed(() => this.streams.delete(stream));
    return stream;
  }

  /**
   * Answers the requests of one POST: one with its answer alone, several (`batch`) with a list. `failed` are answers
   * to what was no request. `headers` go with the answer.
   */
  async answerPost(
    response: ServerResponse,
    session: McpSession,
    requests: readonly Request[],
    how: {
      readonly sessionless: boolean;
      readonly batch: boolean;
      readonly accept: string | undefined;
      readonly failed: readonly string[];
      readonly headers?: Readonly<Record<string, string>>;
    },
  ): Promise<void> {
    const { stream: canStream, onlyStream } = acceptance(how.accept);
    const { methods } = this.options;
    const streamed =
      canStream &&
      requests.some(
        ({ method, params }) =>
          methods.mayLast(method, params) && (onlyStream || progressToken(params) !== undefined),
      );
    const stream = streamed ? this.open(response, how.headers) : undefined;
    const calls = requests.map(
      ({ id, method, params }) => new Call(session, id, method, params, how.sessionless, stream),
    );
    const closed = (): void => {
      for (const call of calls) {
        call.cancel();
        call.settle(false);
      }
    };
    if (response.destroyed) return closed();
    response.once('close', closed);

    const answers = await Promise.all(calls.map((call) => this.run(call)));
    const texts = [...how.failed, ...answers.flatMap(({ json }) => (json === undefined ? [] : [json]))];
    // Without anything to settle, nobody needs to know when the answer has left.
    const settling = calls.some((call) => call.delivers);
    const written = (delivered: boolean): void => {
      for (const call of calls) call.settle(delivered);
    };
    const [only] = answers;
    const opened =
      stream ?? (onlyStream && only?.status === 200 ? this.open(response, how.headers) : undefined);
    if (opened !== undefined) {
      const last = texts.pop();
      for (const text of texts) opened.send(text);
      if (last !== undefined) opened.send(last, 'message', written);
      opened.end();
    } else if (texts.length === 0) {
      answerTaken(response);
    } else {
      const json = how.batch ? `[${texts.join(',')}]` : (texts[0] ?? '');
      const status = how.batch ? 200 : (only?.status ?? 200);
      answerJson(response, status, json, how.headers, settling ? written : undefined);
    }
  }

  /** Answers one request of the older transport on its stream. */
  async answerOn(stream: SseStream, session: McpSession, request: Request): Promise<void> {
    const call = new Call(session, request.id, request.method, request.params, false, stream);
    const gone = (): void => {
      call.cancel();
      call.settle(false);
    };
    if (!stream.open) return gone();
    const forget = stream.onceClosed(gone);
    const { json } = await this.run(call);
    const settle = (delivered: boolean): void => {
      forget();
      call.settle(delivered);
    };
    if (json === undefined) settle(false);
    else stream.send(json, 'message', settle);
  }

  /** Revision 2026-07-28: a stream of changes instead of an answer. */
  listen(response: ServerResponse, session: McpSession, { id, params }: Request): void {
    const filter = params['notifications'];
    if (!isObject(filter)) {
      const problem = 'subscriptions/listen needs the object notifications in its params.';
      answerJson(response, 200, errorMessage(id, new RpcFailure(INVALID_PARAMS, problem)));
      return;
    }
    const asked = Array.isArray(filter['resourceSubscriptions']) ? filter['resourceSubscriptions'] : [];
    const uris = [INSTRUCTION_URI, STATE_URI].filter((uri) => asked.includes(uri));
    const meta = JSON.stringify({ [SUBSCRIPTION_KEY]: id });
    const stream = this.open(response);
    const honoured = JSON.stringify(uris.length > 0 ? { resourceSubscriptions: uris } : {});
    stream.send(
      notificationMessage(
        'notifications/subscriptions/acknowledged',
        `{"_meta":${meta},"notifications":${honoured}}`,
      ),
    );
    session.attach({ stream, speaks: false, farewell: () => stream.send(farewell(id, meta)) });
    if (!uris.includes(STATE_URI)) return;
    const watch = new StateWatch(
      session.participant,
      STATE_URI,
      () => (stream.open ? stream : undefined),
      meta,
    );
    stream.onceClosed(() => watch.close());
  }

  /** Time passed: shows whoever is waiting that we are there. */
  beat(): void {
    for (const call of this.calls) call.beat();
    for (const stream of this.streams) stream.beat();
  }

  private async run(call: Call): Promise<Answer> {
    const { session, id } = call;
    session.busy += 1;
    this.calls.add(call);
    try {
      const beginning = session.begin();
      if (beginning !== undefined) await beginning;
      const result = await this.options.methods.answer(call);
      return { json: call.cancelled ? undefined : resultMessage(id, result), status: 200 };
    } catch (error) {
      const failure = this.failureOf(error, call);
      return { json: call.cancelled ? undefined : errorMessage(id, failure), status: failure.status };
    } finally {
      this.calls.delete(call);
      session.busy -= 1;
      session.lastHeard = this.options.now();
      call.finished();
      if (call.cancelled) call.settle(false);
    }
  }

  private failureOf(error: unknown, call: Call): RpcFailure {
    if (error instanceof RpcFailure) return error;
    const { message, expected } = tell(error);
    if (!expected) this.options.warn(`${call.method} of agent ${call.participant.agent} failed`, error);
    return new RpcFailure(expected ? SERVER_ERROR : INTERNAL_ERROR, message);
  }
}

function farewell(id: RequestId, meta: string): string {
  return resultMessage(id, `{"resultType":"complete","_meta":${meta}}`);
}
