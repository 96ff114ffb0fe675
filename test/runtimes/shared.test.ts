/** Lines, last words, masks and marks: what all runtimes share. */
import { describe, expect, it } from 'vitest';
import { LastLines, maskOf } from '../../src/runtimes/ending.ts';
import { LineSplitter } from '../../src/runtimes/lines.ts';
import { labelsIn, markOf } from '../../src/runtimes/mark.ts';
import { OutputGate } from '../../src/runtimes/output-gate.ts';
import type { OutputLimits } from '../../src/runtimes/output-gate.ts';
import { labels } from '../contracts/runtime.ts';

describe('a splitter of lines', () => {
  const split = (chunks: readonly (string | Buffer)[], limit?: number) => {
    const lines: string[] = [];
    let dropped = 0;
    const splitter = new LineSplitter(
      (line) => lines.push(line.toString('utf8')),
      (bytes) => (dropped += bytes),
      limit,
    );
    for (const chunk of chunks) splitter.push(Buffer.from(chunk as string));
    splitter.end();
    return { lines, dropped };
  };

  it.each([
    [['one\ntwo\n'], ['one', 'two']],
    [
      ['on', 'e\nt', 'wo'],
      ['one', 'two'],
    ],
    [
      ['one\r\n', 'two\r', '\n\r\n'],
      ['one', 'two', ''],
    ],
    [['\n\n'], ['', '']],
    [['10%\r20%\n'], ['10%\r20%']],
    [[''], []],
  ])('makes of %j the lines %j', (chunks, lines) => {
    expect(split(chunks)).toEqual({ lines, dropped: 0 });
  });

  it('puts characters together that came in pieces', () => {
    const bytes = Buffer.from('a🐚b\n');
    for (let cut = 1; cut < bytes.length; cut += 1) {
      expect(split([bytes.subarray(0, cut), bytes.subarray(cut)]).lines).toEqual(['a🐚b']);
    }
  });

  it.each([1, 2, 3, 7, 100])('cuts at the limit, whatever the size of the pieces (%i)', (size) => {
    const text = 'é'.repeat(20) + '\nshort\n' + 'x'.repeat(11) + '\n' + 'y'.repeat(10);
    const chunks: Buffer[] = [];
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    expect(split(chunks, 11)).toEqual({
      lines: ['ééééé', 'short', 'x'.repeat(11), 'y'.repeat(10)],
      dropped: 30,
    });
  });
});

describe('last words', () => {
  const last = (lines: readonly string[], secrets: readonly string[] = []) => {
    const kept = new LastLines(maskOf(secrets));
    for (const line of lines) kept.add(line);
    return kept.read();
  };

  it('are at most 20 lines', () => {
    const lines = Array.from({ length: 50 }, (_, i) => `line ${i}`);
    expect(last(lines)).toEqual(lines.slice(30));
    expect(last([])).toBeUndefined();
  });

  it('are at most 4 KiB of UTF-8, the newest first to be kept', () => {
    const lines = Array.from({ length: 10 }, (_, i) => `${i}${'é'.repeat(500)}`);
    const kept = last(lines)!;
    expect(kept).toEqual(lines.slice(6));
    const one = last(['old', 'é'.repeat(5_000)])!;
    expect(one).toHaveLength(1);
    expect(Buffer.byteLength(one[0]!)).toBeLessThanOrEqual(4_096);
    expect(one[0]).not.toContain('\ufffd');
  });

  it('show no secret, also none that would be cut in two, contains another, or has lines', () => {
    expect(last(['key=abcdef!'], ['abc', 'abcd', 'abcdef'])).toEqual(['key=***!']);
    expect(last(['x'.repeat(4_090) + 'secret-value'], ['secret-value'])![0]).not.toContain('secret');
    expect(last(['{"pem":"a\\"b\\nc"}', 'http://x/?key=a%22b%0Ac'], ['a"b\nc'])).toEqual([
      '{"pem":"***"}',
      'http://x/?key=***',
    ]);
    expect(last(['-----BEGIN-----', 'c2VjcmV0'], ['-----BEGIN-----\nc2VjcmV0\n'])).toEqual(['***', '***']);
  });

  it('leave very short secrets alone, which are no secrets', () => {
    expect(last(['exit 1'], ['1'])).toEqual(['exit 1']);
  });
});

