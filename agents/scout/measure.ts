/** Looks into files: size, time, whether they are text, how many lines they have. */
import { closeSync, fstatSync, openSync, readSync, constants } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { FileRow } from '../shared/facts.ts';
import { pathTo } from './files.ts';
import { languageOf } from './languages.ts';

/** A file with a zero byte among this many first ones is binary (git's rule). */
const LOOKED_AT = 8_000;
/** Lines are not counted in files above this size, bytes. */
export const LARGEST_COUNTED = 64 * 1024 * 1024;
const CHUNK = 1024 * 1024;
const LINE_FEED = 10;

export interface Measured {
  readonly rows: readonly FileRow[];
  readonly unreadable: readonly string[];
}

/** Measures files one after the other, in the order given; what cannot be read is named. */
export async function measure(root: string, names: readonly string[]): Promise<Measured> {
  const rows: FileRow[] = [];
  const unreadable: string[] = [];
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (const [index, name] of names.entries()) {
    // Reading synchronously is several times faster; every so often others get a turn.
    if (index % 100 === 99) await turn();
    try {
      const row = measureOne(root, name, buffer);
      if (row !== undefined) rows.push(row);
    } catch {
      unreadable.push(name);
    }
  }
  return { rows, unreadable };
}

function measureOne(root: string, name: string, buffer: Buffer): FileRow | undefined {
  // Without blocking: what was a file a moment ago may be a pipe by now.
  const file = openSync(pathTo(root, name), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const { size, mtimeMs } = fstatSync(file);
    const mtime = Math.floor(mtimeMs);
    let read = readSync(file, buffer, 0, CHUNK, 0);
    if (buffer.subarray(0, Math.min(read, LOOKED_AT)).includes(0)) return [name, size, null, null, mtime];
    const language = languageOf(name);
    if (size > LARGEST_COUNTED) return [name, size, null, language, mtime];
    let lines = 0;
    let last = LINE_FEED;
    for (let position = 0; read > 0; read = readSync(file, buffer, 0, CHUNK, position)) {
      lines += countLineFeeds(buffer, read);
      last = buffer[read - 1] ?? LINE_FEED;
      position += read;
    }
    return [name, size, last === LINE_FEED ? lines : lines + 1, language, mtime];
  } finally {
    closeSync(file);
  }
}

function countLineFeeds(buffer: Buffer, length: number): number {
  let count = 0;
  for (let at = 0; at < length; at += 1) if (buffer[at] === LINE_FEED) count += 1;
  return count;
}
