/**
 * Everything there is to log in one place: what agents print and what the server itself says. The newest lines are kept,
 * bounded by number and bytes; a follower is a cursor into them, so a slow one costs nothing, and is told how many
 * lines went by too fast for it. Numbers of lines go on rising over a restart of the server, since they begin with the
 * time of its start. Source: docs/wire.md, "Logs".
 */
import type { SessionKey } from '../domain/state.ts';
import { lineEvent } from '../domain/wire-event.ts';
import type { LogEvent, LogTag } from '../domain/wire/event.ts';
import type { Log } from '../ports/log.ts';
import type { OutputLine, OutputStore } from '../ports/output.ts';
import { LogRing } from './log-ring.ts';
import type { KeptLine } from './log-ring.ts';

/** Which lines somebody wants. Absent: all. */
export interface LogQuery {
  readonly namespace?: string | undefined;
  readonly session?: string | undefined;
  readonly agent?: string | undefined;
  /** With lines marked as sensitive. */
  readonly allowSensitive: boolean;
  /** How many of the newest matching lines come first, where there is no `after`. */
  readonly limit: number;
  /** The number of the line to go on behind: everything kept since comes first. */
  readonly after?: number | undefined;
}

/** A line as followers get it. */
export interface LogLine {
  /** Rises with every line there is, whoever it is for. */
  readonly number: number;
  readonly origin: Pick<LogEvent, 'type' | 'tags'>;
  /** Wall-clock ms. */
  readonly time: number;
  readonly text: string;
}

/** How much is kept. */
export interface LogHubOptions {
  /** Lines; default 32768. */
  readonly size?: number;
  /** Bytes of all kept lines; default 16 MiB. */
  readonly bytes?: number;
  /** At most so many are replayed to one follower; default 2048. */
  readonly maxReplay?: number;
  /** Wall-clock ms. */
  now(): number;
}

/** What lines of one origin have in common. */
interface Source {
  readonly namespace?: string | undefined;
  readonly session?: string | undefined;
  readonly agent?: string | undefined;
  readonly sensitive: boolean;
  readonly type: LogEvent['type'];
  readonly tags: LogTag[];
}

type Level = 'debug' | 'info' | 'warning' | 'error';

/** A line's number holds the ms of the server's start this many times: so many lines a ms, and more is not written. */
const LINES_PER_MS = 1_024;
/** Lines handed to a follower at once. */
const BATCH = 64;
/** Where what is said to one follower alone comes from. */
const REMARK: LogLine['origin'] = { type: 'warning', tags: [] };
/** Origins remembered; beyond it they are made anew. */
const MOST_SOURCES = 1_000;

/** Keeps lines and hands them out. */
export class LogHub {
  private readonly ring: LogRing<Source>;
  private readonly sources = new Map<string, Source>();
  private readonly followers = new Set<() => void>();
  private readonly maxReplay: number;
  /** Number of the first line of the ring. */
  private readonly begin: number;

  constructor(private readonly options: LogHubOptions) {
    this.begin = Math.max(1, Math.floor(options.now()) * LINES_PER_MS);
    const size = options.size ?? 32_768;
    this.ring = new LogRing(Math.max(1, size), options.bytes ?? 16 * 1024 * 1024);
    this.maxReplay = Math.min(options.maxReplay ?? 2_048, size);
  }

