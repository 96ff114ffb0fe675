/** The vaults: their contract, and what only the one on disk promises. */
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMemoryVault } from '../../src/journal/vault-memory.ts';
import { openSqliteVault } from '../../src/journal/vault.ts';
import type { Vault } from '../../src/ports/vault.ts';
import { vaultContract } from '../contracts/vault.ts';

vaultContract('memory', async () => {
  const vault = openMemoryVault();
  return { vault, dispose: () => vault.close() };
});

vaultContract('SQLite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'coral-vault-'));
  const open = () =>
    openSqliteVault({ file: join(folder, 'vault.sqlite'), keyFile: join(folder, 'vault.key') });
  let vault = open();
  return {
    vault,
    reopen: async () => {
      await vault.close();
      vault = open();
      return vault;
    },
    dispose: async () => {
      await vault.close();
      await rm(folder, { recursive: true });
    },
  };
});

describe('the vault on disk', () => {
  let folder: string;
  let file: string;
  let keyFile: string;
  const opened: Vault[] = [];

  const open = (): Vault => {
    const vault = openSqliteVault({ file, keyFile });
    opened.push(vault);
    return vault;
  };
  /** Opens a vault, seals one secret, and closes it. */
  const sealed = async (token = 'hunter2-hunter2-hunter2'): Promise<void> => {
    const vault = open();
    await vault.seal('session/a', { token });
    await vault.close();
  };
  const onDisk = (): Buffer =>
    Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))));
  const rows = <T>(sql: string): T[] => {
    const database = new Database(file);
    try {
      return database.prepare(sql).all() as T[];
    } finally {
      database.close();
    }
  };
  const change = (sql: string): void => {
    const database = new Database(file);
    database.exec(sql);
    database.close();
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coral-vault-'));
    file = join(folder, 'vault.sqlite');
    keyFile = join(folder, 'vault.key');
  });
  afterEach(async () => {
    for (const vault of opened.splice(0)) await vault.close();
    await rm(folder, { recursive: true });
  });

  it('makes file and key for their owner alone, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      await open().seal('session/a', { token: 'x' });
    } finally {
      process.umask(before);
    }
    for (const name of readdirSync(folder)) {
      expect([name, (statSync(join(folder, name)).mode & 0o777).toString(8)]).toEqual([name, '600']);
    }
    expect(readdirSync(folder)).toContain('vault.key');
  });

  it('has no secret on the disk in the clear', async () => {
    await open().seal('session/a', { token: 'hunter2-hunter2-hunter2' });

    expect(onDisk().includes('session/a')).toBe(true);
    expect(onDisk().includes('hunter2')).toBe(false);
  });

  it('seals the same secret differently each time', async () => {
    const vault = open();
    await vault.seal('session/a', { one: 'same', two: 'same' });
    await vault.seal('session/b', { one: 'same' });
    await vault.close();

    const values = rows<{ value: Buffer }>("SELECT value FROM sealed WHERE stream <> ''");
    expect(new Set(values.map((row) => row.value.toString('hex'))).size).toBe(3);
  });

  it('leaves nothing of an erased secret in any file', async () => {
    await sealed('x'.repeat(6000));
    const [row] = rows<{ value: Buffer }>("SELECT value FROM sealed WHERE stream = 'session/a'");
    const part = row!.value.subarray(100, 132);
    const vault = open();
    await vault.seal('session/b', { token: 'x' });
    expect(onDisk().includes(part)).toBe(true);
    await vault.erase('session/a');

    expect(onDisk().includes(part)).toBe(false);
    expect(await vault.open('session/b')).toEqual({ token: 'x' });
  });

  it('does not open a secret that was moved to another name or stream', async () => {
    await sealed();
    change("UPDATE sealed SET name = 'moved' WHERE stream = 'session/a'");
    const renamed = open();
    await expect(renamed.open('session/a')).rejects.toMatchObject({ code: 'corrupt' });
    await renamed.close();
    change("UPDATE sealed SET stream = 'session/b', name = 'token' WHERE stream = 'session/a'");

    await expect(open().open('session/b')).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringMatching(/"token" of session\/b .*vault\.sqlite was changed or damaged/),
    });
  });

  it('does not open a secret whose bytes were changed', async () => {
    await sealed();
    change("UPDATE sealed SET value = zeroblob(length(value)) WHERE stream = 'session/a'");

    await expect(open().open('session/a')).rejects.toMatchObject({ code: 'corrupt' });
  });

  it('refuses to start without the key of what it holds, and makes no new one', async () => {
    await sealed();
    rmSync(keyFile);

    expect(open).toThrowError(
      expect.objectContaining({
        code: 'unavailable',
        message: expect.stringMatching(
          /vault\.key is missing but the vault .* holds secrets of 1 session sealed/,
        ),
      }),
    );
    expect(existsSync(keyFile)).toBe(false);
  });

  it('refuses to start with another key', async () => {
    await sealed();
    rmSync(keyFile);
    writeFileSync(keyFile, `coral-vault-key-1 ${Buffer.alloc(32, 7).toString('base64')}\n`, { mode: 0o600 });

    expect(open).toThrowError(
      expect.objectContaining({
        code: 'unavailable',
        message: expect.stringMatching(/key in .*vault\.key is another one/),
      }),
    );
  });

  it('takes a new key when nothing is sealed any more', async () => {
    await sealed();
    const first = open();
    await first.erase('session/a');
    await first.close();
    rmSync(keyFile);

    const second = open();
    await second.seal('session/b', { token: 'again' });
    await second.close();
    expect(await open().open('session/b')).toEqual({ token: 'again' });
  });

  it.each([
    [
      'holds something else',
      () => writeFileSync(keyFile, 'not a key\n', { mode: 0o600 }),
      /does not hold a key/,
    ],
    ['is empty', () => writeFileSync(keyFile, '', { mode: 0o600 }), /does not hold a key/],
    ['is open to others', () => chmodSync(keyFile, 0o644), /open to others \(mode 644\).*chmod 600/],
  ])('refuses a key file that %s', async (_name, spoil, sentence) => {
    await open().close();
    spoil();

    expect(open).toThrowError(
      expect.objectContaining({ code: 'unavailable', message: expect.stringMatching(sentence) }),
    );
  });

  it('refuses a database that is no vault', () => {
    const other = new Database(file);
    other.exec('CREATE TABLE something (x)');
    other.close();

    expect(open).toThrowError(
      expect.objectContaining({ code: 'corrupt', message: expect.stringContaining('not a vault of Coral') }),
    );
    expect(existsSync(keyFile)).toBe(false);
  });
});
