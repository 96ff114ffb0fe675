/**
 * Reads the spool of one attempt (spool.ts) as it grows. R1: what was told once is not told again by this reader. R2:
 * a segment is removed only after everything in it is kept elsewhere (`kept`). R3: no more than one piece is in
 * memory, and between two pieces of a flood reading waits for `kept` and for its share of the time, so that it is as
 * slow as who keeps it and leaves the server to the others. R4: what the writer removed unread is counted as dropped.
 */
import { open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Line } from '../../../ports/runtime.ts';
import type { Share } from '../../share.ts';
import { printedAfter, records, segmentName, segmentStarts } from './spool.ts';

/** Read at once, bytes; longer than any line. */
export const PIECE = 128 * 1024;

/** Records told in one turn of the event loop. */
const TURN = 1_024;

/** Who is told what the spool holds. */
export interface SpoolListener {
  /** `at` is the place after the line. */
  line(line: Line & { readonly at: number }): void;
  dropped(bytes: number): void;
  /** Resolves when everything told so far is kept. */
  kept(): Promise<void>;
}

/** A reader with a place in a spool (R1 to R4). */
export class SpoolReader {
  private segment: number | undefined;
  /** Up to where it has read; at first before the place, to learn how much was printed up to there. */
  private position = 0;
  /** How much was printed up to the position; undefined while that is not known. */
  private printed: number | undefined;
  private wanted = false;
  private running: Promise<void> | undefined;
  private stopped = false;

  /** `place`: after which to begin; what lies before it is never told. */
  constructor(
    private readonly folder: string,
    private place: number,
    private readonly listener: SpoolListener,
    private readonly share: Share,
  ) {
    if (place === 0) this.printed = 0;
  }

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
    this.segment ??= await this.first();
    while (this.segment !== undefined && !this.stopped) {
      const start: number = this.segment;
      await this.readSegment(start);
      if (this.stopped) return;
      if (this.position > start && (await this.exists(this.position))) {
        await this.listener.kept();
        await unlink(join(this.folder, segmentName(start))).catch(() => undefined);
        this.segment = this.position;
      } else if (await this.exists(start)) return;
      else {
        // The writer wanted the room: on with the oldest there is.
        const next: number | undefined = (await this.starts()).find((one) => one > start);
        if (next === undefined) return;
        this.segment = next;
        this.position = Math.max(this.position, next);
      }
    }
  }

  private async readSegment(start: number): Promise<void> {
    const file = await open(join(this.folder, segmentName(start))).catch(() => undefined);
    if (file === undefined) return;
    try {
      while (!this.stopped) {
        const read = await this.share.use(async (piece) => {
          const { bytesRead } = await file.read(piece, 0, piece.length, this.position - start);
          await this.tell(piece.subarray(0, piece.subarray(0, bytesRead).lastIndexOf(0x0a) + 1));
          return bytesRead;
        });
        if (read < PIECE) return;
        await this.listener.kept();
      }
    } finally {
      await file.close();
    }
  }

  private async tell(bytes: Buffer): Promise<void> {
    const start = this.position;
    let told = 0;
    for (const record of records(bytes)) {
      // A piece may hold many thousands of very short lines.
      if (++told % TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      if (this.stopped) return;
      const before = this.printed;
      this.position = start + record.end;
      if (before !== undefined || record.tag === 't') this.printed = printedAfter(before ?? 0, record);
      if (this.position <= this.place) continue; // told in an earlier life
      this.place = this.position;
      if (record.tag === 'd') this.listener.dropped(record.value);
      else if (record.tag !== 't') {
        this.listener.line({
          io: record.tag === 'e' ? 'error' : 'out',
          time: record.value,
          text: bytes.toString('utf8', record.from, record.end - 1),
          at: this.position,
        });
      } else if (before !== undefined && record.value > before) this.listener.dropped(record.value - before);
    }
  }

  /** The segment in which the place lies, else the first one after it. */
  private async first(): Promise<number | undefined> {
    const starts = await this.starts();
    const holding = starts.findLast((start) => start <= this.place) ?? starts[0];
    if (holding === undefined) return undefined;
    // How much was printed up to a place whose segment is gone, nobody knows: its bytes in the spool are close to it.
    if (holding > this.place && this.printed === undefined) this.listener.dropped(holding - this.place);
    if (holding === 0) this.printed = 0;
    this.position = holding;
    return holding;
  }

  private async starts(): Promise<readonly number[]> {
    return segmentStarts(await readdir(this.folder).catch(() => []));
  }

  private async exists(start: number): Promise<boolean> {
    return (await stat(join(this.folder, segmentName(start))).catch(() => undefined)) !== undefined;
  }
}
