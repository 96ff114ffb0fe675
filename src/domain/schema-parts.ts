/** Small schemas that the file formats share, and the sentences that say what a value should have been. */
import { z } from 'zod';
import { DURATION_HELP, parseDuration } from './duration.ts';
import { kindOf } from './option-value.ts';
import type { KeyPath, Problem } from './problem.ts';
import { didYouMean } from './nearest.ts';
import { parseSize, SIZE_HELP } from './size.ts';

/** Text of `min` to `max` characters. */
export function text(min: number, max: number) {
  return z.string().check((given) => {
    const length = [...given.value].length;
    if (length < min || length > max)
      given.issues.push({
        code: 'custom',
        input: given.value,
        message: `Must be ${min}–${max} characters long; it has ${length}.`,
      });
  });
}

/** Text of at most `max` bytes in UTF-8. */
export function textOfBytes(max: number) {
  return z.string().check((given) => {
    const size = Buffer.byteLength(given.value);
    if (size > max)
      given.issues.push({
        code: 'custom',
        input: given.value,
        message: `Must be at most ${bytes(max)} large; it has ${size} bytes.`,
      });
  });
}

/** At most `maxEntries` strings of `maxBytes` in all. */
export function argumentList(maxEntries: number, maxBytes: number) {
  return z.array(z.string()).check((given) => {
    const size = given.value.reduce((sum, entry) => sum + Buffer.byteLength(entry), 0);
    if (given.value.length > maxEntries || size > maxBytes)
      given.issues.push({
        code: 'custom',
        input: given.value,
        message: `Must have at most ${maxEntries} entries of ${bytes(maxBytes)} in all; it has ${given.value.length} of ${size} bytes.`,
      });
  });
}

/** A list of at most `max` entries. */
export function listOf<T extends z.ZodType>(entry: T, max: number) {
  return z.array(entry).max(max, { error: `Must have at most ${max} entries.` });
}

/** A duration as people write it; the output is in ms. */
export const duration = z
  .union([z.string(), z.number()], { error: `Must be ${DURATION_HELP}.` })
  .transform((given, context) => {
    const ms = parseDuration(given);
    if (ms !== undefined) return ms;
    context.addIssue({ code: 'custom', message: `Must be ${DURATION_HELP}.` });
    return z.NEVER;
  });

/** A size as people write it; the output is in bytes. */
export const size = z
  .union([z.string(), z.number(), z.object({ size: z.number(), unit: z.string().optional() })], {
    error: `Must be ${SIZE_HELP}.`,
  })
  .transform((given, context) => {
    const count = parseSize(given);
    if (count !== undefined) return count;
    context.addIssue({ code: 'custom', message: `Must be ${SIZE_HELP}.` });
    return z.NEVER;
  });

/** A whole number of `min` at least. */
export function whole(min: number) {
  return z
    .number()
    .int({ error: 'Must be a whole number.' })
    .min(min, { error: `Must be ${min} at least.` });
}

/** A text where people write numbers and booleans too: `PORT: 8080`. Fractions lose their zeros, so they need quotes. */
export const looseText = z
  .union([z.string(), z.boolean(), z.number().int()], { error: 'Must be a string; put it in quotes.' })
  .transform(String);

/** Every fault of a parse, as sentences. */
export function problemsOf(failure: z.ZodError): Problem[] {
  return failure.issues.flatMap((issue) => problemsOfIssue(issue));
}

function problemsOfIssue(issue: z.core.$ZodIssue, at: KeyPath = []): Problem[] {
  const path = [...at, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
  if (issue.code === 'invalid_union') {
    // The branch that was meant is the one that only something inside it speaks against.
    const meant = issue.errors.filter((branch) => branch.every((inner) => inner.path.length > 0));
    if (meant.length === 1) return (meant[0] ?? []).flatMap((inner) => problemsOfIssue(inner, path));
  }
  return [{ severity: 'error', path, message: issue.message }];
}

/** The error map to parse with: the schema's own sentences stand, everything else is said here. */
export const inSentences: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return `Is missing; it must be ${EXPECTED[issue.expected] ?? 'given'}.`;
      if (typeof issue.input === 'bigint') return 'Must be a number that is not as large as this.';
      return `Must be ${EXPECTED[issue.expected] ?? issue.expected}, not ${kindOf(issue.input)}.`;
    case 'invalid_value': {
      const known = issue.values.map(String);
      const missing = issue.input === undefined ? 'Is missing; it must' : 'Must';
      const guess = typeof issue.input === 'string' ? didYouMean(issue.input, known) : '';
      return `${missing} be ${known.map((value) => `\`${value}\``).join(' or ')}.${guess}`;
    }
    case 'invalid_union': {
      const tags = 'options' in issue && Array.isArray(issue.options) ? (issue.options as unknown[]) : [];
      if (tags.length > 0) return `Must be ${tags.map((tag) => `\`${String(tag)}\``).join(' or ')}.`;
      return issue.input === undefined
        ? 'Is missing.'
        : `Does not fit; ${kindOf(issue.input)} is not taken here.`;
    }
    default:
      return undefined;
  }
};

const EXPECTED: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
};

function bytes(count: number): string {
  const units: [number, string][] = [
    [1024 ** 2, 'MiB'],
    [1024, 'KiB'],
  ];
  for (const [unit, name] of units) if (count >= unit && count % unit === 0) return `${count / unit} ${name}`;
  return `${count} bytes`;
}
