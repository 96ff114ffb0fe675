/** The server's own log on a stream: one line per message, for people or (`json`) for machines. */
import type { LogLevel } from './config.ts';
import type { Log } from './ports/log.ts';

/** How the log is written, and where. */
export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
  /** Takes one line without its end. */
  readonly write: (line: string) => void;
  /** Wall-clock ms. */
  readonly now: () => number;
}

const RANK: Readonly<Record<LogLevel, number>> = {
  trace: 0,
  debug: 1,
  info: 2,
  warning: 3,
  error: 4,
  off: 5,
};

/** Fields stand behind the message as `key=value`; of an error its sentence, and its stack from `debug` on. */
export function createLog(options: LogOptions): Log {
  const at =
    (level: Exclude<LogLevel, 'off'>) =>
    (message: string, fields: Fields = {}) => {
      if (RANK[level] < RANK[options.level]) return;
      const time = new Date(options.now()).toISOString();
      options.write(
        options.format === 'json'
          ? JSON.stringify({ time, level, message, ...jsonOf(fields) })
          : `${time} ${level.padEnd(7)} ${message}${textOf(fields)}${stackOf(fields, options.level)}`,
      );
    };
  return { debug: at('debug'), info: at('info'), warn: at('warning'), error: at('error') };
}

type Fields = Readonly<Record<string, unknown>>;

function jsonOf(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      value instanceof Error ? { message: value.message, stack: value.stack } : value,
    ]),
  );
}

function textOf(fields: Fields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${shown(value)}`)
    .join('');
}

function shown(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  if (typeof value === 'string' && /^[\w.:/@-]+$/.test(value)) return value;
  return JSON.stringify(value) ?? String(value);
}

function stackOf(fields: Fields, level: LogLevel): string {
  if (RANK[level] > RANK.debug) return '';
  const error = Object.values(fields).find((value) => value instanceof Error);
  return error?.stack === undefined ? '' : `\n${error.stack}`;
}
