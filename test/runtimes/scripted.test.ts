import { beforeEach, describe, expect, it } from 'vitest';
import type { ScriptedRuntime } from '../../src/domain/definition.ts';
import type { LaunchSpec } from '../../src/domain/launch.ts';
import { LaunchFailure } from '../../src/ports/runtime.ts';
import type { Runtime } from '../../src/ports/runtime.ts';
import { scriptedRuntime } from '../../src/runtimes/scripted/runtime.ts';
import { Ears, labels, noSignal, runtimeContract } from '../contracts/runtime.ts';
import type { Program } from '../contracts/runtime.ts';
import { HandClock } from '../support/hand-clock.ts';

const spec = (script: Partial<ScriptedRuntime>, more: Partial<LaunchSpec> = {}): LaunchSpec => ({
  labels: labels(),
  namespace: 'default',
  environment: {},
  files: [],
  folder: '/',
  version: '1.0.0',
  secrets: [],
  how: {
    kind: 'scripted',
    exitCode: 0,
    ignoreStop: false,
    output: [],
    flood: 0,
    startDelay: 0,
    transport: 'streamable_http',
    ...script,
  },
  ...more,
});

function scriptOf(program: Program): Partial<ScriptedRuntime> {
  switch (program.does) {
    case 'print':
      return { output: program.lines, exitCode: program.code, runFor: 0 };
    case 'count':
      return { output: Array.from({ length: program.lines }, (_, i) => `line ${i + 1}`), runFor: 0 };
    case 'wait':
      return { output: ['ready'] };
    case 'ignore':
      return { output: ['ready'], ignoreStop: true };
    case 'die':
      return { signal: `SIG${program.signal}`, runFor: 0 };
    case 'fail':
      return { failToStart: 'It has no mind to.' };
    case 'environment':
      return {};
  }
}

const realHost = {
  now: () => Date.now(),
  at: (time: number, wake: () => void) => {
    const timer = setTimeout(wake, Math.min(time - Date.now(), 0x7fff_ffff));
    return () => clearTimeout(timer);
  },
};

runtimeContract(
  'the scripted runtime',
  async () => {
    const runtime = scriptedRuntime({ host: realHost });
    return {
      runtime,
      spec: (program, more) => spec(scriptOf(program), more),
      close: () => runtime.close(),
    };
  },
  {
    stderr: 'a script prints on stdout only',
    environment: 'a script has no environment',
    secondLife: 'scripts live inside the server',
    endings: 'scripts live inside the server',
  },
);

describe('a scripted agent follows its script on the clock of the host', () => {
  let clock: HandClock;
  let runtime: Runtime;
  beforeEach(() => {
    clock = new HandClock();
    runtime = scriptedRuntime({ host: clock });
  });
  const run = async (script: Partial<ScriptedRuntime>, more?: Partial<LaunchSpec>): Promise<Ears> =>
    new Ears().attachTo(
      runtime,
      await runtime.launch(spec(script, more), noSignal(), { line: () => undefined }),
    );
  const only = async () => (await runtime.list())[0]!.handle;

  it('runs exactly as long as it should', async () => {
    const ears = await run({ runFor: 5_000, exitCode: 7 });
    clock.advance(4_999);
    expect(await runtime.list()).toHaveLength(1);
    const before = clock.now();
    clock.advance(1);
    expect(await ears.end).toEqual({
      kind: 'exited',
      exitCode: 7,
      detail: 'Exited with code 7.',
      time: before + 1,
    });
  });

  it('runs until it is stopped when it has no end of its own', async () => {
    const ears = await run({});
    expect(clock.pending).toBe(0);
    await runtime.stop(await only(), 1_000);
    expect(await ears.end).toMatchObject({ kind: 'signalled', signal: 'SIGTERM' });
  });

  it('vanishes before it would have ended', async () => {
    const ears = await run({ runFor: 10_000, vanishAfter: 2_000 });
    clock.advance(2_000);
    expect(await ears.end).toMatchObject({ kind: 'lost' });
  });

  it('takes its time to start, and can be given up meanwhile', async () => {
    const abort = new AbortController();
    const launching = runtime.launch(spec({ startDelay: 3_000 }), abort.signal, { line: () => undefined });
    abort.abort();
    await expect(launching).rejects.toBeInstanceOf(LaunchFailure);
    expect(clock.pending).toBe(0);

    const patient = runtime.launch(spec({ startDelay: 3_000 }), noSignal(), { line: () => undefined });
    expect(await runtime.list()).toEqual([]);
    clock.advance(3_000);
    await patient;
    expect(await runtime.list()).toHaveLength(1);
  });

  it('fails to start with the sentence of its script', async () => {
    await expect(run({ failToStart: 'The licence has run out.' })).rejects.toThrow(
      'The licence has run out.',
    );
  });

  it('ignores a request until the grace is over', async () => {
    const ears = await run({ ignoreStop: true });
    const stopping = runtime.stop(await only(), 10_000);
    clock.advance(9_999);
    expect(await runtime.list()).toHaveLength(1);
    clock.advance(1);
    expect(await stopping).toEqual({ gone: true, left: [] });
    expect(await ears.end).toMatchObject({ kind: 'signalled', signal: 'SIGKILL' });
  });

  it('is hurried by a second request and not slowed down by a third', async () => {
    const ears = await run({ ignoreStop: true });
    const handle = await only();
    void runtime.stop(handle, 10_000);
    void runtime.stop(handle, 1_000);
    void runtime.stop(handle, 60_000);
    clock.advance(1_000);
    expect(await ears.end).toMatchObject({ kind: 'signalled', signal: 'SIGKILL' });
    expect(clock.pending).toBe(0);
  });

  it('floods, and its end comes after its last line', async () => {
    const ears = await run({ flood: 10_000, runFor: 1, output: ['before the flood'] });
    clock.advance(1);
    const ending = await ears.end;
    expect(ears.lines).toHaveLength(10_001);
    expect(
      new Set(
        ears
          .texts()
          .slice(1)
          .map((text) => text.length),
      ),
    ).toEqual(new Set([80]));
    expect(ending.lastLines?.at(-1)).toMatch(/^flood 10000 /);
  });

  it('sets no timer for what has no end', async () => {
    const sparse = spec({});
    for (let i = 0; i < 1_000; i += 1) {
      const handle = await runtime.launch({ ...sparse, labels: labels({ attempt: i }) }, noSignal(), {
        line: () => undefined,
      });
      runtime.attach(handle, { line: () => undefined });
    }
    expect(clock.pending).toBe(0);
    expect(await runtime.list()).toHaveLength(1_000);
  });
});
