import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/api-keys.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'coral-keys-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the keys of a state folder', () => {
  it('count at once for a server that runs, and end at once', () => {
    const server = new ApiKeys(folder);
    expect(server.check('x')).toBe(false);
    const command = new ApiKeys(folder);
    const one = command.add('ci', 0);
    const two = command.add(undefined, 1);
    expect([server.check(one.key), server.check(two.key), server.check(`${one.key}x`)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(command.revoke('ci')?.id).toBe(one.entry.id);
    expect([server.check(one.key), server.check(two.key)]).toEqual([false, true]);
    expect(command.revoke(one.entry.id)).toBeUndefined();
    rmSync(join(folder, 'keys.json'));
    expect(server.check(two.key)).toBe(false);
  });

  it('are kept as digests that only their owner reads', () => {
    const keys = new ApiKeys(join(folder, 'made'));
    const { key } = keys.add('ci', 0);
    const file = join(folder, 'made', 'keys.json');
    expect(readFileSync(file, 'utf8')).not.toContain(key.slice('coral_'.length));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(keys.list()).toMatchObject([{ name: 'ci', created: '1970-01-01T00:00:00.000Z' }]);
  });

  it('bear a name that must be said exactly, or the id where two have it', () => {
    const keys = new ApiKeys(folder);
    const { entry } = keys.add('twice', 0);
    keys.add('twice', 1);
    expect(keys.revoke('twice')).toBeUndefined();
    expect(keys.revoke(entry.id)).toEqual(entry);
    expect(keys.revoke('twice')?.created).toBe('1970-01-01T00:00:00.001Z');
  });

  it('let nobody in, with a sentence, while the file cannot be read', () => {
    const keys = new ApiKeys(folder);
    keys.add('ci', 0);
    writeFileSync(join(folder, 'keys.json'), '{');
    expect(() => keys.check('x')).toThrow(/keys\.json cannot be read: mend the file/);
  });
});
