import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkOption, optionFromPlain } from '../../src/domain/option-check.ts';
import { encodeForEnvironment, encodeForFile } from '../../src/domain/option-encode.ts';
import { elementType, looksSecret, OPTION_TYPES } from '../../src/domain/option.ts';
import type { OptionDefinition, OptionType, OptionValidation } from '../../src/domain/option.ts';
import { INTEGER_RANGES } from '../../src/domain/option-value.ts';
import type { IntegerType } from '../../src/domain/option-value.ts';
import { runs } from '../support/runs.ts';

function option(type: OptionType, validation?: OptionValidation): OptionDefinition {
  return {
    type,
    required: false,
    transport: 'env',
    secret: false,
    base64: false,
    ...(validation === undefined ? {} : { validation }),
  };
}

const onWire = (type: OptionType, value: unknown, validation?: OptionValidation) =>
  checkOption(option(type, validation), { type, value });
const inFile = (type: OptionType, value: unknown, validation?: OptionValidation) =>
  optionFromPlain(option(type, validation), value);
const valueOf = (checked: ReturnType<typeof onWire>): unknown =>
  'value' in checked ? checked.value.value : checked;
const faultOf = (checked: ReturnType<typeof onWire>): string => ('fault' in checked ? checked.fault : '');

const INTEGERS = Object.keys(INTEGER_RANGES) as IntegerType[];
const WIDE: IntegerType[] = ['i64', 'u64'];

describe('types', () => {
  test('there are 13 scalars and lists of all of them but bool', () => {
    expect(OPTION_TYPES).toHaveLength(25);
    expect(OPTION_TYPES).not.toContain('list[bool]');
    expect(elementType('list[u32]')).toBe('u32');
    expect(elementType('blob')).toBe('blob');
  });

  test('a value of another type is refused with both names', () => {
    const checked = checkOption(option('u32'), { type: 'i32', value: 1 });
    expect(faultOf(checked)).toBe('Must have the type u32, not i32.');
  });

  test.each(INTEGERS)('%s takes both ends of its range and nothing beyond', (type) => {
    const { min, max } = INTEGER_RANGES[type];
    const wide = WIDE.includes(type);
    for (const end of [min, max])
      expect(valueOf(onWire(type, wide ? end.toString() : Number(end)))).toBe(
        wide ? end.toString() : Number(end),
      );
    for (const beyond of [min - 1n, max + 1n])
      expect(faultOf(onWire(type, wide ? beyond.toString() : Number(beyond)))).toMatch(/whole number from/);
  });

  test.each<[OptionType, unknown, RegExp]>([
    ['u32', '5', /not a string/],
    ['u32', 1.5, /without a fraction/],
    ['u32', true, /not true or false/],
    ['u32', null, /not nothing/],
    ['i64', 2 ** 53, /decimal string in quotes/],
    ['i64', '12x', /no decimal number/],
    ['i64', '1e3', /no decimal number/],
    ['u64', 42, /decimal string/],
    ['u64', 42n, /decimal string/],
    ['u64', '-1', /whole number from 0/],
    ['f64', Number.NaN, /finite/],
    ['f64', Infinity, /finite/],
    ['f64', '1.5', /not a string/],
    ['f32', 1e39, /range of f32/],
    ['bool', 'true', /not a string/],
    ['bool', 1, /not a number/],
    ['string', 5, /Must be a string/],
    ['string', ['a'], /not a list/],
    ['blob', 'not base64!', /base64/],
    ['blob', 'AAAAA', /base64/],
    ['blob', 5, /base64/],
    ['list[u8]', 5, /Must be a list/],
    ['list[u8]', [1, 256], /^Element 1: /],
    ['list[string]', 'a,b', /Must be a list/],
  ])('a request with %s %o is refused', (type, value, why) => {
    expect(faultOf(onWire(type, value))).toMatch(why);
  });

  test('i64 comes as a number, a decimal string or a bigint', () => {
    expect(valueOf(onWire('i64', -5))).toBe('-5');
    expect(valueOf(onWire('i64', '9007199254740993'))).toBe('9007199254740993');
    expect(valueOf(onWire('i64', 9007199254740993n))).toBe('9007199254740993');
  });

  test('blobs are normalised to padded standard base64', () => {
    expect(valueOf(onWire('blob', '-_8='))).toBe('+/8=');
    expect(valueOf(onWire('blob', 'aGk'))).toBe('aGk=');
    expect(valueOf(onWire('blob', ''))).toBe('');
  });
});

