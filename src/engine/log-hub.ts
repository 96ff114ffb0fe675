/**
 * Everything there is to log in one place: what agents print and what the server itself says. The newest lines are kept,
 * bounded by number and bytes; a follower is a cursor into them, so a slow one costs nothing, and is told how many
 * lines went by too fast for it. Source: docs/wire.md, "Logs".
 */
import type { SessionKey } from '../domain/state.ts';
import { lineEvent } from '../domain/wire-event.ts';
import { isoTime } from '../domain/view.ts';
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
  /** How many of the newest matching lines come first. */
  readonly limit: number;
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
  readonly tags: readonly LogTag[];
}

type Level = 'debug' | 'info' | 'warning' | 'error';

/** Origins remembered; beyond it they are made anew. */
const MOST_SOURCES = 1_000;

/** Keeps lines and hands them out. */
export class LogHub {
  private readonly ring: LogRing<Source>;
  private readonly sources = new Map<string, Source>();
  private readonly followers = new Set<() => void>();
  private readonly maxReplay: number;

  constructor(private readonly options: LogHubOptions) {
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

  /** The newest matching lines, then what comes, until the signal. The subscription stands when this returns. */
  follow(query: LogQuery, signal: AbortSignal): AsyncIterable<LogEvent> {
    const replay = this.tail(query);
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
    let cursor = this.ring.next;
    const lines = async function* (this: LogHub): AsyncGenerator<LogEvent, void> {
      try {
        let missed = 0;
        for (const number of replay) {
          const line = this.ring.at(number);
          if (line !== undefined) yield eventOf(line);
          else missed += 1; // since it was looked for
        }
        if (missed > 0) yield this.tooFast(missed);
        while (!signal.aborted) {
          news = false;
          if (cursor < this.ring.first) {
            yield this.tooFast(this.ring.first - cursor);
            cursor = this.ring.first;
          }
          while (cursor < this.ring.next && cursor >= this.ring.first && !signal.aborted) {
            const line = matches(this.ring.sourceOf(cursor), query) ? this.ring.at(cursor) : undefined;
            cursor += 1;
            if (line !== undefined) yield eventOf(line);
          }
          if (cursor >= this.ring.next && !news) await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        this.followers.delete(tell);
      }
    };
    return lines.call(this);
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
    const source = {
      ...(typeof namespace === 'string' && { namespace }),
      ...(typeof session === 'string' && { session }),
      ...(typeof agent === 'string' && { agent }),
      sensitive: false,
      type: level,
      tags,
    };
    this.add(source, this.options.now(), text);
  }

  private tooFast(lines: number): LogEvent {
    const text = `${lines} lines went by too fast for this reader and are left out.`;
    const source: Source = { sensitive: false, type: 'warning', tags: [] };
    return eventOf({ source, time: this.options.now(), text });
  }
}

function eventOf({ source, time, text }: KeptLine<Source>): LogEvent {
  const said = { text, tags: [...source.tags], timestamp: isoTime(time) };
  const { type } = source;
  return type === 'error' ? { type, ...said, exceptionStackTrace: [] } : { type, ...said };
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
