/** What an agent printed, between a keeper that writes and a server that reads: nothing is forgotten that was lost. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Line } from '../../src/ports/runtime.ts';
import { PIECE, SpoolReader } from '../../src/runtimes/executable/keeper/spool-reader.ts';
import { SpoolWriter } from '../../src/runtimes/executable/keeper/spool.ts';
import { Share } from '../../src/runtimes/share.ts';

const LIMITS = { segment: 1_000, total: 4_000 };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coral-spool-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A reader that remembers what it was told. */
class Reading {
  readonly lines: (Line & { readonly at: number })[] = [];
  dropped = 0;
  readonly reader: SpoolReader;

  constructor(place = 0) {
    this.reader = new SpoolReader(
      folder,
      place,
      {
        line: (line) => void this.lines.push(line),
        dropped: (bytes) => void (this.dropped += bytes),
        kept: () => Promise.resolve(),
      },
      new Share(0, PIECE),
    );
  }

  get texts(): string[] {
    return this.lines.map(({ text }) => text);
  }

  /** Bytes of what it was told, with line ends, and of what it was told is lost. */
  get accounted(): number {
    return this.dropped + this.texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0);
  }
}

const textOf = (number: number): string => `${number} ${'é'.repeat(number % 40)}`;

/** Prints lines from `from` to `to` and answers how many bytes they are with their ends. */
function print(writer: SpoolWriter, from: number, to: number): number {
  let bytes = 0;
  for (let number = from; number < to; number += 1) {
    writer.line(number % 2 === 0 ? 'out' : 'error', 1_000 + number, textOf(number));
    writer.flush();
    bytes += Buffer.byteLength(textOf(number)) + 1;
  }
  return bytes;
}

describe('a spool', () => {
  it('tells all that was printed, in order, however often it is asked', async () => {
    const writer = new SpoolWriter(folder, LIMITS);
    const reading = new Reading();
    print(writer, 0, 30);
    await reading.reader.read();
    print(writer, 30, 60);
    await reading.reader.read();
    expect(reading.texts).toEqual(Array.from({ length: 60 }, (_, number) => textOf(number)));
    expect(reading.dropped).toBe(0);
    expect(reading.lines[3]).toMatchObject({ io: 'error', time: 1_003 });
  });

  it('that nobody reads keeps the newest, and every byte that had to go is counted once', async () => {
    const writer = new SpoolWriter(folder, LIMITS);
    writer.dropped(77);
    const printed = 77 + print(writer, 0, 1_000);
    const reading = new Reading();
    await reading.reader.read();
    expect(reading.texts.at(-1)).toBe(textOf(999));
    expect(reading.lines.length).toBeGreaterThan(20);
    expect(reading.dropped).toBeGreaterThan(0);
    expect(reading.accounted).toBe(printed);
  });

  it('whose reader is overtaken again and again tells no line twice and counts every byte once', async () => {
    const writer = new SpoolWriter(folder, LIMITS);
    const reading = new Reading();
    let printed = 0;
    for (let round = 0; round < 8; round += 1) {
      printed += print(writer, round * 300, round * 300 + (round % 3 === 0 ? 10 : 300));
      await reading.reader.read();
    }
    expect(new Set(reading.texts).size).toBe(reading.texts.length);
    expect(reading.accounted).toBe(printed);
  });

  it('is gone on with by another reader behind the last line that was kept, and by another writer', async () => {
    const first = new Reading();
    const writer = new SpoolWriter(folder, LIMITS);
    let printed = print(writer, 0, 50);
    await first.reader.read();
    writer.close();
    const next = new SpoolWriter(folder, LIMITS);
    printed += print(next, 50, 55);
    const kept = first.lines.at(-1)!.at;
    const second = new Reading(kept);
    await second.reader.read();
    expect(second.texts).toEqual([50, 51, 52, 53, 54].map(textOf));
    printed += print(next, 55, 1_000);
    await second.reader.read();
    expect(first.accounted + second.accounted).toBe(printed);
  });
});
