/**
 * Appends to the journal named on the command line until it is killed, from several streams at once, and says
 * on stdout what was acknowledged: `STREAM SEQ` lines.
 */
import { writeSync } from 'node:fs';
import { openSqliteJournal } from '../../src/journal/sqlite.ts';
import { opening, said } from '../contracts/journal-events.ts';

const [file, sync, round] = process.argv.slice(2) as [string, 'normal' | 'full', string];
const journal = openSqliteJournal({ file, sync, now: Date.now });

/** A reader that lags behind is waited for. */
function tell(line: string): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

async function write(id: string): Promise<void> {
  const first = opening(id);
  let seq = 0;
  for (;;) {
    const events = Array.from({ length: 1 + (seq % 3) }, (_, n) => said(`${id} ${seq + n + 1}`));
    const records = await journal.append({ ...first, expectedSeq: seq, events });
    seq = records.at(-1)!.seq;
    tell(`session/${id} ${seq}\n`);
  }
}

void Promise.all([1, 2, 3, 4].map((n) => write(`${round}-${n}`)));
