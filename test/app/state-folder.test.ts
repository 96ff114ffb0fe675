import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownIdentity, startTimeOf } from '../../src/process-identity.ts';
import { holderOf, openStateFolder, readLocalKey } from '../../src/state-folder.ts';
import { LockHeld } from '../../src/state-lock.ts';

let base: string;
let folder: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'coral-state-'));
  folder = join(base, '.coral');
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const mode = (file: string): number => statSync(join(folder, file)).mode & 0o777;

describe('a state folder', () => {
  it('is its owner’s alone, and so is what it keeps', () => {
    const state = openStateFolder(folder, NOW);
    state.apiKey();
    state.secrets();
    expect(mode('.')).toBe(0o700);
    for (const file of readdirSync(folder)) expect([file, mode(file)]).toEqual([file, 0o600]);
  });

  it('keeps its instance id, its key and its secrets', () => {
    const first = openStateFolder(folder, NOW);
    const { key, fresh } = first.apiKey();
    const secrets = first.secrets();
    first.lock.release();
    const second = openStateFolder(folder, NOW);
    expect(second.instance).toBe(first.instance);
    expect(second.secrets()).toEqual(secrets);
    expect(readLocalKey(folder)).toBe(secrets.localKey);
    expect({ key, fresh }).toEqual({ key, fresh: true });
    expect(second.apiKey()).toEqual({ key, fresh: false, file: join(folder, 'key') });
  });

  it('gives every secret its own value', () => {
    const state = openStateFolder(folder, NOW);
    const all = [state.apiKey().key, ...Object.values(state.secrets())];
    expect(new Set(all).size).toBe(all.length);
    for (const secret of all) expect(secret.length).toBeGreaterThanOrEqual(32);
  });

  it('knows the port of the last time, also when the next one could not be written down', () => {
    const state = openStateFolder(folder, NOW);
    expect(state.lastPort()).toBeUndefined();
    state.keepPort(6_001);
    mkdirSync(join(folder, `port.${process.pid}.new`));
    expect(() => state.keepPort(6_002)).toThrow();
    expect(state.lastPort()).toBe(6_001);
  });

  it('makes a key anew when a full disk left an empty file', () => {
    openStateFolder(folder, NOW).lock.release();
    writeFileSync(join(folder, 'key'), '');
    expect(openStateFolder(folder, NOW).apiKey()).toMatchObject({ fresh: true });
  });

  it('says what cannot be used and what to do', () => {
    writeFileSync(folder, 'a file');
    expect(() => openStateFolder(folder, NOW)).toThrow(
      /state folder .* cannot be used \(EEXIST\): make it writable/,
    );
  });
});

