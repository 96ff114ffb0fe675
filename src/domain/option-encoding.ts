/** How option values reach an agent, as text or as bytes. Source: docs/wire.md, "Environment of an agent". */
import type { OptionValue, ScalarType, ScalarValue } from './option.ts';

/**
 * The value as one environment variable: numbers in decimal, bool `1`/`0`, blobs base64, lists joined with `,`.
 * `base64`: strings of a list are base64-encoded one by one, so that they may hold commas.
 */
export function encodeForEnvironment(value: OptionValue, base64: boolean): string {
  const { list, scalar } = shapeOf(value);
  if (!list) return textOf(value.value as ScalarValue);
  const elements = value.value as readonly ScalarValue[];
  const encode = base64 && scalar === 'string' ? toBase64 : textOf;
  return elements.map(encode).join(',');
}

/**
 * The value as the contents of files, one for each element (one in all when it is no list): blobs raw, strings in
 * UTF-8, bool one byte, numbers big-endian in their own width.
 */
export function encodeForFile(value: OptionValue): Uint8Array[] {
  const { list, scalar } = shapeOf(value);
  const elements = list ? (value.value as readonly ScalarValue[]) : [value.value as ScalarValue];
  return elements.map((element) => bytesOf(scalar, element));
}

function shapeOf(value: OptionValue): { list: boolean; scalar: ScalarType } {
  const inner = /^list\[(.+)\]$/.exec(value.type)?.[1];
  return { list: inner !== undefined, scalar: (inner ?? value.type) as ScalarType };
}

function textOf(value: ScalarValue): string {
  return typeof value === 'boolean' ? (value ? '1' : '0') : String(value);
}

function toBase64(value: ScalarValue): string {
  return Buffer.from(String(value), 'utf8').toString('base64');
}

function bytesOf(type: ScalarType, value: ScalarValue): Uint8Array {
  if (type === 'string') return Buffer.from(String(value), 'utf8');
  if (type === 'blob') return Buffer.from(String(value), 'base64');
  if (type === 'bool') return Uint8Array.of(value === true ? 1 : 0);
  const bytes = new Uint8Array(Number(/\d+$/.exec(type)![0]) / 8);
  const view = new DataView(bytes.buffer);
  switch (type) {
    case 'i8':
    case 'u8':
      view.setUint8(0, Number(value) & 0xff);
      break;
    case 'i16':
    case 'u16':
      view.setUint16(0, Number(value) & 0xffff);
      break;
    case 'i32':
    case 'u32':
      view.setUint32(0, Number(value) >>> 0);
      break;
    case 'i64':
    case 'u64':
      view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)));
      break;
    case 'f32':
      view.setFloat32(0, Number(value));
      break;
    case 'f64':
      view.setFloat64(0, Number(value));
      break;
  }
  return bytes;
}
