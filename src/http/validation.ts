/**
 * Checks requests against their zod schemas: all faults at once, each a sentence at a path; and finds the keys of a
 * request that mean nothing here, which are ignored and named in a warning. Source: docs/wire.md, "Errors".
 */
import { z } from 'zod';
import type { FastifySchemaCompiler } from 'fastify';
import { formatPath } from '../domain/problem.ts';
import { Refusal, type Issue } from '../domain/refusal.ts';

/** For Fastify: a body, query or path that does not fit becomes a `Refusal` with every fault in it. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart }) =>
  (data: unknown) => {
    const result = z.core.safeParse(schema, data, { reportInput: true });
    if (result.success) return { value: result.data };
    return { error: misfit(result.error.issues, httpPart) };
  };

const PARTS: Readonly<Record<string, string>> = {
  body: 'The body',
  querystring: 'The query',
  params: 'The path',
  headers: 'The headers',
};

function misfit(zodIssues: readonly z.core.$ZodIssue[], part: string | undefined): Refusal {
  const issues = zodIssues.map((issue): Issue => ({
    path: formatPath(issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key))),
    message: sentence(issue),
  }));
  const where = PARTS[part ?? 'body'] ?? 'The request';
  const [first] = issues;
  const what =
    first === undefined
      ? 'it has another shape.'
      : `${first.path === '' ? '' : `${first.path}: `}${first.message}`;
  const rest = issues.length > 1 ? ` ${issues.length - 1} more in issues.` : '';
  return new Refusal('invalid_request', `${where} does not fit: ${what}${rest}`, issues);
}

/** A fault as a sentence about the value at its path. Never repeats the value: it may be secret. */
export function sentence(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return expected(noun(issue.expected), issue.input);
    case 'invalid_value':
      return expected(oneOf(issue.values), issue.input);
    case 'invalid_union': {
      const union = issue as typeof issue & {
        discriminator?: string;
        options?: readonly z.core.util.Primitive[];
      };
      const given: unknown = issue.input;
      if (typeof given !== 'object' || given === null || Array.isArray(given)) {
        return expected(union.discriminator === undefined ? alternatives(issue) : 'an object', given);
      }
      if (union.discriminator === undefined) return expected(alternatives(issue), given);
      const value = (given as Record<string, unknown>)[union.discriminator];
      return expected(oneOf(union.options ?? []), value);
    }
    case 'too_small':
    case 'too_big':
      return bound(issue);
    case 'invalid_format':
      return issue.format === 'url' ? 'Must be an http or https URL.' : `Must be a valid ${issue.format}.`;
    default:
      return /[.!?]$/.test(issue.message) ? issue.message : `${issue.message}.`;
  }
}

function expected(what: string, given: unknown): string {
  return given === undefined ? `Is missing; it must be ${what}.` : `Must be ${what}.`;
}

function oneOf(values: readonly unknown[]): string {
  return `${values.length > 1 ? 'one of ' : ''}${values.map((value) => JSON.stringify(value)).join(', ')}`;
}

function alternatives(issue: z.core.$ZodIssueInvalidUnion): string {
  const nouns = issue.errors.flat().flatMap((e) => (e.code === 'invalid_type' ? [noun(e.expected)] : []));
  return nouns.length === 0 ? 'of another shape' : [...new Set(nouns)].join(' or ');
}

const NOUNS: Readonly<Record<string, string>> = {
  object: 'an object',
  record: 'an object',
  array: 'a list',
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  bigint: 'a whole number',
  boolean: 'true or false',
};

function noun(type: string): string {
  return NOUNS[type] ?? `a ${type}`;
}

function bound(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const [side, limit] = issue.code === 'too_small' ? ['at least', issue.minimum] : ['at most', issue.maximum];
  switch (issue.origin) {
    case 'string':
      return `Must be ${side} ${limit} characters long.`;
    case 'array':
    case 'set':
      return `Must have ${side} ${limit} elements.`;
    default:
      return `Must be ${side} ${limit}.`;
  }
}

/** Paths of all keys in `value` that `schema` has no place for, in order, e.g. `agentGraphRequest.agents[0].nmae`. */
export function unknownKeys(schema: z.core.$ZodType, value: unknown): string[] {
  const found: string[] = [];
  walk(schema as z.core.$ZodTypes, value, [], (path) => found.push(formatPath(path)));
  return found;
}

type Path = readonly (string | number)[];

function walk(schema: z.core.$ZodTypes, value: unknown, path: Path, tell: (path: Path) => void): void {
  const def = schema._zod.def;
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'nonoptional':
    case 'readonly':
    case 'catch':
      return walk(def.innerType as z.core.$ZodTypes, value, path, tell);
    case 'pipe':
      return walk(def.in as z.core.$ZodTypes, value, path, tell);
    case 'array':
      if (!Array.isArray(value)) return;
      for (const [index, element] of value.entries()) {
        walk(def.element as z.core.$ZodTypes, element, [...path, index], tell);
      }
      return;
    case 'record':
      for (const [key, element] of entries(value)) {
        walk(def.valueType as z.core.$ZodTypes, element, [...path, key], tell);
      }
      return;
    case 'object':
      for (const [key, element] of entries(value)) {
        const field = Object.hasOwn(def.shape, key) ? def.shape[key] : undefined;
        if (field !== undefined) walk(field as z.core.$ZodTypes, element, [...path, key], tell);
        else if (def.catchall === undefined) tell([...path, key]);
      }
      return;
    case 'union': {
      const chosen = def.options.find((option) => z.core.safeParse(option, value).success);
      if (chosen !== undefined) walk(chosen as z.core.$ZodTypes, value, path, tell);
      return;
    }
    default:
      return;
  }
}

function entries(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}
