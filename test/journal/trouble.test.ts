/** What the embedded journal does when disk or file let it down: real disks, real locks, real damage. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkJournal } from '../../src/journal/maintenance.ts';
import { openSqliteJournal } from '../../src/journal/sqlite.ts';
import type { SqliteJournal } from '../../src/journal/sqlite.ts';
import { openSqliteVault } from '../../src/journal/vault.ts';
import { JournalError } from '../../src/ports/journal.ts';
import { opening, said } from '../contracts/journal-events.ts';

let folder: string;
let file: string;
/** Undo what a test did to the world, last first. */
let undo: (() => Promise<unknown> | void)[];

const open = (more: { busyTimeoutMs?: number; file?: string } = {}): SqliteJournal => {
  const journal = openSqliteJournal({ file, sync: 'normal', now: () => 1000, ...more });
  undo.push(() => journal.close());
  return journal;
};
/** Runs a command; whether it worked. */
const run = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;
const next = (seq: number, text = 'next') => ({
  stream: 'session/a',
  expectedSeq: seq,
  time: 2000,
  events: [said(text)],
});
const failure = async (work: Promise<unknown>): Promise<JournalError> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(JournalError);
  return error as JournalError;
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coral-trouble-'));
  file = join(folder, 'journal.sqlite');
  undo = [() => rm(folder, { recursive: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

describe('a full disk', () => {
  /** A disk of one MiB of its own; false where this user may not mount. */
  const mountSmallDisk = (): boolean => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    if (!run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'coral-test', disk)) return false;
    undo.push(() => void run('umount', disk));
    file = join(disk, 'journal.sqlite');
    return true;
  };
  const noMount = 'mounting a small disk needs root';
  /** Takes all that is left of the disk; returns what gives it back. */
  const fillDisk = (): (() => void) => {
    const ballast = join(folder, 'disk', 'ballast');
    run('dd', 'if=/dev/zero', `of=${ballast}`, 'bs=4k');
    return () => rmSync(ballast);
  };
  /** Appends until the disk takes no more; the last seq it took and why it stopped. */
  const appendUntilRefused = async (journal: SqliteJournal, from: number) => {
    for (let seq = from; ; seq++) {
      const error = await journal.append(next(seq, 'x'.repeat(2000))).then(
        () => undefined,
        (reason: JournalError) => reason,
      );
      if (error !== undefined) return { seq, error };
    }
  };

  it('refuses what does not fit, keeps what it took, and goes on when there is space again', async (context) => {
    if (!mountSmallDisk()) context.skip(noMount);
    const journal = open();
    await journal.append(opening('a'));
    const giveBack = fillDisk();
    const { seq, error } = await appendUntilRefused(journal, 1);

    expect(error).toMatchObject({ name: 'JournalError', code: 'full' });
    expect(error.message).toContain(`The journal ${file} cannot grow because its disk is full`);
    expect(error.cause).toBeInstanceOf(Error);
    const refused = await Promise.allSettled([
      journal.append(next(seq)),
      journal.append(opening('b')),
      journal.probe(),
    ]);
    expect(refused.map((outcome) => outcome.status === 'rejected' && outcome.reason)).toMatchObject([
      { code: 'full' },
      { code: 'full' },
      { code: 'full' },
    ]);
    expect(await journal.read('session/a', seq - 1, 10)).toHaveLength(1);
    expect((await journal.streams({ limit: 10 })).streams).toMatchObject([{ id: 'a', lastSeq: seq }]);

    giveBack();
    await journal.probe();
    expect(await journal.append(next(seq))).toMatchObject([{ seq: seq + 1 }]);
    expect(await journal.append(opening('b'))).toMatchObject([{ seq: 1 }]);
    await journal.close();
    expect(checkJournal(file)).toMatchObject({ problems: [], events: seq + 2 });
  });

  it('takes the appends of a group that fit when another one does not', async (context) => {
    if (!mountSmallDisk()) context.skip(noMount);
    const journal = open();
    await journal.append(opening('a'));
    const outcomes = await Promise.allSettled([
      journal.append(next(1)),
      journal.append(opening('big', { events: [said('x'.repeat(4_000_000))] })),
      journal.append(opening('b')),
    ]);

    expect(outcomes).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', reason: { code: 'full' } },
      { status: 'fulfilled' },
    ]);
    expect((await journal.streams({ limit: 10 })).streams.map((stream) => stream.id)).toEqual(['b', 'a']);
    await journal.close();
    run('mount', '-o', 'remount,size=8m', join(folder, 'disk'));
    expect(checkJournal(file)).toMatchObject({ problems: [], events: 3 });
  });

  it('says so at the start', (context) => {
    if (!mountSmallDisk()) context.skip(noMount);
    fillDisk();

    expect(() => open()).toThrowError(
      expect.objectContaining({ code: 'full', message: expect.stringContaining(file) }),
    );
  });

  it('loses no secret that was sealed, and seals again when there is space', async (context) => {
    if (!mountSmallDisk()) context.skip(noMount);
    const vault = openSqliteVault({ file, keyFile: join(folder, 'vault.key') });
    undo.push(() => vault.close());
    await vault.seal('session/a', { token: 'kept' });
    const giveBack = fillDisk();

    const error = await failure(vault.seal('session/a', { token: 'x'.repeat(500_000) }));
    expect(error).toMatchObject({ code: 'full', message: expect.stringContaining(`The vault ${file}`) });
    expect(await vault.open('session/a')).toEqual({ token: 'kept' });
    expect(await failure(vault.seal('session/b', { token: 'x'.repeat(500_000) }))).toMatchObject({
      code: 'full',
    });
    expect(await vault.streams()).toEqual(['session/a']);
    giveBack();
    await vault.seal('session/a', { token: 'new' });
    expect(await vault.open('session/a')).toEqual({ token: 'new' });
  });
});

