import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { EnvironmentError, Options } from 'coral/agent';

const folder = mkdtempSync(join(tmpdir(), 'coral-options-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe('options in variables', () => {
  const options = new Options({
    NAME: 'Zoë, and more',
    EMPTY: '',
    YES: '1',
    NO: '0',
    BYTES: Buffer.from([0, 255, 10]).toString('base64'),
    SMALL: '-128',
    BIG: '18446744073709551615',
    DEEP: '-9223372036854775808',
    RATIO: '0.25',
    NAMES: 'a,b,c',
    HIDDEN: [Buffer.from('x,y').toString('base64'), Buffer.from('z').toString('base64')].join(','),
    NUMBERS: '1,2,3',
  });

  test('are read with their types', () => {
    expect(options.string('NAME')).toBe('Zoë, and more');
    expect(options.string('EMPTY')).toBe('');
    expect([options.bool('YES'), options.bool('NO')]).toEqual([true, false]);
    expect(options.blob('BYTES')).toEqual(new Uint8Array([0, 255, 10]));
    expect(options.i8('SMALL')).toBe(-128);
    expect(options.u64('BIG')).toBe(18446744073709551615n);
    expect(options.i64('DEEP')).toBe(-9223372036854775808n);
    expect(options.f64('RATIO')).toBe(0.25);
  });

  test('lists are split, decoded where they were encoded, and empty when missing', () => {
    expect(options.list('NAMES')).toEqual(['a', 'b', 'c']);
    expect(options.list('HIDDEN', 'string', { base64: true })).toEqual(['x,y', 'z']);
    expect(options.list('NUMBERS', 'u32')).toEqual([1, 2, 3]);
    expect(options.list('EMPTY')).toEqual([]);
    expect(options.list('NOTHING')).toEqual([]);
  });

  test.each([
    ['u8', 'SMALL'],
    ['i8', 'BIG'],
    ['i64', 'BIG'],
    ['u32', 'RATIO'],
    ['bool', 'NAME'],
    ['f64', 'EMPTY'],
  ] as const)('a value that is no %s is refused with its name: %s', (type, name) => {
    expect(() => options[type](name)).toThrow(EnvironmentError);
    expect(() => options[type](name)).toThrow(new RegExp(`${name} should be a ${type}`));
  });

  test('a missing one takes the fallback, or is refused', () => {
    expect(options.u32('DELAY', 7)).toBe(7);
    expect(options.bool('FLAG', false)).toBe(false);
    expect(() => options.u32('DELAY')).toThrow(/Option DELAY is missing/);
    expect([options.has('NAME'), options.has('DELAY')]).toEqual([true, false]);
  });
});

describe('options in files', () => {
  const wide = Buffer.alloc(8);
  wide.writeBigUInt64BE(18446744073709551615n);
  const options = new Options({
    TEXT: file('text', 'Zoë\n'),
    FLAG: file('flag', new Uint8Array([1])),
    BYTES: file('bytes', new Uint8Array([0, 255])),
    SMALL: file('small', new Uint8Array([0xff, 0xfe])),
    WIDE: file('wide', wide),
    LIST: [file('one', 'a,b'), file('two', 'c')].join(delimiter),
    GONE: join(folder, 'gone'),
  }).files;

  test('are read in their binary form', () => {
    expect(options.string('TEXT')).toBe('Zoë\n');
    expect(options.bool('FLAG')).toBe(true);
    expect(options.blob('BYTES')).toEqual(new Uint8Array([0, 255]));
    expect(options.i16('SMALL')).toBe(-2);
    expect(options.u64('WIDE')).toBe(18446744073709551615n);
    expect(options.list('LIST')).toEqual(['a,b', 'c']);
  });

  test('a file of a wrong width or that is not there is refused with its option', () => {
    expect(() => options.u32('SMALL')).toThrow(/SMALL should be a u32 of 4 bytes, but its file has 2/);
    expect(() => options.string('GONE')).toThrow(/GONE should lie in the file .*gone/);
  });
});
