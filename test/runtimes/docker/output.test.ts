/** What a container prints faster than it is let through, over cuts of its stream and a later life of the server. */
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { CatchUp, LineMemory } from '../../../src/runtimes/docker/catch-up.ts';
import { ContainerOutput } from '../../../src/runtimes/docker/output.ts';

const LINES = 6_000;
const ALL = Array.from({ length: LINES }, (_, i) => `line ${String(i + 1).padStart(5, '0')}`);
const WIDTH = ALL[0]!.length;
/** Entries of a log, a few of which bear one timestamp. */
const ENTRIES = ALL.map(
  (text, i) => `2026-01-01T00:00:00.${String(Math.floor(i / 3)).padStart(9, '0')}Z ${text}\n`,
);

function frame(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(8);
  head[0] = 1;
  head.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([head, bytes]);
}

/** A container that was attached to, and what was heard of it. */
class Heard {
  readonly lines: { readonly text: string; readonly at: string }[] = [];
  dropped = 0;
  readonly output: ContainerOutput;

  constructor(passing: number, held: number) {
    this.output = new ContainerOutput({
      take: (_io, bytes, _time, at) => void this.lines.push({ text: bytes.toString(), at }),
      dropped: (bytes) => void (this.dropped += bytes),
      ended: () => undefined,
      now: () => 0,
      limits: { bytesPerSecond: 1, burst: passing * (WIDTH + 256), held: held * (WIDTH + 64) },
    });
    this.output.open();
  }

  get texts(): string[] {
    return this.lines.map(({ text }) => text);
  }

  /** A stream with all of it, which is read before this resolves. */
  async reads(frames: readonly string[], begin: (stream: IncomingMessage) => void): Promise<void> {
    const stream = new PassThrough();
    const before = this.output.received;
    begin(stream as unknown as IncomingMessage);
    const bytes = Buffer.concat(frames.map(frame));
    for (let at = 0; at < bytes.length; at += 60_000) stream.write(bytes.subarray(at, at + 60_000));
    await expect.poll(() => this.output.received - before, { timeout: 20_000 }).toBe(bytes.length);
  }
}

it('the newest is kept of what comes too fast, and every byte that had to go is counted', async () => {
  const heard = new Heard(500, 1_000);
  await heard.reads(
    ALL.map((text) => `${text}\n`),
    (stream) => heard.output.follow(stream),
  );
  await heard.output.finish();
  expect(heard.texts).toEqual([...ALL.slice(0, 500), ...ALL.slice(-1_000)]);
  expect(heard.dropped).toBe((LINES - 1_500) * (WIDTH + 1));
});

it('a stream that is cut while lines wait goes on in the logs: no line twice, none uncounted', async () => {
  const heard = new Heard(500, 1_000);
  await heard.reads(
    ALL.slice(0, 2_000).map((text) => `${text}\n`),
    (stream) => heard.output.follow(stream),
  );
  await heard.reads(ENTRIES.slice(0, 4_000), (stream) => heard.output.resume(stream));
  expect(heard.output.memory.since()).toBeDefined();
  await heard.reads(ENTRIES.slice(sinceIndex(heard.output.memory)), (stream) => heard.output.resume(stream));
  await heard.output.finish();
  expect(heard.texts).toEqual([...new Set(heard.texts)].sort());
  expect(heard.texts.slice(-1_000)).toEqual(ALL.slice(-1_000));
  expect(heard.dropped).toBe((LINES - heard.texts.length) * (WIDTH + 1));
});

it('from any line that got through a later life goes on behind it', async () => {
  const heard = new Heard(500, 3_000);
  await heard.reads(
    ALL.slice(0, 100).map((text) => `${text}\n`),
    (stream) => heard.output.follow(stream),
  );
  await heard.reads(ENTRIES, (stream) => heard.output.resume(stream));
  await heard.output.finish();
  for (let index = 0; index < heard.lines.length; index += 97) {
    const { text, at } = heard.lines[index]!;
    const memory = new LineMemory();
    memory.recall(at, []);
    const next: string[] = [];
    const catchUp = new CatchUp(memory, (_io, bytes) => void next.push(bytes.toString()));
    for (const entry of ENTRIES.slice(sinceIndex(memory))) catchUp.push('out', Buffer.from(entry), true);
    expect(next[0]).toBe(ALL[ALL.indexOf(text) + 1]);
  }
});

/** Where the log begins that the engine gives to whom asks with the memory's `since`. */
function sinceIndex(memory: LineMemory): number {
  const stamp = memory.stamp?.text;
  return stamp === undefined ? 0 : ENTRIES.findIndex((entry) => entry.startsWith(stamp));
}
