import { expect, test } from 'vitest';
import { parseDuration } from '../../src/domain/duration.ts';
import { nearest } from '../../src/domain/nearest.ts';
import { formatPath } from '../../src/domain/problem.ts';
import { parseSize } from '../../src/domain/size.ts';

test.each<[unknown, number | undefined]>([
  ['500ms', 500],
  ['30s', 30_000],
  ['1.1s', 1_100],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['250', 250],
  [' 3 s ', 3_000],
  [42, 42],
  [0, 0],
  [-1, undefined],
  [1.5, undefined],
  ['1.0005s', undefined],
  ['5 minutes', undefined],
  ['-5s', undefined],
  ['', undefined],
  [true, undefined],
  [Number.NaN, undefined],
])('the duration %j is %j ms', (given, ms) => {
  expect(parseDuration(given)).toBe(ms);
});

test.each<[unknown, number | undefined]>([
  ['512MiB', 536_870_912],
  ['64kB', 64_000],
  ['64k', 65_536],
  ['1.5 GB', 1_500_000_000],
  ['1g', 1_073_741_824],
  [{ size: 1.5, unit: 'MiB' }, 1_572_864],
  [{ size: 1.01, unit: 'kB' }, 1_010],
  [{ size: 12 }, 12],
  [100, 100],
  ['100', 100],
  [-1, undefined],
  ['12 parsecs', undefined],
  [{ size: '1', unit: 'MiB' }, undefined],
  [{ size: 1, unit: 'XiB' }, undefined],
  [undefined, undefined],
])('the size %j is %j bytes', (given, bytes) => {
  expect(parseSize(given)).toBe(bytes);
});

test.each([
  ['exectuable', ['executable', 'docker'], 'executable'],
  ['inheritEnvironment', ['environment', 'inherit_environment'], 'inherit_environment'],
  ['colour', ['type', 'default'], undefined],
  ['x', ['y'], undefined],
])('the word nearest to %s among %j is %s', (word, candidates, found) => {
  expect(nearest(word, candidates)).toBe(found);
});

test('paths are written the way people write them', () => {
  expect(formatPath(['options', 'URL', 'type'])).toBe('options.URL.type');
  expect(formatPath(['llm', 'proxies', 1, 'na.me'])).toBe('llm.proxies[1]."na.me"');
});
