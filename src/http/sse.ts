/**
 * Server-Sent Events. A stream is pulled: the next frame is asked for once the reader took the one before, so a slow
 * reader costs a cursor and not a buffer. One that takes nothing for too long is cut off and comes back with the id
 * it saw last. Source: docs/wire.md, "Server-Sent Events".
 */
import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Refusal } from '../domain/refusal.ts';
import type { Log } from '../ports/log.ts';

/** One event of a stream. */
export interface SseFrame {
  /** Where to resume: `Last-Event-ID` brings it back. */
  readonly id: number;
  /** Sent as JSON. */
  readonly data: unknown;
}

/** How patient a stream is. */
export interface SseOptions {
  /** Ms between comments that keep an idle stream open. */
  readonly heartbeat: number;
  /** A reader that drains nothing for this many ms is cut off. */
  readonly patience: number;
}

/** What all streams of a server share. */
export interface SseContext {
  readonly streams: OpenStreams;
  readonly log: Log;
  readonly sse: SseOptions;
  /** Throws when there are as many followers as there may be. */
  readonly room: () => void;
}

export const SSE_DEFAULTS: SseOptions = { heartbeat: 15_000, patience: 30_000 };

/** How long a stream may still take when the server ends, ms. */
const LAST_WORDS = 2_000;

/** Streams that are open, so that a server that ends can end them. */
export class OpenStreams {
  private readonly open = new Set<AbortController>();
  private readonly idle = new Set<() => void>();

  add(controller: AbortController): void {
    this.open.add(controller);
  }

  delete(controller: AbortController): void {
    this.open.delete(controller);
    if (this.open.size === 0) for (const done of this.idle) done();
  }

  get size(): number {
    return this.open.size;
  }

  /**
   * Resolves when the last one is over. What they follow has ended, so they end by themselves once they have told it;
   * those that have not after `LAST_WORDS` are cut.
   */
  async close(): Promise<void> {
    if (this.open.size === 0) return;
    const over = new Promise<void>((resolve) => this.idle.add(resolve));
    const cut = setTimeout(() => {
      for (const controller of this.open) controller.abort();
    }, LAST_WORDS);
    await over;
    clearTimeout(cut);
  }
}

/**
 * Answers with the frames of `source`, which is told to stop by its signal when the reader is gone. The subscription
 * stands before the answer begins. Resolves when the stream is over; never rejects once it has begun. Rejects with
 * `limit_exceeded`.
 */
export async function streamEvents(
  reply: FastifyReply,
  { streams, log, sse, room }: SseContext,
  source: (signal: AbortSignal) => AsyncIterable<SseFrame>,
): Promise<void> {
  room();
  const controller = new AbortController();
  const frames = source(controller.signal)[Symbol.asyncIterator]();
  let next = frames.next();
  // It may fail before it is awaited below.
  next.catch(() => undefined);

  // Headers of hooks are lost with a hijacked reply unless they are carried over.
  const headers = reply.getHeaders();
  reply.hijack();
  const response = reply.raw;
  streams.add(controller);
  const gone = (): void => controller.abort();
  response.on('close', gone);
  response.on('error', gone);
  response.writeHead(200, {
    ...(headers as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    // Nothing follows on this connection; kept alive it would hold up a server that closes.
    connection: 'close',
  });
  response.write(': stream\n\n');
  const beat = setInterval(() => {
    // Behind frames that were not taken a comment would only wait as well.
    if (response.writableLength === 0) response.write(':\n\n');
  }, sse.heartbeat);

  try {
    for (;;) {
      const step = await next;
      if (step.done === true || controller.signal.aborted) break;
      const frame = step.value;
      if (!response.write(`id: ${frame.id}\ndata: ${JSON.stringify(frame.data)}\n\n`)) {
        if (!(await drained(response, controller.signal, sse.patience))) {
          log.info('A reader of an event stream took nothing for too long and is cut off.', { id: frame.id });
          response.destroy();
          break;
        }
      }
      next = frames.next();
    }
  } catch (error) {
    // A reader that fell too far behind is cut off by the feed itself; anything else is ours to know about.
    if (!controller.signal.aborted && (error as Error).name !== 'SlowReader') {
      log.error('An event stream failed.', { reason: String(error) });
    }
    response.destroy();
  } finally {
    clearInterval(beat);
    controller.abort();
    response.end();
    streams.delete(controller);
    await frames.return?.(undefined)?.catch(() => undefined);
  }
}

/** True once the reader took what was written; false when it is gone or took nothing for `patience` ms. */
function drained(response: ServerResponse, signal: AbortSignal, patience: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (ok: boolean): void => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      signal.removeEventListener('abort', onAbort);
      resolve(ok);
    };
    const onDrain = (): void => end(true);
    const onAbort = (): void => end(false);
    const timer = setTimeout(() => end(false), patience);
    response.once('drain', onDrain);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) end(false);
  });
}

/** Where to go on: `Last-Event-ID` (what a reader saw last), else `after`, else undefined: only what comes next. */
export function resumeFrom(request: FastifyRequest, after: number | undefined): number | undefined {
  const header = request.headers['last-event-id'];
  if (header === undefined || header === '') return after;
  const id = typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
  if (id === undefined) {
    throw new Refusal(
      'invalid_request',
      'The header Last-Event-ID must be the number of an event that was received.',
    );
  }
  return id;
}
