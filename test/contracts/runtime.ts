/**
 * What every runtime owes its caller (ports/runtime.ts), on real programs. `make` builds a world: a runtime and a way
 * to say, for that runtime, what a test program does. What a runtime cannot do its world says, with the reason.
 */
import { afterEach, beforeEach, describe, expect, it, onTestFailed } from 'vitest';
import type { Ending } from '../../src/domain/exit.ts';
import type { Labels, LaunchSpec } from '../../src/domain/launch.ts';
import { LaunchFailure } from '../../src/ports/runtime.ts';
import type { Attachment, Handle, Line, Observer, Runtime } from '../../src/ports/runtime.ts';

/** What a test program does. */
export type Program =
  /** Prints lines (those beginning with `!` on stderr) and ends at once. */
  | { readonly does: 'print'; readonly lines: readonly string[]; readonly code: number }
  /** Prints `line 1` … `line N` and ends with code 0. */
  | { readonly does: 'count'; readonly lines: number }
  /** Prints `ready` and runs until it is asked to end. */
  | { readonly does: 'wait' }
  /** Prints `ready` and takes no notice of a request to end. */
  | { readonly does: 'ignore' }
  /** Prints `NAME=VALUE` for its whole environment, then ends with code 0. */
  | { readonly does: 'environment' }
  /** Ends itself by a signal. */
  | { readonly does: 'die'; readonly signal: string }
  /** Cannot be started. */
  | { readonly does: 'fail' };

export interface RuntimeWorld {
  readonly runtime: Runtime;
  /** The launch of a program; `more` replaces parts of the spec. */
  spec(program: Program, more?: Partial<LaunchSpec>): LaunchSpec;
  /** Another runtime object over the same outside, as after a crash of the server. Absent: nothing outlives it. */
  secondLife?(): Promise<Runtime>;
  close(): Promise<void>;
}

/** What a runtime's nature keeps it from; each with the reason, which becomes the name of the skipped test. */
export interface Limits {
  /** Codes other than 0 and 1. */
  readonly exitCodes?: string;
  readonly stderr?: string;
  readonly environment?: string;
  readonly signals?: string;
  readonly count?: string;
  /** A program that ignores the request cannot be ended by force. */
  readonly force?: string;
  readonly secondLife?: string;
  /** Endings that nobody wrote down are gone with the server. */
  readonly endings?: string;
}

/** One for each test file (each runs in a process of its own): what others run on this machine is not ours to see. */
export const INSTANCE = `test-${process.pid}`;

export const labels = (more: Partial<Labels> = {}): Labels => ({
  instance: INSTANCE,
  session: '11111111-2222-7333-8444-555555555555',
  agent: 'agent one',
  attempt: 1,
  ...more,
});

/** An observer that remembers, and tells when a line has come. */
export class Ears implements Observer {
  readonly lines: Line[] = [];
  droppedBytes = 0;
  ended: Ending | undefined;
  attachment: Attachment | undefined;
  private waiting: { wanted: string; heard: () => void }[] = [];

  line(line: Line): void {
    if (this.ended) throw new Error(`The line "${line.text}" came after the end.`);
    this.lines.push(line);
    const heard = this.waiting.filter(({ wanted }) => line.text.includes(wanted));
    this.waiting = this.waiting.filter((one) => !heard.includes(one));
    for (const one of heard) one.heard();
  }

  dropped(bytes: number): void {
    this.droppedBytes += bytes;
  }

  attachTo(runtime: Runtime, handle: Handle): this {
    this.attachment = runtime.attach(handle, this);
    void this.attachment.ended.then((ending) => (this.ended = ending));
    return this;
  }

  async heard(wanted: string): Promise<Line> {
    const known = this.lines.find(({ text }) => text.includes(wanted));
    if (!known) await new Promise<void>((heard) => this.waiting.push({ wanted, heard }));
    return this.lines.find(({ text }) => text.includes(wanted))!;
  }

  get end(): Promise<Ending> {
    return this.attachment!.ended;
  }

  texts(io: Line['io'] = 'out'): string[] {
    return this.lines.filter((line) => line.io === io).map(({ text }) => text);
  }
}

