/** SIGKILL at any moment: what was acknowledged is there, without gap, and the journal goes on. */
import { spawn } from 'node:child_process';
import { build } from 'esbuild';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkJournal } from '../../src/journal/maintenance.ts';
import { openSqliteJournal } from '../../src/journal/sqlite.ts';
import { Dice } from '../adversarial/chaos/schedule.ts';
import { runs } from '../support/runs.ts';

const CHILD = fileURLToPath(new URL('./kill-child.ts', import.meta.url));
const PACKAGES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const ROUNDS = 4;
const { seed } = runs(1);

let folder: string;
/** The child as a program that needs nothing to be started. */
let program: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coral-kill-'));
  program = join(folder, 'child.cjs');
  const external = ['better-sqlite3'];
  await build({
    entryPoints: [CHILD],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    external,
  });
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs the child until it acknowledged `acks` appends, kills it, and returns the last seq it told of each stream. */
async function killedAfter(
  acks: number,
  file: string,
  sync: string,
  round: number,
): Promise<Map<string, number>> {
  const child = spawn(process.execPath, [program, file, sync, String(round)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { NODE_PATH: PACKAGES },
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = once(child, 'exit');
  const acknowledged = new Map<string, number>();
  let lines = 0;
  // Lines that were under way when it died were written before it died: they count too.
  for await (const line of createInterface(child.stdout)) {
    const [stream, seq] = line.split(' ');
    if (seq !== undefined && /^\d+$/.test(seq)) acknowledged.set(stream!, Number(seq));
    if (++lines === acks) child.kill('SIGKILL');
  }
  expect(await exited, said).toEqual([null, 'SIGKILL']);
  return acknowledged;
}

it.each(['normal', 'full'] as const)('loses nothing it acknowledged, sync %s', async (sync) => {
  const dice = new Dice(seed);
  const file = join(folder, `${sync}.sqlite`);
  for (let round = 1; round <= ROUNDS; round++) {
    const acks = 1 + dice.upTo(400);
    const acknowledged = await killedAfter(acks, file, sync, round);
    expect([...acknowledged.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(Math.min(acks, 4));

    const journal = openSqliteJournal({ file, sync, now: Date.now });
    for (const [stream, seq] of acknowledged) {
      const records = await journal.read(stream, 0, 10_000);
      expect(records.length, `${stream} after ${acks} acknowledgements`).toBeGreaterThanOrEqual(seq);
      expect(records.map((record) => record.seq)).toEqual(records.map((_, at) => at + 1));
      const texts = records.map((record) => record.event.type === 'message_sent' && record.event.text);
      expect(texts).toEqual(records.map((_, at) => `${stream.slice('session/'.length)} ${at + 1}`));
    }
    await journal.close();
    expect(checkJournal(file).problems).toEqual([]);
  }
});