describe('plain values of files', () => {
  test.each<[OptionType, unknown, unknown]>([
    ['u32', '5', 5],
    ['u64', 18446744073709551615n, '18446744073709551615'],
    ['u64', 7, '7'],
    ['i64', '-9223372036854775808', '-9223372036854775808'],
    ['f64', '1.5e3', 1500],
    ['bool', 'true', true],
    ['blob', [72, 105], 'SGk='],
    ['list[blob]', [[1], 'AA=='], ['AQ==', 'AA==']],
    ['list[u64]', ['1', 2], ['1', '2']],
  ])('%s %o', (type, plain, expected) => {
    expect(valueOf(inFile(type, plain))).toEqual(expected);
  });

  test.each<[OptionType, unknown, RegExp]>([
    ['string', 1.1, /quotes/],
    ['u32', 'many', /no decimal number/],
    ['u32', '1.0', /no decimal number/],
    ['u64', 2 ** 60, /decimal string in quotes/],
    ['bool', 'yes', /true or false/],
    ['f64', '', /must be/i],
    ['blob', [256], /0 to 255/],
  ])('%s %j does not fit', (type, plain, why) => {
    expect(faultOf(inFile(type, plain))).toMatch(why);
  });
});

describe('validation', () => {
  test.each<[OptionType, OptionValidation, unknown, unknown]>([
    ['string', { variants: ['a', 'b'] }, 'a', 'c'],
    ['string', { minLength: 3 }, 'äb', 'ab'],
    ['string', { maxLength: 3 }, 'äb', 'ääb'],
    ['string', { regex: 'a|ab' }, 'ab', 'abc'],
    ['string', { regex: 'a' }, 'a', 'a\n'],
    ['string', { regex: '(?i)abc' }, 'ABC', 'ABD'],
    ['string', { regex: '(?m)a' }, 'a', 'a\nb'],
    ['string', { regex: '\\Aa+\\z' }, 'aa', 'aaz'],
    ['string', { regex: '[\\w-.]+' }, 'a-b.c', 'a b'],
    ['string', { regex: '\\p{L}+' }, 'é', '1'],
    ['u8', { min: 2 }, 2, 1],
    ['u8', { max: 2 }, 2, 3],
    ['i32', { variants: [1, 3] }, 3, 2],
    ['f64', { min: 0.5, max: 1.5 }, 1.5, 1.6],
    ['u64', { min: '9007199254740993' }, '9007199254740993', '9007199254740992'],
    ['i64', { max: '-9007199254740993' }, '-9007199254740993', '-9007199254740992'],
    ['u64', { variants: ['18446744073709551615'] }, '18446744073709551615', '18446744073709551614'],
    ['blob', { minSize: 2 }, 'AAA=', 'AA=='],
    ['blob', { maxSize: 1 }, 'AA==', 'AAA='],
    ['list[string]', { maxLength: 1 }, ['a', 'b'], ['a', 'bb']],
    ['list[u64]', { max: '5' }, ['5'], ['5', '6']],
  ])('%s with %j takes %j and refuses %j', (type, validation, good, bad) => {
    expect(faultOf(onWire(type, good, validation))).toBe('');
    expect(faultOf(onWire(type, bad, validation))).not.toBe('');
  });

  test('a refusal never repeats the value', () => {
    for (const validation of [{ regex: 'x' }, { maxLength: 2 }, { variants: ['x'] }])
      expect(faultOf(onWire('string', 'hunter2', validation))).not.toContain('hunter2');
  });
});

