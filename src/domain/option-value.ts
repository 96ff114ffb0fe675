/**
 * One scalar of an option brought into canonical form (see `option.ts`), or the sentence that says why it does not fit.
 * Integers are compared as BigInt: 64-bit values never pass through a floating-point number.
 */
import type { ScalarType, ScalarValue } from './option.ts';

/** A value, or the sentence that says why there is none. */
export type Checked<T> = { readonly value: T } | { readonly fault: string };

/** The types that hold whole numbers. */
export type IntegerType = Extract<ScalarType, `i${string}` | `u${string}`>;

const unsigned = (bits: bigint): { min: bigint; max: bigint } => ({ min: 0n, max: (1n << bits) - 1n });
const signed = (bits: bigint): { min: bigint; max: bigint } => ({
  min: -(1n << (bits - 1n)),
  max: (1n << (bits - 1n)) - 1n,
});

/** The numbers each integer type can hold, both ends included. */
export const INTEGER_RANGES: Readonly<Record<IntegerType, { readonly min: bigint; readonly max: bigint }>> = {
  i8: signed(8n),
  i16: signed(16n),
  i32: signed(32n),
  i64: signed(64n),
  u8: unsigned(8n),
  u16: unsigned(16n),
  u32: unsigned(32n),
  u64: unsigned(64n),
};

/** True for the types that hold whole numbers. */
export function isIntegerType(type: ScalarType): type is IntegerType {
  return type in INTEGER_RANGES;
}

/** True for the types whose canonical values are decimal strings. */
export function isWide(type: ScalarType): type is 'i64' | 'u64' {
  return type === 'i64' || type === 'u64';
}

/**
 * How values are written. `wire`: as in requests, where `u64` is a decimal string and `i64` a number or decimal
 * string. `plain`: as people write them in files, where exact strings do for numbers and booleans.
 */
export type Spelling = 'wire' | 'plain';

/** `given` as a scalar of `type` in canonical form. Values are never repeated in the fault: they may be secret. */
export function canonical(type: ScalarType, given: unknown, spelling: Spelling): Checked<ScalarValue> {
  switch (type) {
    case 'string':
      return typeof given === 'string' ? { value: given } : misfit('a string', given, spelling);
    case 'bool':
      if (typeof given === 'boolean') return { value: given };
      if (spelling === 'plain' && (given === 'true' || given === 'false')) return { value: given === 'true' };
      return misfit('true or false', given, spelling);
    case 'blob':
      return blob(given, spelling);
    case 'f32':
    case 'f64':
      return float(type, given, spelling);
    default:
      return integer(type, given, spelling);
  }
}

/** What kind of thing a value is, for sentences: "a string", "a list" … */
export function kindOf(given: unknown): string {
  if (given === null || given === undefined) return 'nothing';
  if (Array.isArray(given)) return 'a list';
  switch (typeof given) {
    case 'string':
      return 'a string';
    case 'number':
    case 'bigint':
      return 'a number';
    case 'boolean':
      return 'true or false';
    default:
      return 'a mapping';
  }
}

function misfit(expected: string, given: unknown, spelling: Spelling): { fault: string } {
  const quotes =
    expected === 'a string' && spelling === 'plain' && ['number', 'bigint', 'boolean'].includes(typeof given)
      ? ' Put it in quotes.'
      : '';
  return { fault: `Must be ${expected}, not ${kindOf(given)}.${quotes}` };
}

function integer(type: IntegerType, given: unknown, spelling: Spelling): Checked<ScalarValue> {
  const { min, max } = INTEGER_RANGES[type];
  const expected = `a whole number from ${min} to ${max} (${type})`;
  let number: bigint;
  if (typeof given === 'string' && (spelling === 'plain' || isWide(type))) {
    const digits = given.trim();
    if (!/^[+-]?\d{1,64}$/.test(digits))
      return { fault: `Must be ${expected}; this string is no decimal number.` };
    number = BigInt(digits.startsWith('+') ? digits.slice(1) : digits);
  } else if (type === 'u64' && spelling === 'wire' && ['number', 'bigint'].includes(typeof given)) {
    return { fault: 'Must be a decimal string: u64 values are written in quotes, such as "42".' };
  } else if (typeof given === 'bigint') {
    number = given;
  } else if (typeof given === 'number') {
    if (!Number.isInteger(given)) return { fault: `Must be ${expected}, without a fraction.` };
    if (!Number.isSafeInteger(given))
      return {
        fault: isWide(type)
          ? 'Is too wide to have arrived exactly as a number; write it as a decimal string in quotes.'
          : `Must be ${expected}.`,
      };
    number = BigInt(given);
  } else return misfit(expected, given, spelling);
  if (number < min || number > max) return { fault: `Must be ${expected}.` };
  return { value: isWide(type) ? number.toString() : Number(number) };
}

function float(type: 'f32' | 'f64', given: unknown, spelling: Spelling): Checked<ScalarValue> {
  let number: number;
  if (typeof given === 'number') number = given;
  else if (typeof given === 'bigint') number = Number(given);
  else if (
    spelling === 'plain' &&
    typeof given === 'string' &&
    /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(given)
  )
    number = Number(given);
  else return misfit(`a number (${type})`, given, spelling);
  const held = type === 'f32' ? Math.fround(number) : number;
  return Number.isFinite(held)
    ? { value: number }
    : { fault: `Must be a finite number within the range of ${type}.` };
}

function blob(given: unknown, spelling: Spelling): Checked<ScalarValue> {
  if (typeof given === 'string') {
    const bytes = decodeBase64(given);
    return bytes === undefined
      ? { fault: 'Must be base64; this string is not.' }
      : { value: Buffer.from(bytes).toString('base64') };
  }
  // Definitions in the wild spell blobs as lists of byte values.
  if (spelling === 'plain' && Array.isArray(given)) {
    const bytes: unknown[] = given;
    if (bytes.every((byte) => Number.isInteger(byte) && (byte as number) >= 0 && (byte as number) <= 255))
      return { value: Buffer.from(bytes as number[]).toString('base64') };
    return { fault: 'Must be base64 or a list of byte values from 0 to 255.' };
  }
  return misfit('a base64 string', given, spelling);
}

/** The bytes of standard or URL-safe base64, padded or not; undefined for anything else. */
export function decodeBase64(text: string): Uint8Array | undefined {
  const compact = text.replace(/\s+/g, '');
  const body = compact.replace(/=+$/, '');
  const padding = compact.length - body.length;
  if (!/^[A-Za-z0-9+/_-]*$/.test(body) || body.length % 4 === 1) return undefined;
  if (padding > 0 && (padding > 2 || compact.length % 4 !== 0)) return undefined;
  return Buffer.from(body, 'base64');
}
