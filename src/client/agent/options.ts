/**
 * An agent's options as its environment tells them, with their types. Whether an option lies in the variable itself
 * (transport `env`) or in a file that the variable names (transport `fs`) is said in the agent's definition: for the
 * latter read through `options.files`. Encodings: docs/wire.md, "Environment of an agent".
 */
import { readFileSync } from 'node:fs';
import { delimiter } from 'node:path';
import { EnvironmentError } from './errors.ts';

/** What each option type becomes in TypeScript: 64-bit integers are bigint, so that they keep their width. */
export interface OptionTypes {
  string: string;
  bool: boolean;
  blob: Uint8Array;
  i8: number;
  i16: number;
  i32: number;
  i64: bigint;
  u8: number;
  u16: number;
  u32: number;
  u64: bigint;
  f32: number;
  f64: number;
}
/** The types an option can have. */
export type OptionTypeName = keyof OptionTypes;

/** How a list is written. */
export interface ListHow {
  /** The definition says `base64: true`: each string of the list is base64-encoded in the variable. Default: no. */
  readonly base64?: boolean;
}

/** Bits and sign of the integers. */
const INTEGERS = {
  i8: [8, true],
  i16: [16, true],
  i32: [32, true],
  i64: [64, true],
  u8: [8, false],
  u16: [16, false],
  u32: [32, false],
  u64: [64, false],
} as const;

/** Every method throws EnvironmentError when the option is missing and no `fallback` is given, or does not fit. */
export class Options {
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #inFiles: boolean;

  constructor(environment: Readonly<Record<string, string | undefined>>, inFiles = false) {
    this.#environment = environment;
    this.#inFiles = inFiles;
  }

  /** The same options, for those with transport `fs`. */
  get files(): Options {
    return new Options(this.#environment, true);
  }

  has(name: string): boolean {
    return this.#environment[name] !== undefined;
  }

  string(name: string, fallback?: string): string {
    return this.#scalar(name, 'string', fallback);
  }
  bool(name: string, fallback?: boolean): boolean {
    return this.#scalar(name, 'bool', fallback);
  }
  blob(name: string, fallback?: Uint8Array): Uint8Array {
    return this.#scalar(name, 'blob', fallback);
  }
  i8(name: string, fallback?: number): number {
    return this.#scalar(name, 'i8', fallback);
  }
  i16(name: string, fallback?: number): number {
    return this.#scalar(name, 'i16', fallback);
  }
  i32(name: string, fallback?: number): number {
    return this.#scalar(name, 'i32', fallback);
  }
  i64(name: string, fallback?: bigint): bigint {
    return this.#scalar(name, 'i64', fallback);
  }
  u8(name: string, fallback?: number): number {
    return this.#scalar(name, 'u8', fallback);
  }
  u16(name: string, fallback?: number): number {
    return this.#scalar(name, 'u16', fallback);
  }
  u32(name: string, fallback?: number): number {
    return this.#scalar(name, 'u32', fallback);
  }
  u64(name: string, fallback?: bigint): bigint {
    return this.#scalar(name, 'u64', fallback);
  }
  f32(name: string, fallback?: number): number {
    return this.#scalar(name, 'f32', fallback);
  }
  f64(name: string, fallback?: number): number {
    return this.#scalar(name, 'f64', fallback);
  }

  /** A `list[type]`; strings by default. A missing one is an empty list, as an empty variable is. */
  list(name: string): string[];
  list<T extends Exclude<OptionTypeName, 'bool'>>(name: string, type: T, how?: ListHow): OptionTypes[T][];
  list(name: string, type: OptionTypeName = 'string', how: ListHow = {}): OptionTypes[OptionTypeName][] {
    const text = this.#environment[name];
    if (text === undefined || text === '') return [];
    if (this.#inFiles) {
      return text.split(delimiter).map((path) => fromBytes(name, type, readOptionFile(name, path)));
    }
    return text.split(',').map((item) => {
      const plain = how.base64 === true && type === 'string' ? Buffer.from(item, 'base64').toString() : item;
      return fromText(name, type, plain);
    });
  }

  #scalar<T extends OptionTypeName>(
    name: string,
    type: T,
    fallback: OptionTypes[T] | undefined,
  ): OptionTypes[T] {
    const text = this.#environment[name];
    if (text === undefined) {
      if (fallback !== undefined) return fallback;
      throw new EnvironmentError(
        `Option ${name} is missing: set it for this agent in the session request or the team file.`,
      );
    }
    const value = this.#inFiles
      ? fromBytes(name, type, readOptionFile(name, text))
      : fromText(name, type, text);
    return value as OptionTypes[T];
  }
}

function misfit(name: string, type: string, text: string): EnvironmentError {
  const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return new EnvironmentError(`Option ${name} should be a ${type}, but its value is "${shown}".`);
}

function fromText(name: string, type: OptionTypeName, text: string): OptionTypes[OptionTypeName] {
  switch (type) {
    case 'string':
      return text;
    case 'bool':
      if (text === '1' || text === 'true') return true;
      if (text === '0' || text === 'false') return false;
      throw misfit(name, type, text);
    case 'blob':
      return new Uint8Array(Buffer.from(text, 'base64'));
    case 'f32':
    case 'f64': {
      const value = Number(text);
      if (text.trim() === '' || Number.isNaN(value)) throw misfit(name, type, text);
      return value;
    }
    default: {
      if (!/^[+-]?\d+$/.test(text)) throw misfit(name, type, text);
      const [bits, signed] = INTEGERS[type];
      const value = BigInt(text);
      const fits = signed ? BigInt.asIntN(bits, value) === value : BigInt.asUintN(bits, value) === value;
      if (!fits) throw misfit(name, type, text);
      return bits === 64 ? value : Number(value);
    }
  }
}

/** Numbers are big-endian and as wide as their type; a bool is one byte. */
function fromBytes(name: string, type: OptionTypeName, bytes: Buffer): OptionTypes[OptionTypeName] {
  const width = (expected: number): void => {
    if (bytes.length !== expected) {
      throw new EnvironmentError(
        `Option ${name} should be a ${type} of ${expected} bytes, but its file has ${bytes.length}.`,
      );
    }
  };
  switch (type) {
    case 'string':
      return bytes.toString('utf8');
    case 'blob':
      return new Uint8Array(bytes);
    case 'bool':
      width(1);
      return bytes[0] !== 0;
    case 'f32':
      width(4);
      return bytes.readFloatBE();
    case 'f64':
      width(8);
      return bytes.readDoubleBE();
    case 'i64':
      width(8);
      return bytes.readBigInt64BE();
    case 'u64':
      width(8);
      return bytes.readBigUInt64BE();
    default: {
      const [bits, signed] = INTEGERS[type];
      width(bits / 8);
      return signed ? bytes.readIntBE(0, bits / 8) : bytes.readUIntBE(0, bits / 8);
    }
  }
}

function readOptionFile(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new EnvironmentError(
      `Option ${name} should lie in the file ${path}, which cannot be read: ${(error as Error).message}`,
    );
  }
}
