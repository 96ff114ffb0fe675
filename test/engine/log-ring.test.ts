/** The newest lines of a log. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LogRing } from '../../src/engine/log-ring.ts';
import { runs } from '../support/runs.ts';

it('keeps as many of the newest lines as it was told to, whatever they hold', () => {
  const lines = fc.array(fc.oneof(fc.string({ unit: 'grapheme' }), fc.constant('')), { maxLength: 40 });
  fc.assert(
    fc.property(lines, fc.integer({ min: 1, max: 20 }), (texts, size) => {
      const ring = new LogRing<string>(size, Infinity);
      texts.forEach((text, at) => ring.add(`source ${at % 3}`, at, text));
      expect(ring.next).toBe(texts.length);
      expect(ring.first).toBe(Math.max(0, texts.length - size));
      expect(ring.at(ring.first - 1)).toBeUndefined();
      expect(ring.at(ring.next)).toBeUndefined();
      for (let at = ring.first; at < ring.next; at += 1) {
        const text = Buffer.from(texts[at]!).toString(); // a lone surrogate is no text
        expect(ring.at(at)).toEqual({ source: `source ${at % 3}`, time: at, text });
        expect(ring.sourceOf(at)).toBe(`source ${at % 3}`);
      }
    }),
    runs(100),
  );
});

it('is bounded in bytes: the oldest lines go, and the newest is always there', () => {
  const ring = new LogRing<number>(1_000_000, 1024 * 1024);
  const text = 'x'.repeat(1_000);
  for (let at = 0; at < 10_000; at += 1) ring.add(0, at, text);
  const kept = ring.next - ring.first;
  expect(kept * text.length).toBeLessThanOrEqual(1024 * 1024);
  expect(kept * text.length).toBeGreaterThan(512 * 1024);
  ring.add(0, 0, 'y'.repeat(3 * 1024 * 1024));
  expect(ring.at(ring.next - 1)?.text.length).toBe(3 * 1024 * 1024);
});
