/**
 * Looks at a write-ahead log before SQLite does. SQLite takes what is in it up to the first frame that is not what was
 * written and forgets the rest without a word. That is right for the end of a log whose writer was killed, and wrong
 * where whole commits follow: then the log was damaged later, and what they held is lost.
 *
 * The format: https://www.sqlite.org/fileformat2.html#walformat. A frame carries the sum of everything before it, so what
 * follows a damaged frame can still be told from the remains of an older log.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';

const HEADER = 32;
const FRAME_HEADER = 24;
/** Sums over words of four bytes, the lowest first: what machines of that order write. */
const LOWEST_FIRST = 0x377f0682;

/** What follows the first damaged frame. */
export interface WalDamage {
  /** Commits that were written and are lost. */
  readonly commits: number;
}

/** What is wrong with the log of a database file; undefined: nothing, or nothing that could be told. */
export function damageOfWal(file: string): WalDamage | undefined {
  const bytes = readWal(`${file}-wal`);
  if (bytes === undefined || endianness() !== 'LE') return undefined;
  const view = new DataView(bytes);
  if (view.getUint32(0) !== LOWEST_FIRST) return undefined;
  const words = new Uint32Array(bytes, 0, bytes.byteLength >> 2);
  const pageSize = view.getUint32(8);
  const frameSize = FRAME_HEADER + pageSize;
  let sum: Sum = [view.getUint32(24), view.getUint32(28)];
  let isWhole = equal(sumOver(words, [0, 0], 0, 24), sum);
  if (bytes.byteLength < HEADER + frameSize) return undefined;
  const salt = view.getBigUint64(isWhole ? 16 : HEADER + 8);
  let commits = 0;
  for (let at = HEADER; at + frameSize <= bytes.byteLength; at += frameSize) {
    if (view.getBigUint64(at + 8) !== salt) break; // of an older log
    const said: Sum = [view.getUint32(at + 16), view.getUint32(at + 20)];
    const found = sumOver(words, sumOver(words, sum, at, 8), at + FRAME_HEADER, pageSize);
    const isGood = equal(found, said);
    const isCommit = view.getUint32(at + 4) !== 0;
    if (!isGood) isWhole = false;
    else if (!isWhole && isCommit) commits += 1;
    sum = said;
  }
  return commits > 0 ? { commits } : undefined;
}

type Sum = readonly [number, number];

/** The sum of `length` bytes from `from` on, begun with another. */
function sumOver(words: Uint32Array, [first, second]: Sum, from: number, length: number): Sum {
  let [a, b] = [first, second];
  for (let at = from >> 2; at < (from + length) >> 2; at += 2) {
    a = (a + words[at]! + b) >>> 0;
    b = (b + words[at + 1]! + a) >>> 0;
  }
  return [a, b];
}

function equal([a, b]: Sum, [c, d]: Sum): boolean {
  return a === c && b === d;
}

function readWal(path: string): ArrayBuffer | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined; // it was closed in good order
  }
  try {
    const { size } = fstatSync(file);
    if (size <= HEADER) return undefined;
    const bytes = new Uint8Array(size);
    let read = 0;
    for (let got = -1; got !== 0 && read < size; read += got)
      got = readSync(file, bytes, read, size - read, read);
    return read === size ? bytes.buffer : undefined;
  } finally {
    closeSync(file);
  }
}
