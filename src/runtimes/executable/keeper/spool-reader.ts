/**
 * Reads the spool of one attempt (spool.ts) as it grows. R1: what was told once is not told again by this reader. R2:
 * a segment is removed only after everything in it is kept elsewhere (`kept`). R3: no more than one piece is in
 * memory, and reading waits for `kept` between two pieces of a flood, so that it is as slow as who keeps it.
 */
import { open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Line } from '../../../ports/runtime.ts';
import { segmentName, segmentStarts } from './spool.ts';

/** Read at once, bytes; longer than any line. */
const PIECE = 256 * 1024;

/** Who is told what the spool holds. */
export interface SpoolListener {
  /** `at` is the place after the line. */
  line(line: Line & { readonly at: number }): void;
  dropped(bytes: number): void;
  /** Resolves when everything told so far is kept. */
  kept(): Promise<void>;
}

/** A reader with a place in a spool (R1 to R3). */
export class SpoolReader {
  private segment: number | undefined;
  private wanted = false;
  private running: Promise<void> | undefined;
  private stopped = false;

  /** `place`: after which to begin; what lies before it is never told. */
  constructor(
    private readonly folder: string,
    private place: number,
    private readonly listener: SpoolListener,
  ) {}

  /** Reads what there is; resolves when the end was reached at some moment after the call. Never rejects. */
  read(): Promise<void> {
    this.wanted = true;
    this.running ??= this.run().finally(() => (this.running = undefined));
    return this.running;
  }

  /** Says nothing more. */
  stop(): void {
    this.stopped = true;
  }

  private async run(): Promise<void> {
    while (this.wanted && !this.stopped) {
      this.wanted = false;
      await this.readOn().catch(() => undefined); // a folder that is gone has nothing more to say
    }
  }

  private async readOn(): Promise<void> {
    this.segment ??= await this.segmentFor(this.place);
    while (this.segment !== undefined && !this.stopped) {
      const start: number = this.segment;
      await this.readSegment(start);
      if (this.stopped) return;
      if (this.place > start && (await this.exists(this.place))) {
        await this.listener.kept();
        await unlink(join(this.folder, segmentName(start))).catch(() => undefined);
        this.segment = this.place;
      } else if (await this.exists(start)) return;
      else {
        // The writer wanted the room: on with the oldest there is.
        const next: number | undefined = await this.segmentFor(this.place);
        if (next === undefined || next <= start) return;
        this.segment = next;
        this.place = Math.max(this.place, next);
      }
    }
  }

  private async readSegment(start: number): Promise<void> {
    const file = await open(join(this.folder, segmentName(start))).catch(() => undefined);
    if (file === undefined) return;
    try {
      const piece = Buffer.allocUnsafe(PIECE);
      while (!this.stopped) {
        const { bytesRead } = await file.read(piece, 0, PIECE, this.place - start);
        const end = piece.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
        if (end === 0) return;
        this.tell(piece.subarray(0, end));
        if (bytesRead === PIECE) await this.listener.kept();
      }
    } finally {
      await file.close();
    }
  }

  private tell(lines: Buffer): void {
    for (let from = 0; from < lines.length && !this.stopped;) {
      const end = lines.indexOf(0x0a, from);
      const at = this.place + (end + 1 - from);
      const first = lines[from];
      if (first === 0x64) this.listener.dropped(Number(lines.toString('latin1', from + 1, end)));
      else {
        const blank = lines.indexOf(0x20, from);
        this.listener.line({
          io: first === 0x65 ? 'error' : 'out',
          time: Number(lines.toString('latin1', from + 1, blank)),
          text: lines.toString('utf8', blank + 1, end),
          at,
        });
      }
      this.place = at;
      from = end + 1;
    }
  }

  /** The segment in which a place lies, else the first one after it. */
  private async segmentFor(place: number): Promise<number | undefined> {
    const starts = segmentStarts(await readdir(this.folder).catch(() => []));
    const holding = starts.findLast((start) => start <= place);
    if (holding !== undefined) return holding;
    const first = starts[0];
    if (first !== undefined) this.place = first;
    return first;
  }

  private async exists(start: number): Promise<boolean> {
    return (await stat(join(this.folder, segmentName(start))).catch(() => undefined)) !== undefined;
  }
}
