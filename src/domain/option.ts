/**
 * Typed options of agents: their types, definitions and values. Values are plain JSON in canonical form:
 * `i64` and `u64` as decimal strings (full width, never through a floating-point number), `blob` as base64,
 * other numbers as numbers. Source: docs/wire.md, "Options".
 */
export const SCALAR_TYPES = [
  'string', 'bool', 'blob', 'i8', 'i16', 'i32', 'i64', 'u8', 'u16', 'u32', 'u64', 'f32', 'f64',
] as const; // prettier-ignore
/** The type of one value. */
export type ScalarType = (typeof SCALAR_TYPES)[number];
/** A list of values; there is none of `bool`. */
export type ListType = `list[${Exclude<ScalarType, 'bool'>}]`;
/** Any type an option can have. */
export type OptionType = ScalarType | ListType;

/** One value in canonical form. */
export type ScalarValue = string | number | boolean;
/** `{type, value}` as on the wire. */
export interface OptionValue {
  readonly type: OptionType;
  readonly value: ScalarValue | readonly ScalarValue[];
}

/** What a value must satisfy beyond its type. Numbers are kept as they were written, at full width. */
export interface OptionValidation {
  readonly variants?: readonly ScalarValue[];
  /** UTF-8 bytes. */
  readonly minLength?: number;
  readonly maxLength?: number;
  /** The whole value must match. */
  readonly regex?: string;
  readonly min?: number | string;
  readonly max?: number | string;
  /** Bytes. */
  readonly minSize?: number;
  readonly maxSize?: number;
}

/** One option of an agent, as its definition declares it. */
export interface OptionDefinition {
  readonly type: OptionType;
  readonly required: boolean;
  readonly default?: OptionValue['value'];
  readonly transport: 'env' | 'fs';
  readonly secret: boolean;
  /** Strings are base64-encoded in the environment, lists of them element by element. */
  readonly base64: boolean;
  readonly display?: {
    readonly label?: string;
    readonly description?: string;
    readonly group?: string;
    readonly multiline?: boolean;
  };
  readonly validation?: OptionValidation;
}

/** `*_KEY`, `*_TOKEN`, `*SECRET*` and `*PASSWORD*`, in any case: names whose values are masked in what people see. */
export function looksSecret(name: string): boolean {
  return /(_KEY|_TOKEN)$|SECRET|PASSWORD/i.test(name);
}

/** The type of one element: `u32` for both `u32` and `list[u32]`. */
export function elementType(type: OptionType): ScalarType {
  return (type.startsWith('list[') ? type.slice(5, -1) : type) as ScalarType;
}

/** True for lists. */
export function isListType(type: OptionType): type is ListType {
  return type.startsWith('list[');
}

/** Every type an option can have, lists included. */
export const OPTION_TYPES: readonly OptionType[] = [
  ...SCALAR_TYPES,
  ...SCALAR_TYPES.filter((type) => type !== 'bool').map((type): ListType => `list[${type}]`),
];