  /** A log that writes to `next` and keeps what it writes. `namespace`, `session` and `agent` among the fields become tags. */
  tee(next: Log): Log {
    const at =
      (level: Level, write: Log['info']) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
        write(message, fields);
        this.say(level, message, fields);
      };
    return {
      debug: at('debug', (message, fields) => next.debug(message, fields)),
      info: at('info', (message, fields) => next.info(message, fields)),
      warn: at('warning', (message, fields) => next.warn(message, fields)),
      error: at('error', (message, fields) => next.error(message, fields)),
    };
  }

  /** Takes what agents print from now on. `namespaceOf`: of a live session; undefined for any other. */
  join(output: OutputStore, namespaceOf: (sessionId: string) => string | undefined): () => void {
    const known = new Map<string, string>();
    return output.followAll((session, line) => {
      let namespace = known.get(session);
      if (namespace === undefined) {
        namespace = namespaceOf(session) ?? '';
        if (known.size > 10_000) known.clear();
        known.set(session, namespace);
      }
      this.add(this.sourceOf({ namespace, sessionId: session }, line), line.time, line.text);
    });
  }

  /**
   * The newest matching lines (or those since `after`), then what comes, until the signal, some at a time. The
   * subscription stands when this returns.
   */
  follow(query: LogQuery, signal: AbortSignal): AsyncIterable<readonly LogLine[]> {
    const { after } = query;
    const replay = after === undefined ? this.tail(query) : [];
    let wake = (): void => {};
    let news = false;
    const tell = (): void => {
      news = true;
      wake();
    };
    this.followers.add(tell);
    const leave = (): void => {
      this.followers.delete(tell);
      tell();
    };
    signal.addEventListener('abort', leave, { once: true });
    let cursor = after === undefined ? this.ring.next : Math.min(after + 1 - this.begin, this.ring.next);
    const lines = async function* (this: LogHub): AsyncGenerator<readonly LogLine[], void> {
      try {
        yield* this.kept(replay);
        if (after !== undefined && after > 0 && cursor < 0) yield [this.restarted()];
        cursor = Math.max(cursor, after === 0 ? this.ring.first : 0);
        while (!signal.aborted) {
          news = false;
          if (cursor < this.ring.first) {
            yield [this.tooFast(this.ring.first - cursor, this.ring.first - 1)];
            cursor = this.ring.first;
          }
          const batch: LogLine[] = [];
          for (; cursor < this.ring.next && batch.length < BATCH; cursor += 1) {
            const line = matches(this.ring.sourceOf(cursor), query) ? this.ring.at(cursor) : undefined;
            if (line !== undefined) batch.push(this.lineOf(cursor, line));
          }
          if (batch.length > 0) yield batch;
          else if (cursor >= this.ring.next && !news) await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        this.followers.delete(tell);
      }
    };
    return lines.call(this);
  }

  /** The lines with these numbers of the ring, and how many of them are gone. */
  private *kept(places: readonly number[]): Generator<readonly LogLine[], void> {
    let missed = 0;
    for (let from = 0; from < places.length; from += BATCH) {
      const batch = places.slice(from, from + BATCH).flatMap((place) => {
        const line = this.ring.at(place);
        return line === undefined ? [] : [this.lineOf(place, line)];
      });
      missed += Math.min(BATCH, places.length - from) - batch.length;
      if (batch.length > 0) yield batch;
    }
    if (missed > 0) yield [this.tooFast(missed, places.at(-1)!)];
  }

  /** Numbers of the newest lines that match, in order. */
  private tail(query: LogQuery): readonly number[] {
    const found: number[] = [];
    const limit = Math.min(query.limit, this.maxReplay);
    for (let at = this.ring.next - 1; at >= this.ring.first && found.length < limit; at -= 1) {
      if (matches(this.ring.sourceOf(at), query)) found.push(at);
    }
    return found.reverse();
  }

  private sourceOf(key: SessionKey, line: OutputLine): Source {
    const name = `${key.sessionId}\n${line.agent}\n${line.io}\n${line.sensitive === true}`;
    let source = this.sources.get(name);
    if (source !== undefined) return source;
    const { type, tags } = lineEvent(key, line);
    source = {
      namespace: key.namespace,
      session: key.sessionId,
      agent: line.agent,
      sensitive: line.sensitive === true,
      type,
      tags,
    };
    if (this.sources.size >= MOST_SOURCES) this.sources.clear();
    this.sources.set(name, source);
    return source;
  }

  private add(source: Source, time: number, text: string): void {
    this.ring.add(source, time, text);
    for (const tell of this.followers) tell();
  }

  private say(level: Level, message: string, fields: Readonly<Record<string, unknown>>): void {
    const { namespace, session, agent, ...rest } = fields;
    const tags: LogTag[] = [];
    if (typeof namespace === 'string') tags.push({ type: 'namespace', namespace, mdcMap: { ns: namespace } });
    if (typeof session === 'string')
      tags.push({ type: 'session', sessionId: session, mdcMap: { sid: session } });
    if (typeof agent === 'string') tags.push({ type: 'agent', name: agent, mdcMap: { agent } });
    const text = [message, ...Object.entries(rest).map(([key, value]) => `${key}=${shown(value)}`)].join(' ');
    const source: Source = {
      ...(typeof namespace === 'string' && { namespace }),
      ...(typeof session === 'string' && { session }),
      ...(typeof agent === 'string' && { agent }),
      sensitive: false,
      type: level,
      tags,
    };
    this.add(source, this.options.now(), text);
  }

  private lineOf(place: number, { source, time, text }: KeptLine<Source>): LogLine {
    return { number: this.begin + place, origin: source, time, text };
  }

  /** Said in place of lines, the last of which stood there. */
  private tooFast(lines: number, place: number): LogLine {
    return this.remark(`${lines} lines went by too fast for this reader and are left out.`, place);
  }

  private restarted(): LogLine {
    return this.remark('The server was started anew since; what was logged before is not kept here.', -1);
  }

  private remark(text: string, place: number): LogLine {
    return { number: this.begin + place, origin: REMARK, time: this.options.now(), text };
  }
}

function matches(
  source: Source | undefined,
  { namespace, session, agent, allowSensitive }: LogQuery,
): boolean {
  return (
    source !== undefined &&
    (namespace === undefined || source.namespace === namespace) &&
    (session === undefined || source.session === session) &&
    (agent === undefined || source.agent === agent) &&
    (allowSensitive || !source.sensitive)
  );
}

function shown(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  return JSON.stringify(value) ?? String(value);
}