describe('a mark', () => {
  it('holds labels with any names', () => {
    for (const agent of ['plain', 'with / and % and ü', '=', ' ']) {
      const all = labels({ agent, attempt: 12 });
      expect(labelsIn(markOf(all))).toEqual(all);
      expect(markOf(all)).not.toMatch(/\s/);
    }
  });

  it.each(['', 'a/b', 'a/b/c/d', 'a/b/1/%', 'a/b/1/c/d'])('is not %j', (text) => {
    expect(labelsIn(text)).toBeUndefined();
  });
});

describe('the gate for output', () => {
  /** A gate whose clock is turned by hand, and what became of the lines that came to it. */
  const gateWith = (limits: OutputLimits) => {
    const at = { now: 1_000_000 };
    const passed: string[] = [];
    const given: string[] = [];
    const gate = new OutputGate(
      limits,
      () => at.now,
      (io, bytes, time) => passed.push(`${io} ${time} ${bytes.toString()}`),
      (_io, bytes) => given.push(bytes.toString()),
    );
    const push = (...lines: readonly string[]): void => {
      for (const line of lines) gate.push('out', Buffer.from(line), 7);
    };
    return { at, gate, passed, given, push };
  };
  const lines = (from: number, to: number): string[] =>
    Array.from({ length: to - from + 1 }, (_, i) => String(from + i).padEnd(44, '.'));

  it('lets a burst through, and later what the rate allows, in order', async () => {
    const { at, gate, passed, given, push } = gateWith({
      bytesPerSecond: 3_000,
      burst: 15_000,
      held: 10_000,
    });
    push(...lines(1, 60));
    expect(passed).toHaveLength(50);
    expect(gate.isShut).toBe(true);
    at.now += 1_000;
    await expect.poll(() => passed, { timeout: 20_000 }).toHaveLength(60);
    expect(passed).toEqual(lines(1, 60).map((line) => `out 7 ${line}`));
    expect(given).toEqual([]);
    expect(gate.isShut).toBe(false);
    at.now += 3_600_000;
    push(...lines(61, 120));
    expect(passed).toHaveLength(110);
    gate.clear();
  });

  it('keeps the newest of what waits, and gives the oldest up', async () => {
    const { gate, passed, given, push } = gateWith({ bytesPerSecond: 1, burst: 3_000, held: 10 * (44 + 64) });
    push(...lines(1, 5_000));
    await gate.finish();
    expect(passed).toEqual([...lines(1, 10), ...lines(4_991, 5_000)].map((line) => `out 7 ${line}`));
    expect(given).toEqual(lines(11, 4_990));
  });

  it('takes lines of any length, empty ones and both outputs', async () => {
    const { gate, passed } = gateWith({ bytesPerSecond: 1, burst: 1, held: 10_000_000 });
    const texts = ['', 'x'.repeat(200_000), 'é', ...lines(1, 3_000), 'y'.repeat(65_536), ''];
    const reused = Buffer.alloc(200_000);
    for (const [index, text] of texts.entries()) {
      const width = reused.write(text);
      gate.push(index % 2 === 0 ? 'out' : 'error', reused.subarray(0, width), index);
    }
    await gate.finish();
    expect(passed).toEqual(
      texts.map((text, index) => `${index % 2 === 0 ? 'out' : 'error'} ${index} ${text}`),
    );
  });

  it('holds no more of lines that are empty than of others', async () => {
    const { gate, passed, given, push } = gateWith({ bytesPerSecond: 1, burst: 1, held: 64 * 2_000 });
    push(...Array.from({ length: 100_000 }, () => ''));
    expect(given).toHaveLength(98_000);
    await gate.finish();
    expect(passed).toHaveLength(2_000);
  });

  it('is not confused by a clock that goes back', async () => {
    const { at, gate, passed, push } = gateWith({ bytesPerSecond: 1_000, burst: 300, held: 1_000 });
    push(...lines(1, 1));
    at.now = 0;
    push(...lines(2, 2));
    expect(passed).toHaveLength(1);
    at.now = 300;
    await expect.poll(() => passed, { timeout: 20_000 }).toHaveLength(2);
    gate.clear();
  });
});
