/**
 * The kinds of values a configuration can hold. Every field takes what its file, a flag or a variable can say (the
 * last two only say text) and refuses the rest with one phrase: what it must be, and what it was, unless that is
 * secret.
 */
import { z } from 'zod';
import { DURATION_HELP, parseDuration } from '../domain/duration.ts';
import { parseSize, SIZE_HELP } from '../domain/size.ts';

/** What cannot be said about a value that must not be shown. */
interface FieldOptions {
  readonly secret?: boolean;
}

/** A value that `parse` understands (undefined: it does not); `expects` finishes the sentence "must be …". */
export function field<T>(
  expects: string,
  parse: (given: unknown) => T | undefined,
  { secret = false }: FieldOptions = {},
): z.ZodType<T> {
  return z.unknown().transform((given, context) => {
    const value = given === undefined ? undefined : parse(given);
    if (value !== undefined) return value;
    context.addIssue({
      code: 'custom',
      message: `must be ${expects}${secret ? '' : `, not ${shown(given)}`}`,
    });
    return z.NEVER;
  });
}

export const text = (options?: FieldOptions): z.ZodType<string> =>
  field(
    'a text that is not empty',
    (given) => {
      if (typeof given === 'string' && given !== '') return given;
      return typeof given === 'number' ? String(given) : undefined;
    },
    options,
  );

export const bool = (): z.ZodType<boolean> =>
  field('true or false', (given) => {
    if (typeof given === 'boolean') return given;
    if (given === 'true' || given === '1') return true;
    return given === 'false' || given === '0' ? false : undefined;
  });

export const integer = (min: number, max: number, what = 'a whole number'): z.ZodType<number> =>
  field(`${what} from ${min} to ${max}`, (given) => {
    const value = numberOf(given);
    return value !== undefined && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
  });

export const positive = (): z.ZodType<number> =>
  field('a number above 0', (given) => {
    const value = numberOf(given);
    return value !== undefined && value > 0 ? value : undefined;
  });

/** Milliseconds. */
export const duration = (): z.ZodType<number> => field(DURATION_HELP, parseDuration);

/** Bytes. */
export const size = (): z.ZodType<number> => field(SIZE_HELP, parseSize);

export const choice = <const T extends readonly string[]>(...words: T): z.ZodType<T[number]> =>
  field(`one of ${words.join(', ')}`, (given) =>
    typeof given === 'string' ? words.find((word) => word.toLowerCase() === given.toLowerCase()) : undefined,
  );

/** A list of texts; one text with commas is a list, too. */
export const texts = (options?: FieldOptions): z.ZodType<string[]> =>
  field(
    'a list of texts',
    (given) => {
      const list = typeof given === 'string' ? given.split(',').map((part) => part.trim()) : given;
      if (!Array.isArray(list)) return undefined;
      const parts = list.filter((part) => part !== '') as unknown[];
      return parts.every((part) => typeof part === 'string') ? parts : undefined;
    },
    options,
  );

/** The value of an environment variable. */
export const variable = (): z.ZodType<string> =>
  field(
    'a text, a number, true or false',
    (given) => {
      if (typeof given === 'string') return given;
      return typeof given === 'number' || typeof given === 'boolean' ? String(given) : undefined;
    },
    { secret: true },
  );

function numberOf(given: unknown): number | undefined {
  if (typeof given === 'number') return given;
  if (typeof given === 'bigint') return Number(given);
  return typeof given === 'string' && /^-?\d+(\.\d+)?$/.test(given) ? Number(given) : undefined;
}

function shown(given: unknown): string {
  if (given === undefined || given === null) return 'nothing';
  if (Array.isArray(given)) return 'a list';
  if (typeof given === 'object') return 'a section';
  if (typeof given === 'bigint') return given.toString();
  const json = JSON.stringify(given);
  return json.length > 60 ? `${json.slice(0, 57)}…"` : json;
}
