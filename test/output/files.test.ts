import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openFileOutput } from '../../src/output/files.ts';
import type { FileOutputOptions } from '../../src/output/files.ts';
import { line, OTHER, outputContract, SESSION } from '../contracts/output.ts';

outputContract('the file output store', async (maxBytesPerAgent) => {
  const folder = await mkdtemp(join(tmpdir(), 'coral-test-'));
  const options = { folder, ...(maxBytesPerAgent !== undefined && { maxBytesPerAgent }) };
  const store = openFileOutput(options);
  return {
    store,
    reopen: async () => openFileOutput(options),
    async close() {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
});

describe('the file output store', () => {
  let folder: string;
  let closing: (() => Promise<void>)[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coral-test-'));
    closing = [];
  });
  afterEach(async () => {
    for (const close of closing) await close();
    await rm(folder, { recursive: true, force: true });
  });
  const open = (more: Partial<FileOutputOptions> = {}) => {
    const store = openFileOutput({ folder, ...more });
    closing.push(() => store.close());
    return store;
  };
  const logs = async (): Promise<string[]> =>
    (await readdir(join(folder, SESSION)))
      .filter((name) => name.endsWith('.log'))
      .map((name) => join(folder, SESSION, name));

  it('makes nothing on disk for sessions that are only asked about', async () => {
    const store = open();
    await store.read(SESSION, 0, 9);
    await store.tail(SESSION, 9);
    await store.release(SESSION);
    expect(await readdir(folder)).toEqual([]);
  });

  it('keeps its files from other users', async () => {
    const store = open();
    store.append(SESSION, line('private'));
    await store.flush(SESSION);
    expect((await stat(join(folder, SESSION))).mode & 0o777).toBe(0o700);
    expect((await stat((await logs())[0]!)).mode & 0o777).toBe(0o600);
  });

  it('holds no file open', async () => {
    const store = open();
    for (let i = 0; i < 100; i += 1) store.append(SESSION, line('x', { agent: `agent-${i}` }));
    await store.flush(SESSION);
    if (process.platform !== 'linux') return;
    const { readlink } = await import('node:fs/promises');
    const held = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    );
    expect(held.filter((path) => path.startsWith(folder))).toEqual([]);
  });

  it('reads past a line that a crash cut in two, and writes on after it', async () => {
    const before = open();
    before.append(SESSION, line('whole'));
    before.append(SESSION, line('cut'));
    await before.close();
    const [file] = await logs();
    await truncate(file!, (await stat(file!)).size - 4);

    const after = open();
    after.append(SESSION, line('next'));
    expect(await after.read(SESSION, 0, 9)).toMatchObject([
      { number: 1, text: 'whole' },
      { number: 2, text: 'next' },
    ]);
  });

  it('starts a file anew whose header was cut', async () => {
    const before = open();
    before.append(SESSION, line('x'));
    await before.close();
    const [file] = await logs();
    await truncate(file!, 5);
    const after = open();
    after.append(SESSION, line('y'));
    expect(await after.read(SESSION, 0, 9)).toMatchObject([{ number: 1, text: 'y' }]);
  });

  it('takes no notice of files that are not its own', async () => {
    const before = open();
    before.append(SESSION, line('x'));
    await before.close();
    await writeFile(join(folder, SESSION, 'noise.log'), 'not ours\n');
    await appendFile(
      (await logs()).find((name) => !name.endsWith('noise.log'))!,
      'nonsense\n[5,broken\n',
    );
    const after = open();
    expect(await after.read(SESSION, 0, 9)).toMatchObject([{ number: 1, text: 'x' }]);
  });

  it('goes on numbering when only the older half of an agent is there', async () => {
    const before = open({ maxBytesPerAgent: 1_000 });
    for (let i = 1; i <= 20; i += 1) before.append(SESSION, line('z'.repeat(60)));
    await before.close();
    const current = (await logs()).find((name) => !name.endsWith('.older.log'))!;
    await rm(current);
    const after = open({ maxBytesPerAgent: 1_000 });
    const [last] = await after.tail(SESSION, 1);
    after.append(SESSION, line('next'));
    expect(await after.tail(SESSION, 1)).toMatchObject([{ number: last!.number + 1, text: 'next' }]);
  });

  it('gives up what it cannot write, says so once, and recovers by itself', async () => {
    const errors: unknown[] = [];
    const store = open({ onError: (error) => errors.push(error) });
    // A file where the session's folder should be: nobody, root included, can write there.
    await writeFile(join(folder, SESSION), 'in the way');
    store.append(SESSION, line('lost'));
    await store.flush(SESSION);
    store.append(SESSION, line('lost too'));
    await store.flush(SESSION);
    expect(errors).toHaveLength(1);
    await rm(join(folder, SESSION));
    store.append(SESSION, line('kept'));
    await store.flush(SESSION);
    expect((await store.read(SESSION, 0, 9)).map(({ text }) => text)).toEqual(['kept']);
    expect(await store.droppedBytes(SESSION)).toBeGreaterThan(0);
    expect(errors).toHaveLength(1);
  });

  it('counts every byte once that is not kept, also over restarts', async () => {
    const limits = { maxBytesPerAgent: 20_000 };
    const texts = Array.from({ length: 2_000 }, (_, i) => `${i} "é"\t${'x'.repeat((i * 7) % 90)}`);
    const printed = texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0);
    for (let from = 0; from < texts.length; from += 170) {
      const store = open(limits);
      for (const [at, text] of texts.slice(from, from + 170).entries()) {
        store.append(SESSION, line(text));
        if (at % 50 === 0) await store.flush(SESSION);
      }
      await store.close();
    }
    const store = open(limits);
    const kept = await store.read(SESSION, 0, texts.length);
    expect(kept.map(({ text }) => text)).toEqual(texts.slice(-kept.length));
    const bytes = kept.reduce((sum, { text }) => sum + Buffer.byteLength(text) + 1, 0);
    expect((await store.droppedBytes(SESSION)) + bytes).toBe(printed);
  });

  it('keeps the newest of what comes faster than it can be written', async () => {
    const store = open();
    const text = (number: number): string => `${number} `.padEnd(1_000, '.');
    const count = 20_000;
    store.append(SESSION, line('modest', { agent: 'modest' }));
    await store.flush(SESSION);
    for (let number = 1; number <= count; number += 1) store.append(SESSION, line(text(number)));
    const kept = await store.read(SESSION, 0, count, 'reader');
    expect(kept.at(-1)?.text).toBe(text(count));
    const newest = kept.slice(-4_000).map((one) => one.text);
    expect(newest).toEqual(newest.map((_, i) => text(count - newest.length + 1 + i)));
    expect(await store.droppedBytes(SESSION)).toBe((count - kept.length) * 1_001);
    expect(await store.read(SESSION, 0, 1)).toMatchObject([{ text: 'modest' }]);
  });

  it('never lets waiting lines take more memory than they may', async () => {
    const store = open({ maxWaitingBytes: 10_000 });
    for (let i = 0; i < 100; i += 1) store.append(i % 2 ? SESSION : OTHER, line('x'.repeat(1_000)));
    const kept = [...(await store.read(SESSION, 0, 99)), ...(await store.read(OTHER, 0, 99))];
    expect(kept.length).toBeLessThan(11);
    expect(kept.length).toBeGreaterThan(5);
    const dropped = (await store.droppedBytes(SESSION)) + (await store.droppedBytes(OTHER));
    expect(dropped).toBe((100 - kept.length) * 1_001);
  });

  it('writes one line of JSON for each line, after a header that names the agent', async () => {
    const store = open();
    store.append(SESSION, line('hello "you"', { io: 'error', sensitive: true, time: 7 }));
    await store.flush(SESSION);
    const text = await readFile((await logs())[0]!, 'utf8');
    expect(text).toBe('{"agent":"reader"}\n[1,7,1,"e","hello \\"you\\"",1]\n');
  });
});
