import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LaunchSpec } from '../../src/domain/launch.ts';
import type { Handle } from '../../src/ports/runtime.ts';
import { functionRuntime } from '../../src/runtimes/function/runtime.ts';
import { Ears, INSTANCE, labels, noSignal, runtimeContract } from '../contracts/runtime.ts';
import type { Program, RuntimeWorld } from '../contracts/runtime.ts';

const PROGRAMS = fileURLToPath(new URL('../fixtures/programs', import.meta.url));

const spec = (name: string, more: Partial<LaunchSpec> = {}, module = './functions.ts'): LaunchSpec => ({
  labels: labels(),
  namespace: 'default',
  environment: {},
  files: [],
  folder: PROGRAMS,
  version: '1.0.0',
  secrets: [],
  how: { kind: 'function', module, export: name, transport: 'streamable_http' },
  ...more,
});

function specOf(program: Program, more: Partial<LaunchSpec> = {}): LaunchSpec {
  switch (program.does) {
    case 'print': {
      const environment = {
        LINES: JSON.stringify(program.lines),
        ...(program.code !== 0 && { THROW: 'failed' }),
      };
      return spec('default', { ...more, environment });
    }
    case 'count': {
      const lines = Array.from({ length: program.lines }, (_, i) => `line ${i + 1}`);
      return spec('default', { ...more, environment: { LINES: JSON.stringify(lines) } });
    }
    case 'wait':
    case 'ignore':
    case 'environment':
      return spec(program.does, more);
    case 'fail':
      return spec('default', more, './no-such-module.js');
    case 'die':
      throw new Error('A function has no signals.');
  }
}

async function functionWorld(): Promise<RuntimeWorld & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'coral-test-'));
  const runtime = functionRuntime({ instance: INSTANCE, now: Date.now, temporaryFolder: folder });
  return {
    folder,
    runtime,
    spec: specOf,
    async close() {
      await runtime.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

runtimeContract('the function runtime', functionWorld, {
  exitCodes: 'a function returns or throws',
  signals: 'a function gets no signals',
  force: 'a function cannot be ended by force',
  secondLife: 'functions live inside the server',
  endings: 'functions live inside the server',
  count: 'what a function prints before anybody attached is bounded',
});

describe('a function agent', () => {
  let world: Awaited<ReturnType<typeof functionWorld>>;
  beforeEach(async () => {
    world = await functionWorld();
  });
  afterEach(() => world.close());
  const launch = (name: string, more?: Partial<LaunchSpec>, module?: string): Promise<Handle> =>
    world.runtime.launch(spec(name, more, module), noSignal(), { line: () => undefined });
  const run = async (name: string, more?: Partial<LaunchSpec>): Promise<Ears> =>
    new Ears().attachTo(world.runtime, await launch(name, more));
  const only = async (): Promise<Handle> => (await world.runtime.list())[0]!.handle;

  it('that throws has failed, and what it threw is its last word', async () => {
    const ears = await run('default', {
      environment: { LINES: '["a"]', THROW: 'no key-12345' },
      secrets: ['key-12345'],
    });
    const ending = await ears.end;
    expect(ending).toMatchObject({ kind: 'exited', exitCode: 1, lastLines: ['a', 'Error: no ***'] });
    expect(ears.texts('error')).toEqual(['Error: no ***']);
  });

  it('that throws the abort it was sent has ended in good order', async () => {
    const ears = await run('throwAbort');
    await ears.heard('ready');
    await world.runtime.stop(await only(), 30_000);
    expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 0 });
  });

  it('that does not return is given up after the grace, and is said to be left', async () => {
    const ears = await run('ignore');
    await ears.heard('ready');
    const handle = await only();
    const patient = world.runtime.stop(handle, 3_600_000);
    const receipt = await world.runtime.stop(handle, 10);
    expect(receipt.gone).toBe(false);
    expect(receipt.left).toEqual([expect.stringContaining('agent one')]);
    expect(await patient).toEqual(receipt);
    expect(await ears.end).toMatchObject({ kind: 'lost' });
    expect(await world.runtime.list()).toEqual([]);
  });

  it('may print lines for few eyes, which are not among its last words, and several at once', async () => {
    const ears = await run('secretly');
    const ending = await ears.end;
    expect(ears.lines.map(({ text, sensitive }) => [text, sensitive ?? false])).toEqual([
      ['CORAL_AGENT_SECRET=abc', true],
      ['two', false],
      ['lines', false],
    ]);
    expect(ending.lastLines).toEqual(['two', 'lines']);
  });

  it('finds its option files, which go when it goes', async () => {
    const ears = await run('environment', {
      files: [{ variable: 'CERT', parts: [Buffer.from('one'), Buffer.from('two')] }],
    });
    await ears.end;
    const [, paths] = (await ears.heard('CERT=')).text.split('=');
    expect(paths!.split(':')).toHaveLength(2);
    await world.runtime.list();
    expect(await readdir(world.folder).then((names) => names.length)).toBeLessThanOrEqual(1);
    await expect(readFile(paths!.split(':')[0]!)).rejects.toThrow('ENOENT');
  });

  it('is looked for under its TypeScript or JavaScript name', async () => {
    const ears = new Ears().attachTo(world.runtime, await launch('default', {}, './functions.js'));
    expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 0 });
  });

  it('says why it cannot be called', async () => {
    await expect(launch('default', {}, './nowhere.js')).rejects.toThrow(`${PROGRAMS}/nowhere.js`);
    await expect(launch('notAFunction')).rejects.toThrow(
      /exports no function "notAFunction"; it has: default, /,
    );
    const broken = join(world.folder, 'broken.mjs');
    await writeFile(broken, 'throw new Error("bad start")');
    await expect(launch('default', {}, broken)).rejects.toThrow('bad start');
  });
});
