/** How the executable runtime finds a program, what it gives it, and what of its output it keeps. */
import { chmod, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ExecutableRuntime } from '../../src/domain/definition.ts';
import type { LaunchSpec } from '../../src/domain/launch.ts';
import { LaunchFailure } from '../../src/ports/runtime.ts';
import type { ExecutableRuntimeOptions } from '../../src/runtimes/executable/runtime.ts';
import { Ears, labels, noSignal } from '../contracts/runtime.ts';
import { executableSpec, executableWorld } from './executable-world.ts';

const nobody = { line: () => undefined };

describe('an executable', () => {
  let folder: string;
  let worlds: Awaited<ReturnType<typeof executableWorld>>[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coral-test-'));
    worlds = [];
  });
  afterEach(async () => {
    for (const world of worlds) {
      for (const { handle } of await world.runtime.list()) await world.runtime.stop(handle, 0);
      await world.close();
    }
    await rm(folder, { recursive: true, force: true });
  });

  const start = async (
    path: string,
    words: readonly string[] = [],
    more: Partial<LaunchSpec> = {},
    how: Partial<ExecutableRuntime> = {},
    options: Partial<ExecutableRuntimeOptions> = {},
  ): Promise<Ears> => {
    const world = await executableWorld(options);
    worlds.push(world);
    const spec = executableSpec(path, words, { folder, ...more });
    const handle = await world.runtime.launch({ ...spec, how: { ...spec.how, ...how } }, noSignal(), nobody);
    return new Ears().attachTo(world.runtime, handle);
  };
  const saying = async (...args: Parameters<typeof start>): Promise<string[]> => {
    const ears = await start(...args);
    await ears.end;
    return ears.texts();
  };
  const failing = async (...args: Parameters<typeof start>): Promise<string> => {
    const failure = await start(...args).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(LaunchFailure);
    return (failure as LaunchFailure).message;
  };
  const program = async (path: string, body: string, mode = 0o755): Promise<string> => {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), body);
    await chmod(join(folder, path), mode);
    return join(folder, path);
  };

  describe('is looked for', () => {
    it('where an absolute path says', async () => {
      const path = await program('elsewhere/tool', '#!/bin/sh\necho absolute');
      expect(await saying(path)).toEqual(['absolute']);
    });

    it('in the folder of the definition, also by a bare name, before PATH', async () => {
      await program('sub/tool.sh', '#!/bin/sh\necho below; pwd');
      expect(await saying('sub/tool.sh')).toEqual(['below', folder]);
      await program('true', '#!/bin/sh\necho mine');
      expect(await saying('true')).toEqual(['mine']);
    });

    it('on the PATH that the agent gets, not on the server’s', async () => {
      await program('bin/only-here', '#!/bin/sh\necho found');
      const environment = { PATH: `/nonexistent${delimiter}${join(folder, 'bin')}${delimiter}/bin` };
      expect(await saying('only-here', [], { environment })).toEqual(['found']);
      const server = { environment: { PATH: join(folder, 'bin') } };
      expect(await failing('only-here', [], {}, { inheritEnvironment: [] }, server)).toMatch(
        /the usual PATH/,
      );
    });

    it('past what has its name and is no program', async () => {
      await mkdir(join(folder, 'env'));
      expect((await saying('env')).length).toBeGreaterThan(0);
    });

    it('in vain, which is said with all places', async () => {
      const environment = { PATH: '/first:/second' };
      const sentence = await failing('no-such-tool', [], { environment });
      expect(sentence).toContain(folder);
      expect(sentence).toContain('/first:/second');
      expect(await failing('./no-such-tool')).toContain(join(folder, 'no-such-tool'));
      expect(await failing('/no/such/tool')).toContain('/no/such/tool');
    });

    it('and may not be executed, is a folder, or names no interpreter that is there', async () => {
      await program('plain.sh', '#!/bin/sh\n', 0o644);
      expect(await failing('./plain.sh')).toMatch(/may not be executed; try: chmod \+x /);
      expect(await failing('plain.sh')).toMatch(/chmod \+x /);
      await mkdir(join(folder, 'dir'));
      expect(await failing('./dir')).toMatch(/is a folder/);
      await program('lost.sh', '#!/no/such/interpreter\n');
      expect(await failing('./lost.sh')).toMatch(/first line/);
    });

    it('in a folder that is gone', async () => {
      expect(await failing('true', [], { folder: join(folder, 'gone') })).toContain(join(folder, 'gone'));
    });
  });

  describe('finds in its environment', () => {
    const server = {
      environment: {
        PATH: process.env['PATH'],
        HOME: '/home/x',
        LC_ALL: 'C',
        LC_TIME: 'de',
        SECRET_KEY: 'no',
        A: 'server',
      },
    };
    it('what its definition inherits, by name and by pattern, below everything else', async () => {
      const inheritEnvironment = ['PATH', 'LC_*', 'A', 'B', 'HOM'];
      const lines = await saying('env', [], { environment: { A: 'own' } }, { inheritEnvironment }, server);
      const names = lines.map((line) => line.split('=')[0]);
      expect(names.sort()).toEqual(['A', 'CORAL_MARK', 'LC_ALL', 'LC_TIME', 'PATH']);
      expect(lines).toContain('A=own');
    });

    it('the operator’s variables for debugging, which win over all but CORAL_*', async () => {
      const debugEnvironment = { A: 'debug', CORAL_AGENT_ID: 'debug' };
      const environment = { A: 'own', CORAL_AGENT_ID: 'own' };
      const lines = await saying('env', [], { environment }, {}, { debugEnvironment });
      expect(lines).toEqual(expect.arrayContaining(['A=debug', 'CORAL_AGENT_ID=own']));
    });

    it('paths of its option files, readable by it alone and gone with it', async () => {
      const files = [
        { variable: 'ONE', parts: [Buffer.from('first\n')] },
        { variable: 'MANY', parts: [Buffer.from([0, 1]), Buffer.from('third')] },
        { variable: 'NONE', parts: [] },
      ];
      await program(
        'look.sh',
        '#!/bin/sh\necho "$ONE"; echo "$MANY"; echo "[$NONE]"; cat "$ONE"; echo ready; sleep 60',
      );
      const ears = await start('./look.sh', [], { files });
      await ears.heard('ready');
      const [one, many, none, text] = ears.texts();
      expect(text).toBe('first');
      expect(none).toBe('[]');
      const paths = [one!, ...many!.split(delimiter)];
      expect(paths).toHaveLength(3);
      for (const path of paths) expect((await stat(path)).mode & 0o777).toBe(0o400);
      expect((await stat(join(one!, '..'))).mode & 0o777).toBe(0o700);
      expect(await readFile(paths[1]!)).toEqual(Buffer.from([0, 1]));

      const { runtime } = worlds.at(-1)!;
      const [found] = await runtime.list();
      await runtime.stop(found!.handle, 0);
      await ears.end;
      await expect(stat(join(one!, '..'))).rejects.toThrow('ENOENT');
    });

    it('nothing of its options is left by a launch that failed or a server that crashed', async () => {
      const world = await executableWorld();
      worlds.push(world);
      const files = [{ variable: 'X', parts: [Buffer.from('x')] }];
      const left = async (): Promise<string[]> => {
        const [options] = await readdir(world.temporaryFolder);
        return options === undefined ? [] : readdir(join(world.temporaryFolder, options));
      };
      const launch = (path: string) =>
        world.runtime.launch(executableSpec(path, ['60'], { folder, files }), noSignal(), nobody);
      await expect(launch('./nowhere')).rejects.toThrow(LaunchFailure);
      expect(await left()).toEqual([]);

      const handle = await launch('sleep');
      expect(await left()).toHaveLength(1);
      const later = await world.secondLife!();
      expect(await later.list()).toHaveLength(1);
      expect(await left()).toHaveLength(1);
      await later.stop(handle, 0);
      expect(await left()).toEqual([]);
      await later.close();
    });

    it('too much for the system, which is said', async () => {
      const environment = { PATH: process.env['PATH']!, HUGE: 'x'.repeat(4 * 1024 * 1024) };
      expect(await failing('env', [], { environment })).toMatch(/longer than the system allows/);
    });

    it('nothing when a value holds a NUL, which is said', async () => {
      expect(await failing('env', [], { environment: { PATH: '/bin', BAD: 'a\0b' } })).toMatch(
        /could not be started/,
      );
    });
  });

  it('is started through a link under the name it was asked for', async () => {
    await program('real.sh', '#!/bin/sh\necho "$0"');
    await symlink(join(folder, 'real.sh'), join(folder, 'link.sh'));
    expect(await saying('./link.sh')).toEqual([join(folder, 'link.sh')]);
  });

  describe('prints', () => {
    it('a line of more than 64 KiB, which is cut and counted', async () => {
      const script = `process.stdout.write('é'.repeat(100_000) + '\\nnext')`;
      const ears = await start(process.execPath, ['-e', script]);
      await ears.end;
      expect(ears.texts()).toEqual(['é'.repeat(32_768), 'next']);
      expect(ears.droppedBytes).toBe(200_000 - 65_536);
    });

    it('more than gets through: the newest is kept, whole lines before it are dropped and counted', async () => {
      const script = `
        let text = '';
        for (let i = 1; i <= 20_000; i += 1) text += String(i).padEnd(99, '.') + '\\n';
        process.stdout.write(text);`;
      const output = { bytesPerSecond: 1, burst: 250_000, held: (99 + 64) * 1_000 };
      const ears = await start(process.execPath, ['-e', script], {}, {}, { output });
      const ending = await ears.end;
      const numbers = ears.texts().map((text) => Number.parseInt(text, 10));
      const first = numbers.length - 1_000;
      expect(first).toBeGreaterThan(500);
      expect(numbers.slice(0, first)).toEqual(Array.from({ length: first }, (_, i) => i + 1));
      expect(numbers.slice(first)).toEqual(Array.from({ length: 1_000 }, (_, i) => 19_001 + i));
      expect(ears.droppedBytes).toBe((20_000 - numbers.length) * 100);
      expect(ending.lastLines!.at(-1)).toMatch(/^20000\./);
    });

    it('without end, and other work goes on', async () => {
      const ears = await start(
        'sh',
        ['-c', 'yes "a line of a flood"'],
        {},
        {},
        {
          output: { bytesPerSecond: 1_000_000, burst: 1_000_000, held: 1_000_000 },
        },
      );
      await ears.heard('flood');
      // Each turn of the event loop handles a bounded part of the flood, so other work gets its turns.
      for (let turn = 0; turn < 1_000; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      const { runtime } = worlds.at(-1)!;
      const [found] = await runtime.list();
      expect((await runtime.stop(found!.handle, 30_000)).gone).toBe(true);
      expect(await ears.end).toMatchObject({ kind: 'signalled', signal: 'SIGTERM' });
    });
  });

  it('runs beside many others', async () => {
    const world = await executableWorld();
    worlds.push(world);
    const runs = Array.from({ length: 30 }, async (_, i) => {
      const spec = executableSpec('./print.sh', [String(i), `agent ${i}`], {
        labels: labels({ agent: `a${i}` }),
      });
      const ears = new Ears().attachTo(world.runtime, await world.runtime.launch(spec, noSignal(), nobody));
      const { exitCode } = await ears.end;
      return [exitCode, ...ears.texts()];
    });
    expect(await Promise.all(runs)).toEqual(Array.from({ length: 30 }, (_, i) => [i, `agent ${i}`]));
  });
});