describe('its lock', () => {
  it('tells who holds it and where that server listens', () => {
    const state = openStateFolder(folder, NOW);
    expect(holderOf(folder)).toMatchObject({ pid: process.pid, since: '2026-01-02T03:04:05.000Z' });
    expect(holderOf(folder)?.url).toBeUndefined();
    state.lock.announce('http://127.0.0.1:5555');
    expect(holderOf(folder)?.url).toBe('http://127.0.0.1:5555');
  });

  it('keeps a second server out with a sentence that names the first', () => {
    openStateFolder(folder, NOW).lock.announce('http://127.0.0.1:5555');
    const second = (): unknown => openStateFolder(folder, NOW);
    expect(second).toThrow(LockHeld);
    expect(second).toThrow(
      new RegExp(`in use by process ${process.pid} since 2026-01-02.* listens on http://127.0.0.1:5555`),
    );
  });

  it('can be taken again once given back, and giving back twice takes nothing from the next', () => {
    const first = openStateFolder(folder, NOW);
    first.lock.release();
    expect(holderOf(folder)).toBeUndefined();
    openStateFolder(folder, NOW + 1);
    first.lock.release();
    expect(holderOf(folder)?.since).toBe('2026-01-02T03:04:05.001Z');
  });

  it('is taken over from a process that is gone', async () => {
    const gone = spawn(process.execPath, ['-e', '0']);
    const identity = { pid: gone.pid!, startTime: startTimeOf(gone.pid!) };
    await once(gone, 'exit');
    openStateFolder(folder, NOW).lock.release();
    writeFileSync(join(folder, 'lock'), JSON.stringify({ ...identity, since: 'x', url: 'http://old' }));
    expect(holderOf(folder)).toBeUndefined();
    const state = openStateFolder(folder, NOW);
    expect(holderOf(folder)?.pid).toBe(process.pid);
    state.lock.release();
    expect(readdirSync(folder).filter((file) => file.startsWith('lock'))).toEqual([]);
  });

  it('is taken over when another process got the holder’s pid', () => {
    openStateFolder(folder, NOW).lock.release();
    writeFileSync(
      join(folder, 'lock'),
      JSON.stringify({ ...ownIdentity(), startTime: 'another time', since: 'x' }),
    );
    openStateFolder(folder, NOW);
    expect(holderOf(folder)?.startTime).toBe(ownIdentity().startTime);
  });

  it('is taken over from a text that is nobody’s', () => {
    openStateFolder(folder, NOW).lock.release();
    writeFileSync(join(folder, 'lock'), '{"pid":');
    openStateFolder(folder, NOW);
    expect(holderOf(folder)?.pid).toBe(process.pid);
  });

  it('also when the one who was about to take it over died in the middle', async () => {
    openStateFolder(folder, NOW).lock.release();
    const dead = JSON.stringify({ pid: 2 ** 22 + 1, startTime: 'never', since: 'x' });
    writeFileSync(join(folder, 'lock'), dead);
    const { createHash } = await import('node:crypto');
    const right = `lock.${createHash('sha256').update(dead).digest('hex').slice(0, 16)}`;
    writeFileSync(join(folder, right), JSON.stringify({ pid: 2 ** 22 + 2, startTime: 'never', since: 'x' }));
    openStateFolder(folder, NOW).lock.release();
    expect(readdirSync(folder).filter((file) => file.startsWith('lock'))).toEqual([]);
  });

  it('goes to exactly one of many that find a dead holder at the same moment', async () => {
    openStateFolder(folder, NOW).lock.release();
    const script = join(base, 'contender.ts');
    writeFileSync(
      script,
      `import { openStateFolder } from ${JSON.stringify(new URL('../../src/state-folder.ts', import.meta.url).pathname)};
       process.stdout.write('ready\\n');
       process.stdin.once('data', () => {
         let word = 'won';
         try { openStateFolder(${JSON.stringify(folder)}, 0); } catch (error) { word = (error as Error).name; }
         process.stdout.write(word + '\\n');
       });
       process.stdin.once('end', () => process.exit());`,
    );
    const contenders = Array.from({ length: 6 }, () => {
      const child = spawn(process.execPath, ['--import', 'tsx', script], {
        stdio: ['pipe', 'pipe', 'inherit'],
        cwd: new URL('../..', import.meta.url).pathname,
      });
      const lines: string[] = [];
      child.stdout.on('data', (data: Buffer) => lines.push(...data.toString().trim().split('\n')));
      const has = async (count: number): Promise<void> => {
        while (lines.length < count) await once(child.stdout, 'data');
      };
      return { child, lines, has };
    });
    try {
      await Promise.all(contenders.map((one) => one.has(1)));

      writeFileSync(
        join(folder, 'lock'),
        JSON.stringify({ pid: 2 ** 22 + 1, startTime: 'never', since: 'x' }),
      );
      for (const { child } of contenders) child.stdin.write('go\n');
      await Promise.all(contenders.map((one) => one.has(2)));
      expect(contenders.map((one) => one.lines[1]).sort()).toEqual([
        ...Array.from({ length: 5 }, () => 'LockHeld'),
        'won',
      ]);
    } finally {
      for (const { child } of contenders) child.kill('SIGKILL');
    }
    expect(JSON.parse(readFileSync(join(folder, 'lock'), 'utf8'))).toMatchObject({
      since: '1970-01-01T00:00:00.000Z',
    });
  });
});
