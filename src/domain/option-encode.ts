/** How an option's value reaches its agent: as a variable or as files. Source: docs/wire.md, "Environment of an agent". */
import type { OptionType, OptionValue, ScalarType, ScalarValue } from './option.ts';

/**
 * The variable's text for transport `env`: numbers in decimal, bool `1`/`0`, blob base64, lists joined with `,`;
 * strings base64-encoded first where the option says so.
 */
export function encodeForEnvironment(option: OptionValue, base64: boolean): string {
  const type = scalar(option.type);
  return elements(option.value)
    .map((value) => {
      if (typeof value === 'boolean') return value ? '1' : '0';
      if (typeof value === 'number') return decimal(value);
      return type === 'string' && base64 ? Buffer.from(value).toString('base64') : value;
    })
    .join(',');
}

/**
 * The content of each file for transport `fs`, one for a scalar, one per element of a list: blob raw, string UTF-8,
 * bool one byte, numbers big-endian of their width.
 */
export function encodeForFile(option: OptionValue): Uint8Array[] {
  const type = scalar(option.type);
  return elements(option.value).map((value) => bytes(type, value));
}

function scalar(type: OptionType): ScalarType {
  return (type.startsWith('list[') ? type.slice(5, -1) : type) as ScalarType;
}

function elements(value: OptionValue['value']): readonly ScalarValue[] {
  return typeof value === 'object' ? value : [value];
}

/** Without an exponent, which not every agent's parser reads: 1e21 → 1000000000000000000000, 1e-7 → 0.0000001. */
function decimal(value: number): string {
  const text = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (match === null) return text;
  const [, sign = '', whole = '', fraction = '', power = '0'] = match;
  const digits = whole + fraction;
  const point = 1 + Number(power);
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return point >= digits.length
    ? sign + digits.padEnd(point, '0')
    : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

function bytes(type: ScalarType, value: ScalarValue): Uint8Array {
  switch (type) {
    case 'string':
      return Buffer.from(String(value), 'utf8');
    case 'blob':
      return Buffer.from(String(value), 'base64');
    case 'bool':
      return Uint8Array.of(value === true ? 1 : 0);
    default: {
      const width = Number(type.slice(1)) / 8;
      const buffer = Buffer.alloc(width);
      if (type === 'f32') buffer.writeFloatBE(Number(value));
      else if (type === 'f64') buffer.writeDoubleBE(Number(value));
      else if (type === 'u64') buffer.writeBigUInt64BE(BigInt(value));
      else if (type === 'i64') buffer.writeBigInt64BE(BigInt(value));
      else if (type.startsWith('u')) buffer.writeUIntBE(Number(value), 0, width);
      else buffer.writeIntBE(Number(value), 0, width);
      return buffer;
    }
  }
}
