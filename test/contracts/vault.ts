/** What every vault promises (ports/vault.ts), as a suite that runs on each implementation. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Vault } from '../../src/ports/vault.ts';

export interface OpenedForContract {
  readonly vault: Vault;
  /** Closes the vault and opens the same one again; absent where nothing outlives the object. */
  readonly reopen?: () => Promise<Vault>;
  readonly dispose: () => Promise<void>;
}

export function vaultContract(name: string, open: () => Promise<OpenedForContract>): void {
  describe(`vault contract: ${name}`, () => {
    let opened: OpenedForContract;
    let vault: Vault;

    beforeEach(async () => {
      opened = await open();
      vault = opened.vault;
    });
    afterEach(() => opened.dispose());

    it('hands back what was sealed, and only to its stream', async () => {
      await vault.seal('session/a', { 'agent.KEY': 'hunter2', 'agent.EMPTY': '' });
      await vault.seal('session/b', { 'agent.KEY': 'swordfish' });

      expect(await vault.open('session/a')).toEqual({ 'agent.KEY': 'hunter2', 'agent.EMPTY': '' });
      expect(await vault.open('session/b')).toEqual({ 'agent.KEY': 'swordfish' });
      expect((await vault.streams()).toSorted()).toEqual(['session/a', 'session/b']);
    });

    it('has nothing for a stream without secrets', async () => {
      expect(await vault.open('session/a')).toEqual({});
      expect(await vault.streams()).toEqual([]);
    });

    it('replaces all secrets of a stream at once', async () => {
      await vault.seal('session/a', { one: '1', two: '2' });
      await vault.seal('session/a', { two: 'II', three: 'III' });
      expect(await vault.open('session/a')).toEqual({ two: 'II', three: 'III' });

      await vault.seal('session/a', {});
      expect(await vault.open('session/a')).toEqual({});
      expect(await vault.streams()).toEqual([]);
    });

    it('keeps every name and value as it was', async () => {
      const secrets = JSON.parse(
        JSON.stringify({
          'a/b "c" \u0000': '\u0000\n"',
          'ключ 🔑': 'ünï 🪸',
          '': 'x'.repeat(100_000),
        }).replace('{', '{"__proto__":"own",'),
      ) as Record<string, string>;
      await vault.seal('session/a', secrets);

      expect(Object.entries(await vault.open('session/a')).toSorted()).toEqual(
        Object.entries(secrets).toSorted(),
      );
    });

    it('is not changed through what it was given or gave', async () => {
      const given: Record<string, string> = { key: 'sealed' };
      await vault.seal('session/a', given);
      given.key = 'changed';
      ((await vault.open('session/a')) as Record<string, string>).key = 'changed';

      expect(await vault.open('session/a')).toEqual({ key: 'sealed' });
    });

    it('erases the secrets of one stream, once or twice', async () => {
      await vault.seal('session/a', { key: '1' });
      await vault.seal('session/b', { key: '2' });
      await vault.erase('session/a');
      await vault.erase('session/a');
      await vault.erase('session/unknown');

      expect(await vault.open('session/a')).toEqual({});
      expect(await vault.open('session/b')).toEqual({ key: '2' });
      expect(await vault.streams()).toEqual(['session/b']);
    });

    it('is the same after it was opened again', async (context) => {
      if (opened.reopen === undefined) context.skip('nothing of it outlives the object');
      await vault.seal('session/a', { key: '1' });
      await vault.seal('session/b', { key: '2' });
      await vault.erase('session/b');
      vault = await opened.reopen!();

      expect(await vault.open('session/a')).toEqual({ key: '1' });
      expect(await vault.streams()).toEqual(['session/a']);
    });

    it('refuses everything once closed, and closes twice', async () => {
      await vault.close();
      await vault.close();

      const refused = { name: 'JournalError', code: 'closed' };
      await expect(vault.seal('session/a', { key: '1' })).rejects.toMatchObject(refused);
      await expect(vault.open('session/a')).rejects.toMatchObject(refused);
      await expect(vault.erase('session/a')).rejects.toMatchObject(refused);
      await expect(vault.streams()).rejects.toMatchObject(refused);
    });
  });
}
