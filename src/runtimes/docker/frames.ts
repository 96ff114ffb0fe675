/**
 * The engine's way of sending stdout and stderr over one stream: frames of an eight-byte head (1 stdout, 2 stderr;
 * three zero bytes; the length, big-endian) and that many bytes. Frames are handed on as they come, in pieces when a
 * chunk ends inside one; nothing is kept but an unfinished head.
 */
import type { Line } from '../../ports/runtime.ts';

/** Takes what is in the frames. */
export interface FrameSink {
  /** Bytes of one frame. `last`: the frame ends with them. Valid only during the call. */
  (io: Line['io'], bytes: Buffer, last: boolean): void;
}

const HEAD = 8;

/** Cuts a stream into frames, however its chunks fall. */
export class FrameParser {
  private readonly head = Buffer.alloc(HEAD);
  private headFilled = 0;
  private io: Line['io'] = 'out';
  private missing = 0;

  constructor(private readonly sink: FrameSink) {}

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.missing === 0) {
        const taken = Math.min(HEAD - this.headFilled, chunk.length - at);
        chunk.copy(this.head, this.headFilled, at, at + taken);
        this.headFilled += taken;
        at += taken;
        if (this.headFilled < HEAD) return;
        this.headFilled = 0;
        this.io = this.head[0] === 2 ? 'error' : 'out';
        this.missing = this.head.readUInt32BE(4);
        continue;
      }
      const piece = chunk.subarray(at, at + this.missing);
      at += piece.length;
      this.missing -= piece.length;
      this.sink(this.io, piece, this.missing === 0);
    }
  }
}
