/**
 * `${inputs.NAME}` and `${env.NAME}` in the strings of a team file; `$${` is a literal `${`. What came from a variable
 * of the environment stays marked inside the text, so that it can be shown as `***`. Source: docs/wire.md, "Team files".
 */
import { isMapping } from './definition-lenient.ts';
import { didYouMean } from './nearest.ts';
import { error } from './problem.ts';
import type { KeyPath, Problem } from './problem.ts';

// Noncharacters of Unicode: no text has them by rights.
const UNKNOWN = '\uFDD0';
const FROM_ENVIRONMENT = '\uFDD1';
const END = '\uFDD2';
const MARKED = new RegExp(`${FROM_ENVIRONMENT}[^${END}]*${END}`, 'g');

/** There will be a value, but nobody knows it yet. */
export const UNKNOWN_YET = Symbol('unknown yet');

/** What stands behind a name: its text, or undefined when there is none. */
export interface Values {
  input(name: string): string | undefined | typeof UNKNOWN_YET;
  variable(name: string): string | undefined | typeof UNKNOWN_YET;
  /** For "did you mean". */
  readonly inputs: readonly string[];
}

/** A copy of `tree` with every string filled in, and every name that stands for nothing. */
export function interpolate(
  tree: unknown,
  values: Values,
  at: KeyPath = [],
): { value: unknown; problems: Problem[] } {
  const problems: Problem[] = [];
  return { value: walk(tree, at), problems };

  function walk(now: unknown, path: KeyPath): unknown {
    if (typeof now === 'string') return fill(now, path);
    if (Array.isArray(now)) return now.map((entry, index) => walk(entry, [...path, index]));
    if (isMapping(now))
      return Object.fromEntries(
        Object.entries(now).map(([key, entry]) => [key, walk(entry, [...path, key])]),
      );
    return now;
  }

  function fill(text: string, path: KeyPath): string {
    return text.replace(/\$\$\{|\$\{([^}]*)(\}?)/g, (whole, inner: string | undefined, close: string) => {
      if (inner === undefined) return '${';
      const name = /^\s*(inputs|env)\.(.+?)\s*$/.exec(inner);
      if (close === '' || name === null) {
        problems.push(
          error(path, 'After `${` stands `inputs.NAME}` or `env.NAME}`; a literal `${` is written `$${`.'),
        );
        return whole;
      }
      const [, kind, key = ''] = name;
      const found = kind === 'env' ? values.variable(key) : values.input(key);
      if (found === UNKNOWN_YET) return UNKNOWN;
      if (found !== undefined) return kind === 'env' ? `${FROM_ENVIRONMENT}${found}${END}` : found;
      problems.push(
        error(
          path,
          kind === 'env'
            ? `The environment variable ${key} is not set; set it, or say something else here.`
            : values.inputs.includes(key)
              ? `The input \`${key}\` has neither a value nor a default.`
              : `The team has no input \`${key}\`.${didYouMean(key, values.inputs)}`,
        ),
      );
      return UNKNOWN;
    });
  }
}

/** True when part of the value is not known yet: it cannot be judged. */
export function isUnknown(value: unknown): boolean {
  if (typeof value === 'string') return value.includes(UNKNOWN);
  return typeof value === 'object' && value !== null && Object.values(value).some(isUnknown);
}

/** True when part of the value came from the environment. */
export function isFromEnvironment(value: unknown): boolean {
  if (typeof value === 'string') return value.includes(FROM_ENVIRONMENT);
  return typeof value === 'object' && value !== null && Object.values(value).some(isFromEnvironment);
}

/** The value as it is meant, without marks. */
export function plainly<T>(value: T): T {
  return mapStrings(value, (text) => text.replaceAll(FROM_ENVIRONMENT, '').replaceAll(END, ''));
}

/** The value as it may be shown: what came from the environment is `***`. */
export function masked<T>(value: T): T {
  return mapStrings(value, (text) => text.replace(MARKED, '***'));
}

function mapStrings<T>(value: T, change: (text: string) => string): T {
  const walk = (now: unknown): unknown => {
    if (typeof now === 'string') return change(now);
    if (Array.isArray(now)) return now.map(walk);
    if (isMapping(now))
      return Object.fromEntries(Object.entries(now).map(([key, entry]) => [key, walk(entry)]));
    return now;
  };
  return walk(value) as T;
}
