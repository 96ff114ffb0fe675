/** Server-Sent Events: reading one stream, and following one over breaks of the connection without gap or repeat. */
import { CoralError } from './errors.ts';
import { errorOf } from './http.ts';

/** One event of a stream. */
export interface SseEvent {
  readonly id: string | undefined;
  readonly data: string;
}

/** The events of one stream until it ends. Comments and fields we do not need are skipped. */
export async function* readSse(body: ReadableStream<Uint8Array>): AsyncGenerator<SseEvent, void> {
  const decoder = new TextDecoder();
  let rest = '';
  let id: string | undefined;
  let data: string[] = [];
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { id, data: data.join('\n') };
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') data.push(value);
      else if (field === 'id') id = value;
    }
  }
}

/** Something with its place in the stream. */
export interface Placed<T> {
  readonly id: number;
  readonly value: T;
}

/** A source that is followed, as this file needs to know it. */
export interface Follow<T> {
  /** Where to begin: behind this id; undefined: with what comes next. */
  readonly after: number | undefined;
  /** Opens the live stream behind this id. */
  readonly open: (after: number | undefined) => Promise<Response>;
  readonly parse: (data: string, id: number) => T;
  /** Whether the source will never say anything again; asked when a stream ended or is not there. */
  readonly isOver: () => Promise<boolean>;
  /** What is kept behind this id, for a source that is over. */
  readonly kept: (after: number) => AsyncIterable<Placed<T>>;
  readonly signal: AbortSignal | undefined;
  /** How long to go on trying to reach a server that does not answer, ms. */
  readonly reconnectFor: number;
}

const FIRST_DELAY = 100;
const LONGEST_DELAY = 5_000;

/**
 * Everything that comes, over breaks of the connection: each time it goes on behind the last id it has seen, and what
 * is missing when the source is over comes from the archive. Ends with the source, or when the signal aborts; rejects
 * with CoralError when the server refuses, or stays out of reach.
 */
export async function* follow<T>(how: Follow<T>): AsyncGenerator<T, void> {
  const aborted = (): boolean => how.signal?.aborted === true;
  let last = how.after;
  let delay = FIRST_DELAY;
  let brokenSince: number | undefined;
  while (!aborted()) {
    try {
      const response = await how.open(last);
      if (!response.ok && response.status !== 404) throw await errorOf(response);
      brokenSince = undefined;
      if (response.ok && response.body !== null) {
        for await (const event of readSse(response.body)) {
          delay = FIRST_DELAY;
          const id = Number(event.id);
          // A resumed stream begins behind what was seen; should it not, nothing comes twice.
          if (last !== undefined && id <= last) continue;
          last = id;
          yield how.parse(event.data, id);
        }
      } else {
        await response.body?.cancel();
      }
      if (aborted()) return;
      if (await how.isOver()) {
        // Whoever wanted only what comes next has missed nothing that was before.
        if (last === undefined) return;
        for await (const { id, value } of how.kept(last)) {
          last = id;
          yield value;
        }
        return;
      }
    } catch (error) {
      if (aborted()) return;
      if (error instanceof CoralError && error.status !== 0 && error.status < 500) throw error;
      const now = performance.now();
      brokenSince ??= now;
      if (now - brokenSince >= how.reconnectFor) throw asCoralError(error);
    }
    await pause(delay, how.signal);
    delay = Math.min(delay * 2, LONGEST_DELAY);
  }
}

function asCoralError(error: unknown): CoralError {
  if (error instanceof CoralError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new CoralError(0, 'unreachable', `The stream broke off and could not be resumed: ${reason}`, [], {
    cause: error,
  });
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
    if (signal?.aborted === true) done();
  });
}
