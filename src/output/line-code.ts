/**
 * How a line stands in its file: one JSON array a line, `[number,time,attempt,"o"|"e",text]`, followed by a `1` when
 * it is sensitive (else a `0` where something follows) and by the place it came from, if that is known. The number comes first, so that a place in a file is found without parsing much. The first
 * line of a file is a header that names the agent.
 */
import type { OutputLine } from '../ports/output.ts';
import type { Place } from '../ports/runtime.ts';

/** Longest text kept of one line, bytes of UTF-8. */
export const MAX_TEXT_BYTES = 64 * 1024;

/** A line as it is written, with its end. */
export function encodeLine(line: OutputLine, at?: Place): string {
  const place = at === undefined ? '' : `,${JSON.stringify(at)}`;
  const end = line.sensitive ? `,1${place}]\n` : at === undefined ? ']\n' : `,0${place}]\n`;
  const io = line.io === 'out' ? '"o"' : '"e"';
  return `[${line.number},${line.time},${line.attempt},${io},${JSON.stringify(line.text)}${end}`;
}

/** Nothing for what is no line: a header, or one that was cut by a crash or a full disk. */
export function decodeLine(text: string, agent: string): OutputLine | undefined {
  if (!text.startsWith('[') || !text.endsWith(']')) return undefined;
  try {
    const [number, time, attempt, io, words, sensitive] = JSON.parse(text) as [
      number,
      number,
      number,
      'o' | 'e',
      string,
      (0 | 1)?,
    ];
    return {
      number,
      time,
      agent,
      attempt,
      io: io === 'o' ? 'out' : 'error',
      text: words,
      ...(sensitive === 1 && { sensitive: true }),
    };
  } catch {
    return undefined;
  }
}

/** The place a line of that attempt came from; nothing for any other text. */
export function placeIn(text: string, attempt: number): Place | undefined {
  if (!text.startsWith('[') || !text.endsWith(']')) return undefined;
  try {
    const parts = JSON.parse(text) as unknown[];
    const place = parts[6];
    const isPlace = typeof place === 'number' || typeof place === 'string';
    return parts[2] === attempt && isPlace ? place : undefined;
  } catch {
    return undefined;
  }
}

/** The number alone, from the beginning of a line. */
export function numberOf(text: string): number | undefined {
  const match = /^\[(\d+),/.exec(text);
  return match ? Number(match[1]) : undefined;
}

/** The first line of a file, with its end. */
export function encodeHeader(agent: string): string {
  return `${JSON.stringify({ agent })}\n`;
}

/** The agent that a header names; nothing when it is none. */
export function decodeHeader(text: string): string | undefined {
  try {
    const { agent } = JSON.parse(text) as { agent?: unknown };
    return typeof agent === 'string' ? agent : undefined;
  } catch {
    return undefined;
  }
}

/** A text cut to what is kept of a line, with the bytes that were not. */
export function cutText(text: string): { readonly text: string; readonly lost: number } {
  // No character takes more than three bytes per UTF-16 unit: most lines need no counting.
  if (text.length * 3 <= MAX_TEXT_BYTES) return { text, lost: 0 };
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= MAX_TEXT_BYTES) return { text, lost: 0 };
  const cut = bytes
    .subarray(0, MAX_TEXT_BYTES)
    .toString('utf8')
    .replace(/\ufffd$/, '');
  return { text: cut, lost: bytes.length - Buffer.byteLength(cut) };
}
