/**
 * The journal against bare better-sqlite3 doing the same in the same run: the same columns and index, the same JSON,
 * as many events a commit, but no streams to keep apart, no expected seq, no promises. A ratio of 1 would mean that
 * all of that costs nothing. `node --import tsx bench/journal.ts` runs it alone.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import type { SessionEvent } from '../src/domain/event.ts';
import { openMemoryJournal } from '../src/journal/memory.ts';
import { openSqliteJournal } from '../src/journal/sqlite.ts';
import type { Journal } from '../src/ports/journal.ts';

export interface BenchRow {
  readonly name: string;
  /** Median of the bare thing, in `unit`. */
  readonly baseline: number;
  /** Median of ours, in `unit`. */
  readonly value: number;
  /** Median over the repeats of ours to the bare one that ran beside it. */
  readonly ratio: number;
  /** Slowest and fastest of ours. */
  readonly low: number;
  readonly high: number;
  readonly unit: string;
  readonly note: string;
}

/** One way to append. */
export interface Case {
  readonly name: string;
  readonly journal: 'memory' | 'normal' | 'full';
  /** Events a commit, each of another stream. */
  readonly group: number;
  readonly events: number;
}

const REPEATS = 15;
/** As large as those that ours reckons. */
const A_SUM = 0x9abcdef0;
export const CASES: readonly Case[] = [
  { name: 'memory journal, single appends', journal: 'memory', group: 1, events: 100_000 },
  { name: 'SQLite normal, single appends', journal: 'normal', group: 1, events: 6_000 },
  { name: 'SQLite normal, 16 appends in a turn', journal: 'normal', group: 16, events: 16_000 },
  { name: 'SQLite normal, 100 appends in a turn', journal: 'normal', group: 100, events: 30_000 },
  { name: 'SQLite full, single appends', journal: 'full', group: 1, events: 2_000 },
  { name: 'SQLite full, 16 appends in a turn', journal: 'full', group: 16, events: 8_000 },
  { name: 'SQLite full, 100 appends in a turn', journal: 'full', group: 100, events: 20_000 },
];

/** An event of about 400 bytes as JSON. */
const eventOf = (n: number): SessionEvent => ({
  type: 'message_sent',
  threadId: '01890a5d-ac96-774b-bcce-b302099a8057',
  messageId: `01890a5d-ac96-774b-bcce-${String(n).padStart(12, '0')}`,
  sender: 'analyst',
  text: 'The survey is done: '.padEnd(220, 'lorem ipsum '),
  mentions: ['writer'],
});

/** Runs every case in turn, `report` hearing of each row as it is measured. Takes some 10 s. */
export async function benchJournal(
  report: (row: BenchRow) => void,
  cases: readonly Case[] = CASES,
): Promise<readonly BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const it of cases) {
    const ours: number[] = [];
    const bare: number[] = [];
    // The first round warms up; the order within a round alternates, so that neither always follows the other.
    for (let round = 0; round <= REPEATS; round++) {
      const oursFirst = round % 2 === 0;
      const first = oursFirst ? await oursPerSecond(it) : barePerSecond(it);
      const second = oursFirst ? barePerSecond(it) : await oursPerSecond(it);
      if (round === 0) continue;
      ours.push(oursFirst ? first : second);
      bare.push(oursFirst ? second : first);
    }
    const ratios = ours.map((value, at) => value / bare[at]!);
    const against = it.journal === 'memory' ? 'bare SQLite normal' : 'bare SQLite';
    const row = {
      name: it.name,
      baseline: Math.round(median(bare)),
      value: Math.round(median(ours)),
      low: Math.min(...ours),
      high: Math.max(...ours),
      ratio: round2(median(ratios)),
      unit: 'events/s',
      note: `to ${against}; ratio ${round2(Math.min(...ratios))}–${round2(Math.max(...ratios))} in ${REPEATS} rounds`,
    };
    rows.push(row);
    report(row);
  }
  return rows;
}

async function oursPerSecond({ journal: kind, group, events }: Case): Promise<number> {
  return inFolder(async (folder) => {
    const journal: Journal =
      kind === 'memory'
        ? openMemoryJournal()
        : openSqliteJournal({ file: join(folder, 'journal.sqlite'), sync: kind, now: Date.now });
    const append = (stream: number, seq: number, event: SessionEvent) =>
      journal.append({
        stream: `session/${stream}`,
        expectedSeq: seq,
        time: 1_700_000_000_000,
        events: [event],
        ...(seq === 0
          ? { header: { kind: 'session', id: String(stream), namespace: 'bench', annotations: {} } as const }
          : {}),
      });
    for (let stream = 0; stream < group; stream++) await append(stream, 0, eventOf(stream));
    const started = performance.now();
    for (let seq = 1; seq <= events / group; seq++) {
      if (group === 1) await append(0, seq, eventOf(seq));
      else {
        const turn: Promise<unknown>[] = [];
        for (let stream = 0; stream < group; stream++) turn.push(append(stream, seq, eventOf(seq)));
        await Promise.all(turn);
      }
    }
    const seconds = (performance.now() - started) / 1000;
    await journal.close();
    return events / seconds;
  });
}

function barePerSecond({ journal: kind, group, events }: Case): number {
  return inFolder((folder) => {
    const database = new Database(join(folder, 'bare.sqlite'));
    database.pragma('journal_mode = WAL');
    database.pragma(`synchronous = ${kind === 'full' ? 'FULL' : 'NORMAL'}`);
    database.exec(
      `CREATE TABLE events (position INTEGER PRIMARY KEY, stream INTEGER, seq INTEGER, time INTEGER, type TEXT,
         version INTEGER, body TEXT, sum INTEGER);
       CREATE UNIQUE INDEX events_by_stream ON events (stream, seq);`,
    );
    const begin = database.prepare('BEGIN');
    const insert = database.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    const commit = database.prepare('COMMIT');
    let position = 0;
    const started = performance.now();
    for (let seq = 1; seq <= events / group; seq++) {
      begin.run();
      for (let stream = 0; stream < group; stream++) {
        const event = eventOf(seq);
        insert.run(++position, stream, seq, 1_700_000_000_000, event.type, 1, JSON.stringify(event), A_SUM);
      }
      commit.run();
    }
    const seconds = (performance.now() - started) / 1000;
    database.close();
    return events / seconds;
  });
}

function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'coral-bench-'));
  const remove = (): void => rmSync(folder, { recursive: true });
  let result: T;
  try {
    result = work(folder);
  } catch (error) {
    remove();
    throw error;
  }
  if (result instanceof Promise) return result.finally(remove) as T;
  remove();
  return result;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await benchJournal((row) => {
    console.log(
      `${row.name.padEnd(40)} ${row.value.toLocaleString('en').padStart(9)} ${row.unit}, ratio ${row.ratio.toFixed(2)}  (${row.note})`,
    );
  });
}