describe('a disk that turns read-only', () => {
  it('refuses appends, still reads, and goes on when it can be written again', async (context) => {
    const journal = open();
    await journal.append(opening('a'));
    const files = [file, `${file}-wal`];
    const thaw = (): void => void run('chattr', '-i', ...files);
    undo.push(thaw);
    if (!run('chattr', '+i', ...files))
      context.skip('making files immutable needs root and a file system that can');

    const error = await failure(journal.append(next(1)));
    expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining(file) });
    expect(await failure(journal.probe())).toMatchObject({ code: 'unavailable' });
    const group = await Promise.allSettled([journal.append(next(1)), journal.append(opening('b'))]);
    expect(group.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
    expect(await journal.read('session/a', 0, 10)).toHaveLength(1);

    thaw();
    await journal.probe();
    expect(await journal.append(next(1))).toMatchObject([{ seq: 2 }]);
    await journal.close();
    expect(checkJournal(file)).toMatchObject({ problems: [], events: 2 });
  });

  it('says so at the start', async (context) => {
    await open().close();
    const remount = (mode: string) => run('mount', '-o', `remount,bind,${mode}`, folder);
    if (!run('mount', '--bind', folder, folder)) context.skip('mounting needs root');
    undo.push(() => void run('umount', folder));
    expect(remount('ro')).toBe(true);

    expect(() => open()).toThrowError(
      expect.objectContaining({
        code: 'unavailable',
        message: expect.stringMatching(
          /^The journal .*journal\.sqlite could not be opened because .*permissions/,
        ),
      }),
    );
    expect(() => open({ file: join(folder, 'new.sqlite') })).toThrowError(
      expect.objectContaining({ code: 'unavailable', message: expect.stringContaining('new.sqlite') }),
    );
    remount('rw');
    await open().append(opening('a'));
  });
});

describe('another program that holds the file', () => {
  const held = expect.objectContaining({
    code: 'unavailable',
    message: expect.stringMatching(/journal\.sqlite could not be opened because another program holds it/),
  });

  it('is waited for, then named as the reason', async () => {
    const first = open();
    await first.append(opening('a'));

    expect(() => open({ busyTimeoutMs: 10 })).toThrowError(held);
    expect(await first.append(next(1))).toMatchObject([{ seq: 2 }]);
    await first.close();
    expect(await open().append(next(2))).toMatchObject([{ seq: 3 }]);
  });

  it('is named when it is not Coral', async () => {
    await open().close();
    const other = new Database(file);
    undo.push(() => void other.close());
    other.exec('BEGIN IMMEDIATE');

    expect(() => open({ busyTimeoutMs: 10 })).toThrowError(held);
    other.close();
    await open().append(opening('a'));
  });
});

describe('a file that is not what it should be', () => {
  const opens = () => open();

  it('is refused when a newer program wrote it, and left as it is', async () => {
    const journal = open();
    await journal.append(opening('a'));
    await journal.close();
    const raise = new Database(file);
    raise.pragma('user_version = 7');
    raise.close();
    const before = readFileSync(file);

    expect(opens).toThrowError(
      expect.objectContaining({
        code: 'newer_version',
        message: expect.stringMatching(/journal\.sqlite was written by a newer version .*format 7.*format 2/),
      }),
    );
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it('is refused when its events are of a newer version', async () => {
    await open().close();
    const raise = new Database(file);
    raise.exec("UPDATE facts SET value = 99 WHERE name = 'event_version'");
    raise.close();

    expect(opens).toThrowError(
      expect.objectContaining({
        code: 'newer_version',
        message: expect.stringContaining('events of version 99'),
      }),
    );
  });

  it.each([
    ['is no database', async () => writeFileSync(file, 'A text that somebody put here.\n'.repeat(200))],
    [
      'is somebody else’s database',
      async () => {
        const other = new Database(file);
        other.exec('CREATE TABLE theirs (x)');
        other.close();
      },
    ],
    [
      'was cut off',
      async () => {
        const journal = open();
        await journal.append(
          opening('a', { events: Array.from({ length: 100 }, () => said('x'.repeat(900))) }),
        );
        await journal.close();
        writeFileSync(file, readFileSync(file).subarray(0, 5 * 4096));
      },
    ],
    ['is a folder', async () => mkdirSync(file), 'unavailable'],
  ])('is refused when it %s, and left as it is', async (_name, spoil, code = 'corrupt') => {
    await spoil();
    const size = statSync(file).size;

    expect(opens).toThrowError(expect.objectContaining({ code, message: expect.stringContaining(file) }));
    expect(statSync(file).size).toBe(size);
  });

  it('names the journal when a record cannot be read', async () => {
    const journal = open();
    await journal.append(opening('a'));
    await journal.close();
    const spoil = new Database(file);
    spoil.exec("UPDATE events SET body = 'not JSON'");
    spoil.close();

    expect(await failure(open().read('session/a', 0, 10))).toMatchObject({
      code: 'damaged',
      seq: 1,
      message: expect.stringContaining(file),
    });
  });

  it('is made again where it was empty, as after a crash in the first moment', async () => {
    writeFileSync(file, '');
    expect(await open().append(opening('a'))).toMatchObject([{ seq: 1 }]);
  });
});
