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

interface Entry {
  readonly namespace?: string | undefined;
  readonly session?: string | undefined;
  readonly agent?: string | undefined;
  readonly sensitive: boolean;
  readonly bytes: number;
  event(): LogEvent;
}

type Level = 'debug' | 'info' | 'warning' | 'error';

/** What a kept line costs besides its text, bytes. */
const COST_OF_A_LINE = 256;

/** Keeps lines and hands them out. */
export class LogHub {
  private entries: (Entry | undefined)[] = [];
  /** Number of the oldest kept line; numbers count from 0 over the life of the process. */
  private first = 0;
  /** Place of that line in `entries`. */
  private head = 0;
  private bytes = 0;
  private readonly followers = new Set<() => void>();
  private readonly size: number;
  private readonly mostBytes: number;
  private readonly maxReplay: number;

  constructor(private readonly options: LogHubOptions) {
    this.size = Math.max(1, options.size ?? 32_768);
    this.mostBytes = options.bytes ?? 16 * 1024 * 1024;
    this.maxReplay = Math.min(options.maxReplay ?? 2_048, options.size ?? 32_768);
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
      this.add(printed({ namespace, sessionId: session }, line));
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
    let cursor = this.next;
    const lines = async function* (this: LogHub): AsyncGenerator<LogEvent, void> {
      try {
        for (const entry of replay) yield entry.event();
        while (!signal.aborted) {
          news = false;
          if (cursor < this.first) {
            yield this.tooFast(this.first - cursor);
            cursor = this.first;
          }
          while (cursor < this.next && cursor >= this.first && !signal.aborted) {
            const entry = this.at(cursor);
            cursor += 1;
            if (entry !== undefined && matches(entry, query)) yield entry.event();
          }
          if (cursor >= this.next && !news) await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        this.followers.delete(tell);
      }
    };
    return lines.call(this);
  }

  private tail(query: LogQuery): readonly Entry[] {
    const found: Entry[] = [];
    const limit = Math.min(query.limit, this.maxReplay);
    for (let number = this.next - 1; number >= this.first && found.length < limit; number -= 1) {
      const entry = this.at(number);
      if (entry !== undefined && matches(entry, query)) found.push(entry);
    }
    return found.reverse();
  }

  /** Number of the line to come. */
  private get next(): number {
    return this.first + this.entries.length - this.head;
  }

  private at(number: number): Entry | undefined {
    return this.entries[this.head + number - this.first];
  }

  private add(entry: Entry): void {
    this.entries.push(entry);
    this.bytes += entry.bytes;
    while (this.entries.length - this.head > this.size || this.bytes > this.mostBytes) {
      const gone = this.entries[this.head];
      if (gone === undefined) break;
      this.entries[this.head] = undefined;
      this.head += 1;
      this.first += 1;
      this.bytes -= gone.bytes;
    }
    if (this.head > 1_024 && this.head * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.head);
      this.head = 0;
    }
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
    const event = serverEvent(level, text, tags, this.options.now());
    this.add({
      ...(typeof namespace === 'string' && { namespace }),
      ...(typeof session === 'string' && { session }),
      ...(typeof agent === 'string' && { agent }),
      sensitive: false,
      bytes: text.length + COST_OF_A_LINE,
      event: () => event,
    });
  }

  private tooFast(lines: number): LogEvent {
    return serverEvent(
      'warning',
      `${lines} lines went by too fast for this reader and are left out.`,
      [],
      this.options.now(),
    );
  }
}

function printed(key: SessionKey, line: OutputLine): Entry {
  return {
    namespace: key.namespace,
    session: key.sessionId,
    agent: line.agent,
    sensitive: line.sensitive === true,
    bytes: line.text.length + COST_OF_A_LINE,
    event: () => lineEvent(key, line),
  };
}

function serverEvent(type: Level, text: string, tags: LogTag[], time: number): LogEvent {
  const said = { text, tags, timestamp: isoTime(time) };
  return type === 'error' ? { type, ...said, exceptionStackTrace: [] } : { type, ...said };
}

function matches(entry: Entry, { namespace, session, agent, allowSensitive }: LogQuery): boolean {
  return (
    (namespace === undefined || entry.namespace === namespace) &&
    (session === undefined || entry.session === session) &&
    (agent === undefined || entry.agent === agent) &&
    (allowSensitive || !entry.sensitive)
  );
}

function shown(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  return JSON.stringify(value) ?? String(value);
}