describe('encoding', () => {
  test.each<[OptionType, unknown, boolean, string]>([
    ['string', 'a,b', false, 'a,b'],
    ['string', 'é', true, 'w6k='],
    ['bool', true, false, '1'],
    ['bool', false, false, '0'],
    ['u32', 7, false, '7'],
    ['i64', '-9223372036854775808', false, '-9223372036854775808'],
    ['u64', '18446744073709551615', true, '18446744073709551615'],
    ['f64', 1e21, false, '1000000000000000000000'],
    ['f64', 1.25e-7, false, '0.000000125'],
    ['f64', -1.5, false, '-1.5'],
    ['blob', 'AQI=', false, 'AQI='],
    ['list[string]', ['a', 'b'], false, 'a,b'],
    ['list[string]', ['a', 'b,'], true, 'YQ==,Yiw='],
    ['list[u8]', [1, 2], false, '1,2'],
    ['list[blob]', ['AA==', 'AQ=='], false, 'AA==,AQ=='],
    ['list[string]', [], false, ''],
  ])('%s %j (base64 %s) is %j in the environment', (type, value, base64, text) => {
    const checked = onWire(type, value);
    if ('fault' in checked) throw new Error(checked.fault);
    expect(encodeForEnvironment(checked.value, base64)).toBe(text);
  });

  test.each<[OptionType, unknown, string[]]>([
    ['string', 'é', ['c3a9']],
    ['bool', true, ['01']],
    ['bool', false, ['00']],
    ['blob', '/wA=', ['ff00']],
    ['i8', -1, ['ff']],
    ['u16', 258, ['0102']],
    ['i32', -2, ['fffffffe']],
    ['u64', '18446744073709551614', ['fffffffffffffffe']],
    ['i64', -2, ['fffffffffffffffe']],
    ['f32', 1, ['3f800000']],
    ['f64', -2, ['c000000000000000']],
    ['list[u8]', [1, 2], ['01', '02']],
    ['list[string]', [], []],
  ])('%s %j becomes the files %j', (type, value, files) => {
    const checked = onWire(type, value);
    if ('fault' in checked) throw new Error(checked.fault);
    expect(encodeForFile(checked.value).map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual(files);
  });

  test('every 64-bit value survives the way through canonical form into variable and file', () => {
    for (const type of ['i64', 'u64'] as const)
      fc.assert(
        fc.property(fc.bigInt(INTEGER_RANGES[type]), (wide) => {
          const checked = onWire(type, wide.toString());
          if ('fault' in checked) throw new Error(checked.fault);
          const [file] = encodeForFile(checked.value);
          const bytes = Buffer.from(file ?? []);
          expect(encodeForEnvironment(checked.value, false)).toBe(wide.toString());
          expect(type === 'i64' ? bytes.readBigInt64BE() : bytes.readBigUInt64BE()).toBe(wide);
          expect(valueOf(inFile(type, wide))).toBe(wide.toString());
        }),
        runs(100),
      );
  });

  test('every finite double reads back from its decimal text', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
        const text = encodeForEnvironment({ type: 'f64', value: number }, false);
        expect(text).toMatch(/^-?\d+(\.\d+)?$/);
        expect(Number(text) === number).toBe(true);
      }),
      runs(100),
    );
  });

  test('every blob keeps its bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const checked = onWire('blob', Buffer.from(bytes).toString('base64url'));
        if ('fault' in checked) throw new Error(checked.fault);
        expect(Uint8Array.from(encodeForFile(checked.value)[0] ?? [])).toEqual(bytes);
      }),
      runs(100),
    );
  });
});

test.each([
  ['OPENAI_API_KEY', true],
  ['github_token', true],
  ['CLIENT_SECRET_ID', true],
  ['Db_Password', true],
  ['KEYBOARD', false],
  ['TOKENS', false],
])('%s looks secret: %s', (name, secret) => {
  expect(looksSecret(name)).toBe(secret);
});
