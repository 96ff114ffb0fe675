/** From bytes as they come to lines as they are kept: at most 64 KiB each. */

/** Longest line kept, bytes of UTF-8 without its end; the rest of a longer one is given up. */
export const MAX_LINE_BYTES = 64 * 1024;

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/**
 * Cuts a stream of bytes into lines at `\n` (and takes a `\r` before it along). `take` gets a line's bytes, valid
 * only during the call; `dropped` hears of bytes beyond the limit. Holds at most one unfinished line.
 */
export class LineSplitter {
  private readonly parts: Buffer[] = [];
  private held = 0;
  private surplus = 0;

  constructor(
    private readonly take: (line: Buffer) => void,
    private readonly dropped: (bytes: number) => void,
    private readonly limit = MAX_LINE_BYTES,
  ) {}

  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.finish(chunk.subarray(from, end));
      from = end + 1;
    }
    if (from < chunk.length) this.hold(chunk.subarray(from));
  }

  /** The stream is over: a last line without an end is a line too. */
  end(): void {
    if (this.held > 0 || this.surplus > 0) this.finish(Buffer.alloc(0));
  }

  private hold(piece: Buffer): void {
    const room = Math.min(this.limit - this.held, piece.length);
    // Copied: a small view would keep the whole chunk it was read into alive for as long as the line is unfinished.
    if (room > 0) this.parts.push(Buffer.from(piece.subarray(0, room)));
    this.held += room;
    this.surplus += piece.length - room;
  }

  private finish(last: Buffer): void {
    let line = last;
    if (this.held > 0) {
      this.parts.push(last);
      line = Buffer.concat(this.parts);
      this.parts.length = 0;
      this.held = 0;
    }
    if (line.at(-1) === RETURN && this.surplus === 0) line = line.subarray(0, -1);
    const cut = wholeCharacters(line, this.limit);
    const given = this.surplus + (line.length - cut.length);
    this.surplus = 0;
    if (given > 0) this.dropped(given);
    this.take(cut);
  }
}

/** The longest beginning of at most `limit` bytes that does not end inside a character. */
function wholeCharacters(bytes: Buffer, limit: number): Buffer {
  if (bytes.length < limit) return bytes;
  const cut = bytes.length > limit ? bytes.subarray(0, limit) : bytes;
  for (let back = 1; back <= 3 && back <= cut.length; back += 1) {
    const byte = cut[cut.length - back]!;
    if ((byte & 0xc0) === 0x80) continue; // a continuation: its first byte stands further left
    const width = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return width > back ? cut.subarray(0, cut.length - back) : cut;
  }
  return cut;
}
