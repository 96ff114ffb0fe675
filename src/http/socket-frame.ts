/** Websocket frames from server to client, written once for everybody who gets them (RFC 6455, section 5.2). */

const FINAL_TEXT = 0x81;

/** One unmasked, final text frame. */
export function textFrame(text: string): Buffer {
  return textFrames([text]);
}

/** A frame for each text, one after the other. */
export function textFrames(texts: readonly string[]): Buffer {
  const lengths = texts.map((text) => Buffer.byteLength(text));
  const frames = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + headerOf(length) + length, 0));
  let at = 0;
  for (const [index, text] of texts.entries()) {
    const length = lengths[index]!;
    frames[at] = FINAL_TEXT;
    const header = headerOf(length);
    if (header === 2) frames[at + 1] = length;
    else if (header === 4) {
      frames[at + 1] = 126;
      frames.writeUInt16BE(length, at + 2);
    } else {
      frames[at + 1] = 127;
      frames.writeBigUInt64BE(BigInt(length), at + 2);
    }
    frames.write(text, at + header);
    at += header + length;
  }
  return frames;
}

/** Bytes of the header of a frame with so many bytes. */
function headerOf(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

/** An empty ping. */
export const PING: Buffer = Buffer.from([0x89, 0]);
