/**
 * The keys of a mapping held against a schema: which ones mean nothing, and (for files whose keys may be written in
 * camelCase, kebab-case or snake_case) which known key each one is. The schema stays the only list of known keys.
 */
import type { z } from 'zod';
import { didYouMean } from './nearest.ts';
import type { KeyPath } from './problem.ts';

type Schema = z.core.$ZodType;

/** A key that the schema does not know, or that was given twice. */
export interface StrangeKey {
  /** As written. */
  readonly path: KeyPath;
  /** A sentence with the nearest known key. */
  readonly message: string;
}

/** A value held against a schema, key by key. */
export interface KeyReading {
  /** With the schema's own keys; keys that are null are left out, unknown ones too. */
  readonly value: unknown;
  readonly strange: readonly StrangeKey[];
  /** A path in `value` as it was written. */
  written(path: KeyPath): KeyPath;
}

/** `exact`: keys as in the schema. `any`: camelCase, kebab-case and snake_case alike. */
export type KeySpelling = 'exact' | 'any';

/** Holds the keys of `given` against `schema`, all the way down. Values are not judged: that is the parse that follows. */
export function readKeys(schema: Schema, given: unknown, spelling: KeySpelling): KeyReading {
  const strange: StrangeKey[] = [];
  const renamed = new Map<string, string>();
  const value = walk(schema, given, [], []);
  return {
    value,
    strange,
    written: (path) =>
      path.map((part, index) => renamed.get(JSON.stringify(path.slice(0, index + 1))) ?? part),
  };

  function walk(against: Schema, now: unknown, path: KeyPath, written: KeyPath): unknown {
    const known = unwrap(against, now);
    if (known === undefined || typeof now !== 'object' || now === null) return now;
    const { def } = known._zod as unknown as { def: Definition };
    if (Array.isArray(now)) {
      const element = def.type === 'array' ? def.element : undefined;
      if (element === undefined) return now;
      return now.map((entry, index) => walk(element, entry, [...path, index], [...written, index]));
    }
    if (def.type === 'record' && def.valueType !== undefined) {
      const entry = def.valueType;
      return Object.fromEntries(
        Object.entries(now).map(([key, inner]) => [
          key,
          walk(entry, inner, [...path, key], [...written, key]),
        ]),
      );
    }
    return def.type === 'object' && def.shape !== undefined
      ? mapping(def.shape, def.catchall !== undefined, now, path, written)
      : now;
  }

  function mapping(
    shape: Readonly<Record<string, Schema>>,
    open: boolean,
    now: object,
    path: KeyPath,
    written: KeyPath,
  ): unknown {
    const names = Object.keys(shape);
    const spelled =
      spelling === 'any'
        ? new Map(names.map((name) => [bare(name), name]))
        : new Map(names.map((n) => [n, n]));
    const entries = new Map<string, unknown>();
    for (const [key, inner] of Object.entries(now)) {
      const name = spelled.get(spelling === 'any' ? bare(key) : key);
      const here = [...written, key];
      const entry = name === undefined ? undefined : shape[name];
      if (name === undefined || entry === undefined) {
        if (open) entries.set(key, inner);
        else strange.push({ path: here, message: `Is no known key.${didYouMean(key, names)}` });
      } else if (entries.has(name)) {
        strange.push({ path: here, message: `Is given twice, in two spellings of \`${name}\`.` });
      } else if (inner !== null) {
        const inside = [...path, name];
        if (name !== key) renamed.set(JSON.stringify(inside), key);
        entries.set(name, walk(entry, inner, inside, here));
      }
    }
    return Object.fromEntries(entries);
  }
}

interface Definition {
  readonly type: string;
  readonly innerType?: Schema;
  readonly in?: Schema;
  readonly out?: Schema;
  readonly element?: Schema;
  readonly valueType?: Schema;
  readonly shape?: Readonly<Record<string, Schema>>;
  readonly catchall?: Schema;
  readonly options?: readonly Schema[];
  readonly discriminator?: string;
  readonly values?: readonly unknown[];
  readonly getter?: () => Schema;
}

const definitionOf = (schema: Schema): Definition => (schema._zod as unknown as { def: Definition }).def;

/** The object, record or array schema that will read `value`, without wrappers; undefined where there is none. */
function unwrap(schema: Schema, value: unknown): Schema | undefined {
  const def = definitionOf(schema);
  if (def.type === 'lazy') return def.getter === undefined ? undefined : unwrap(def.getter(), value);
  if (def.innerType !== undefined) return unwrap(def.innerType, value);
  if (def.type === 'pipe') {
    const { in: first, out } = def;
    const chosen = first !== undefined && definitionOf(first).type === 'transform' ? out : first;
    return chosen === undefined ? undefined : unwrap(chosen, value);
  }
  if (def.type === 'union') {
    const tag = def.discriminator;
    for (const option of def.options ?? []) {
      const found = unwrap(option, value);
      if (found === undefined) continue;
      const { type, shape } = definitionOf(found);
      if (Array.isArray(value) !== (type === 'array')) continue;
      if (tag === undefined || type !== 'object') return found;
      const literal = shape?.[tag];
      const tagged = (value as Record<string, unknown> | null)?.[tag];
      if (literal !== undefined && definitionOf(literal).values?.includes(tagged) === true) return found;
    }
    return undefined;
  }
  return ['object', 'record', 'array'].includes(def.type) ? schema : undefined;
}

function bare(key: string): string {
  return key.toLowerCase().replace(/[-_]/g, '');
}