export const noSignal = (): AbortSignal => new AbortController().signal;
const deaf: Observer = { line: () => undefined };
const AMPLE = 30_000;

/** Whether a promise is settled when everything that is under way in this turn has had its chance. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => (settled = true));
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

export function runtimeContract(name: string, make: () => Promise<RuntimeWorld>, limits: Limits = {}): void {
  const unless = (limit: string | undefined): typeof it =>
    limit === undefined ? it : (it.skip as typeof it);
  const because = (limit: string | undefined): string => (limit === undefined ? '' : ` (${limit})`);

  describe(`${name} keeps the runtime contract`, () => {
    let world: RuntimeWorld;
    let runtime: Runtime;

    beforeEach(async () => {
      world = await make();
      runtime = world.runtime;
      const reason = await runtime.unavailable();
      if (reason !== undefined) throw new Error(reason);
    });
    afterEach(async () => {
      for (const { handle } of await runtime.list()) await runtime.stop(handle, 0);
      await world.close();
    });

    const launch = async (program: Program, more?: Partial<LaunchSpec>): Promise<Handle> =>
      runtime.launch(world.spec(program, more), noSignal(), deaf);
    const run = async (program: Program, more?: Partial<LaunchSpec>): Promise<Ears> => {
      const ears = new Ears().attachTo(runtime, await launch(program, more));
      onTestFailed(() => console.error(ears.lines, ears.ended)); // eslint-disable-line no-console
      return ears;
    };

    it('gives a handle that is plain JSON', async () => {
      const handle = await launch({ does: 'wait' });
      expect(handle.runtime).toBe(runtime.kind);
      expect(JSON.parse(JSON.stringify(handle))).toEqual(handle);
    });

    it('hears everything a program says that prints and ends at once, in order', async () => {
      const lines = ['first', '', 'with  blanks  inside', 'Grüße 🐚', 'last'];
      const ears = await run({ does: 'print', lines, code: 0 });
      expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 0, lastLines: lines });
      expect(ears.texts()).toEqual(lines);
    });

    it('keeps the output of a program that ended before anybody attached', async () => {
      const quick = await launch({ does: 'print', lines: ['early'], code: 0 });
      // Another one, launched later and seen to its end, so that the first has surely ended too.
      const other = await run(
        { does: 'print', lines: ['late'], code: 0 },
        { labels: labels({ agent: 'b' }) },
      );
      await other.end;
      const ears = new Ears().attachTo(runtime, quick);
      expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 0 });
      expect(ears.texts()).toEqual(['early']);
    });

    unless(limits.stderr)(`tells stderr from stdout${because(limits.stderr)}`, async () => {
      const ears = await run({ does: 'print', lines: ['plain', '!trouble'], code: 0 });
      await ears.end;
      expect(ears.texts('out')).toEqual(['plain']);
      expect(ears.texts('error')).toEqual(['trouble']);
    });

    unless(limits.count)(`loses no line of many${because(limits.count)}`, async () => {
      const ears = await run({ does: 'count', lines: 20_000 });
      expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 0 });
      expect(ears.texts()).toEqual(Array.from({ length: 20_000 }, (_, i) => `line ${i + 1}`));
      expect(ears.droppedBytes).toBe(0);
    });

    it('says that a program failed', async () => {
      const ears = await run({ does: 'print', lines: ['oh no'], code: 1 });
      const ending = await ears.end;
      expect(ending).toMatchObject({ kind: 'exited', exitCode: 1 });
      expect(ending.detail).toMatch(/\.$/);
    });

    unless(limits.exitCodes)(`reports any exit code${because(limits.exitCodes)}`, async () => {
      const ears = await run({ does: 'print', lines: [], code: 42 });
      expect(await ears.end).toMatchObject({ kind: 'exited', exitCode: 42 });
    });

    unless(limits.signals)(`names the signal that ended a program${because(limits.signals)}`, async () => {
      const ears = await run({ does: 'die', signal: 'ABRT' });
      expect(await ears.end).toMatchObject({ kind: 'signalled', signal: 'SIGABRT' });
    });

    it('keeps the last 20 lines, with secrets masked', async () => {
      const lines = Array.from({ length: 30 }, (_, i) => `line ${i} of a-secret-value`);
      const ears = await run({ does: 'print', lines, code: 0 }, { secrets: ['a-secret-value'] });
      const { lastLines } = await ears.end;
      expect(lastLines).toEqual(Array.from({ length: 20 }, (_, i) => `line ${i + 10} of ***`));
    });

    unless(limits.environment)(
      `gives the environment of the launch and nothing of the server's own${because(limits.environment)}`,
      async () => {
        const environment = { CORAL_AGENT_ID: 'agent one', GREETING: 'a = b\tc', EMPTY: '' };
        const ears = await run({ does: 'environment' }, { environment });
        await ears.end;
        expect(ears.texts()).toEqual(
          expect.arrayContaining(['CORAL_AGENT_ID=agent one', 'GREETING=a = b\tc', 'EMPTY=']),
        );
        expect(ears.texts().filter((text) => text.startsWith('VITEST'))).toEqual([]);
      },
    );

    it('says why a program cannot be started, and leaves nothing of it', async () => {
      const failure = await launch({ does: 'fail' }).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failure).toBeInstanceOf(LaunchFailure);
      expect((failure as LaunchFailure).message).toMatch(/^\S.*\S$/);
      expect(await runtime.list()).toEqual([]);
    });

    it('gives up a launch that was aborted, and leaves nothing of it', async () => {
      const abort = new AbortController();
      abort.abort();
      await expect(runtime.launch(world.spec({ does: 'wait' }), abort.signal, deaf)).rejects.toBeInstanceOf(
        LaunchFailure,
      );
      expect(await runtime.list()).toEqual([]);
    });

    it('gives up a launch that is aborted under way, or has launched', async () => {
      const abort = new AbortController();
      const launching = runtime.launch(world.spec({ does: 'wait' }), abort.signal, deaf);
      abort.abort();
      const outcome = await launching.catch((error: unknown) => error);
      if (outcome instanceof LaunchFailure) expect(await runtime.list()).toEqual([]);
      else expect(await runtime.list()).toHaveLength(1);
    });

    it('ends a program that heeds the request, and says so once it is gone', async () => {
      const ears = await run({ does: 'wait' });
      await ears.heard('ready');
      const receipt = await runtime.stop(await only(), AMPLE);
      expect(receipt).toEqual({ gone: true, left: [] });
      expect(['exited', 'signalled']).toContain((await ears.end).kind);
      expect(await runtime.list()).toEqual([]);
    });

    unless(limits.force)(`ends a program by force that does not${because(limits.force)}`, async () => {
      const ears = await run({ does: 'ignore' });
      await ears.heard('ready');
      expect(await runtime.stop(await only(), 50)).toEqual({ gone: true, left: [] });
      expect(await ears.end).toMatchObject({ kind: 'signalled', signal: 'SIGKILL' });
    });

    unless(limits.force)(`uses force at once when there is no grace${because(limits.force)}`, async () => {
      const ears = await run({ does: 'ignore' });
      await ears.heard('ready');
      expect((await runtime.stop(await only(), 0)).gone).toBe(true);
      expect(await ears.end).toMatchObject({ kind: 'signalled', signal: 'SIGKILL' });
    });

    unless(limits.force)(
      `joins a second request with the first; the shorter grace counts${because(limits.force)}`,
      async () => {
        const ears = await run({ does: 'ignore' });
        await ears.heard('ready');
        const handle = await only();
        const first = runtime.stop(handle, 3_600_000);
        const second = runtime.stop(handle, 0);
        expect(await second).toEqual({ gone: true, left: [] });
        expect(await first).toEqual({ gone: true, left: [] });
      },
    );

    it('answers a request to end what has ended', async () => {
      const handle = await launch({ does: 'print', lines: [], code: 0 });
      await new Ears().attachTo(runtime, handle).end;
      expect(await runtime.stop(handle, AMPLE)).toEqual({ gone: true, left: [] });
      expect(await runtime.stop(handle, 0)).toEqual({ gone: true, left: [] });
    });

    it('tells everybody who is attached how it ended', async () => {
      const handle = await launch({ does: 'wait' });
      const one = new Ears().attachTo(runtime, handle);
      await one.heard('ready');
      const two = new Ears().attachTo(runtime, handle);
      await runtime.stop(handle, AMPLE);
      expect(await two.end).toEqual(await one.end);
    });

    it('says nothing more to whom has detached, and the thing lives on', async () => {
      const handle = await launch({ does: 'wait' });
      const gone = new Ears().attachTo(runtime, handle);
      await gone.heard('ready');
      gone.attachment!.detach();
      const before = gone.lines.length;
      expect(await runtime.list()).toHaveLength(1);
      const stays = new Ears().attachTo(runtime, handle);
      await runtime.stop(handle, AMPLE);
      await stays.end;
      expect(await isSettled(gone.end)).toBe(false);
      expect(gone.lines).toHaveLength(before);
    });

    it('stays pending while the thing lives', async () => {
      const ears = await run({ does: 'wait' });
      await ears.heard('ready');
      expect(await isSettled(ears.end)).toBe(false);
    });

    it('says of what it does not know that it is lost', async () => {
      const handle = await launch({ does: 'print', lines: [], code: 0 });
      await new Ears().attachTo(runtime, handle).end;
      const unknown = { runtime: runtime.kind, id: 'never-heard-of' };
      expect(await new Ears().attachTo(runtime, unknown).end).toMatchObject({ kind: 'lost' });
      expect(await runtime.stop(unknown, AMPLE)).toEqual({ gone: true, left: [] });
    });

    it('lists what lives, with its labels, and nothing else', async () => {
      const a = await run({ does: 'wait' }, { labels: labels({ agent: 'a', attempt: 3 }) });
      const b = await run({ does: 'wait' }, { labels: labels({ agent: 'b/ü %' }) });
      await Promise.all([a.heard('ready'), b.heard('ready')]);
      const found = await runtime.list();
      expect(found.map((one) => one.labels)).toEqual(
        expect.arrayContaining([labels({ agent: 'a', attempt: 3 }), labels({ agent: 'b/ü %' })]),
      );
      expect(found).toHaveLength(2);
      for (const { handle } of found) await runtime.stop(handle, AMPLE);
      await Promise.all([a.end, b.end]);
      expect(await runtime.list()).toEqual([]);
    });

    unless(limits.secondLife)(
      `finds and ends what an earlier life of the server left${because(limits.secondLife)}`,
      async () => {
        const ears = await run({ does: 'wait' });
        await ears.heard('ready');
        const handle = await only();
        const later = await world.secondLife!();
        const watching = new Ears().attachTo(later, JSON.parse(JSON.stringify(handle)) as Handle);
        const [found] = await later.list();
        expect(found!.labels).toEqual(labels());
        expect(found!.handle.id).toBe(handle.id);
        expect(await later.stop(found!.handle, AMPLE)).toEqual({ gone: true, left: [] });
        const ending = await watching.end;
        expect(['exited', 'signalled', 'lost']).toContain(ending.kind);
        expect(await later.list()).toEqual([]);
        await later.close();
      },
    );

    unless(limits.endings)(
      `tells a later life of the server how it ended, until that is written down${because(limits.endings)}`,
      async () => {
        const handle = await launch({ does: 'print', lines: ['last words'], code: 1 });
        const ending = await new Ears().attachTo(runtime, handle).end;
        // The server is killed here: it was told, and wrote nothing down.
        const later = await world.secondLife!();
        expect(await later.ended!()).toEqual([
          { handle: expect.objectContaining({ id: handle.id }), labels: labels() },
        ]);
        expect(await new Ears().attachTo(later, handle).end).toEqual(ending);
        await later.release!(handle);
        expect(await later.ended!()).toEqual([]);
        expect(await new Ears().attachTo(later, handle).end).toMatchObject({ kind: 'lost' });
        await later.close();
      },
    );

    it('tells an agent how to reach a port of the server', () => {
      expect(runtime.addressOf(5555)).toMatch(/^\S+:5555$/);
    });

    const only = async (): Promise<Handle> => {
      const found = await runtime.list();
      expect(found).toHaveLength(1);
      return found[0]!.handle;
    };
  });
}
