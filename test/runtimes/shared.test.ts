/** Lines, last words, masks and marks: what all runtimes share. */
import { describe, expect, it } from 'vitest';
import { LastLines, maskOf } from '../../src/runtimes/ending.ts';
import { LineSplitter } from '../../src/runtimes/lines.ts';
import { labelsIn, markOf } from '../../src/runtimes/mark.ts';
import { OutputGate } from '../../src/runtimes/output-gate.ts';
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
  it('lets a burst through, then what the rate allows', () => {
    let now = 0;
    const gate = new OutputGate({ bytesPerSecond: 3_000, burst: 15_000 }, () => now);
    const passing = (tries: number): number =>
      Array.from({ length: tries }, () => gate.passes(44)).filter(Boolean).length;
    expect(passing(100)).toBe(50);
    now += 1_000;
    expect(passing(100)).toBe(10);
    now += 3_600_000;
    expect(passing(100)).toBe(50);
  });

  it('is not confused by a clock that goes back', () => {
    let now = 1_000_000;
    const gate = new OutputGate({ bytesPerSecond: 1_000, burst: 300 }, () => now);
    expect(gate.passes(44)).toBe(true);
    now = 0;
    expect(gate.passes(44)).toBe(false);
    now = 1_000;
    expect(gate.passes(44)).toBe(true);
  });
});
