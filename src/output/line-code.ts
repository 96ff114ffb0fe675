/**
 * How a line stands in its file: one JSON array a line, `[number,time,attempt,"o"|"e",text]`, followed by a `1` when
 * it is sensitive (else a `0` where something follows) and by the place it came from, if that is known. The number comes first, so that a place in a file is found without parsing much. The first
 * line of a file is a header that names the agent.
 */
import type { OutputLine } from '../ports/output.ts';
import type { Place } from '../ports/runtime.ts';

/** Longest text kept of one line, bytes of UTF-8. */
export const MAX_TEXT_BYTES = 64 * 1024;

/**
 * A line as it is written, with its end. Its numbers go into the bytes as they are: as strings, which the engine keeps for
 * the next one who wants the same, they would outlive every collection of young garbage.
 */
export class EncodedLine {
  private readonly text: string;
  private readonly place: string;

  constructor(
    private readonly line: OutputLine,
    private readonly at: Place | undefined,
  ) {
    this.text = JSON.stringify(line.text);
    this.place = typeof at === 'string' ? JSON.stringify(at) : '';
  }

  /** At most so many bytes. No character takes more than three per UTF-16 unit. */
  get atMost(): number {
    return 3 * (this.text.length + this.place.length) + BESIDES;
  }

  /** Writes it and answers where it ends. There are `atMost` bytes of room. */
  write(into: Buffer, from: number): number {
    const { line, at } = this;
    let end = from;
    const put = (text: string): void => void (end += into.write(text, end, 'utf8'));
    into[end++] = BRACKET;
    end = writeNumber(into, end, line.number);
    into[end++] = COMMA;
    end = writeNumber(into, end, line.time);
    into[end++] = COMMA;
    end = writeNumber(into, end, line.attempt);
    put(line.io === 'out' ? ',"o",' : ',"e",');
    put(this.text);
    if (line.sensitive === true) put(',1');
    else if (at !== undefined) put(',0');
    if (at !== undefined) into[end++] = COMMA;
    if (typeof at === 'number') end = writeNumber(into, end, at);
    else if (at !== undefined) put(this.place);
    put(']\n');
    return end;
  }
}

/** What a line takes besides its texts: four numbers, and signs. */
const BESIDES = 4 * 25 + 16;
const BRACKET = 0x5b;
const COMMA = 0x2c;
const ZERO = 0x30;

function writeNumber(into: Buffer, from: number, number: number): number {
  if (!Number.isSafeInteger(number) || number < 0) return from + into.write(String(number), from, 'latin1');
  let digits = 1;
  for (let rest = number; rest >= 10; rest = Math.floor(rest / 10)) digits += 1;
  for (let at = from + digits - 1, rest = number; at >= from; at -= 1, rest = Math.floor(rest / 10)) {
    into[at] = ZERO + (rest % 10);
  }
  return from + digits;
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

/** What counts as printed of a line that is kept: its text, and one byte for its end. Bytes. */
export function printedOf(text: string | undefined): number {
  return text === undefined ? 0 : Buffer.byteLength(text) + 1;
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
