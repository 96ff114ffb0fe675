/**
 * Puts what file, variables and flags say on top of each other, under the canonical names, and remembers of every
 * value where it came from, so that a fault found later can name its place.
 */
import { z } from 'zod';
import { didYouMean } from '../domain/nearest.ts';
import { formatPath, type KeyPath } from '../domain/problem.ts';
import type { Fault } from '../ports/registry.ts';

/** A place in the words of whoever wrote there. */
export interface Place {
  /** A file's path, `--flag` or `VARIABLE`. */
  readonly file: string;
  readonly line?: number;
  /** The key as written there. */
  readonly key?: string;
}

/** One setting by its dotted name: `--network.bind-port=0`, `CORAL_CONFIG__NETWORK__BIND_PORT=0`. */
export interface Setting {
  /** As people know it: `--network.bind-port` or `CORAL_CONFIG__NETWORK__BIND_PORT`. */
  readonly name: string;
  readonly path: readonly string[];
  readonly value: string;
}

type Tree = Record<string, unknown>;
type ListProblem = (place: Place, severity: Fault['severity'], message: string) => void;

/** One layer on the other, and where each value came from. */
export class Layers {
  /** Canonical names; later layers have replaced what earlier ones said. */
  readonly tree: Tree = {};
  readonly faults: Fault[] = [];
  private readonly places = new Map<string, Place>();

  constructor(private readonly schema: z.ZodType) {}

  /** Lays a file's content on top. `lineOf` answers for paths as written. */
  addFile(file: string, content: unknown, lineOf: (path: KeyPath) => number | undefined): void {
    if (content === undefined || content === null) return;
    const place = (written: KeyPath): Place => {
      const line = lineOf(written);
      return {
        file,
        ...(line === undefined ? {} : { line }),
        ...(written.length ? { key: formatPath(written) } : {}),
      };
    };
    this.lay(this.tree, content, this.schema, [], [], place);
  }

  /** Lays one setting on top. */
  addSetting({ name, path, value }: Setting): void {
    const place: Place = { file: name };
    let schema = this.schema;
    const canonical: string[] = [];
    for (const segment of path) {
      const shape = shapeOf(schema);
      if (shape.kind !== 'section' && shape.kind !== 'map') {
        const owner = formatPath(canonical);
        this.fault(
          place,
          'warning',
          `\`${owner}\` is a value and has no key \`${segment}\`: it was ignored.`,
        );
        return;
      }
      const key = shape.kind === 'section' ? keyNamed(segment, shape.keys) : segment;
      if (key === undefined) {
        this.unknown(place, segment, canonical, shape.kind === 'section' ? Object.keys(shape.keys) : []);
        return;
      }
      canonical.push(key);
      schema = shape.kind === 'section' ? shape.keys[key]! : shape.value;
    }
    const given = this.fromText(value, schema, canonical, place);
    if (given === undefined) return;
    const into = canonical.slice(0, -1).reduce(branch, this.tree);
    this.layValue(into, canonical.at(-1)!, given, schema, [], canonical, () => place);
  }

  /** Where the value at a canonical path came from: its own place, else that of what holds it. */
  placeOf(path: KeyPath): Place | undefined {
    for (let length = path.length; length >= 0; length--) {
      const place = this.places.get(formatPath(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return undefined;
  }

  readonly fault: ListProblem = (place, severity, message) => {
    this.faults.push({ severity, ...place, message });
  };

  private lay(
    into: Tree,
    content: unknown,
    schema: z.ZodType,
    written: KeyPath,
    canonical: KeyPath,
    place: (written: KeyPath) => Place,
  ): void {
    const shape = shapeOf(schema);
    if (typeof content !== 'object' || content === null || Array.isArray(content)) {
      const what = canonical.length === 0 ? 'A configuration' : `\`${formatPath(canonical)}\``;
      this.fault(place(written), 'error', `${what} must be a section with keys.`);
      return;
    }
    const seen = new Map<string, string>();
    for (const [name, value] of Object.entries(content)) {
      const here = [...written, name];
      let key: string | undefined = name;
      if (shape.kind === 'section') {
        key = keyNamed(name, shape.keys);
        if (key === undefined) {
          this.unknown(place(here), name, canonical, Object.keys(shape.keys));
          continue;
        }
        const before = seen.get(key);
        if (before !== undefined) {
          this.fault(
            place(here),
            'error',
            `\`${before}\` and \`${name}\` are the same key: keep one of them.`,
          );
          continue;
        }
        seen.set(key, name);
      }
      const inner =
        shape.kind === 'section' ? shape.keys[key]! : shape.kind === 'map' ? shape.value : z.unknown();
      this.layValue(into, key, value, inner, here, [...canonical, key], place);
    }
  }

  private layValue(
    into: Tree,
    key: string,
    value: unknown,
    schema: z.ZodType,
    written: KeyPath,
    canonical: KeyPath,
    place: (written: KeyPath) => Place,
  ): void {
    this.places.set(formatPath(canonical), place(written));
    // A key without a value (`auth:`) says nothing.
    if (value === null || value === undefined) return;
    const shape = shapeOf(schema);
    if (shape.kind === 'section' || shape.kind === 'map') {
      this.lay(branch(into, key), value, schema, written, canonical, place);
    } else if (shape.kind === 'list' && Array.isArray(value)) {
      into[key] = value.map((entry: unknown, index) => {
        const slot = Object.create(null) as Tree;
        this.layValue(slot, 'entry', entry, shape.entry, [...written, index], [...canonical, index], place);
        return slot['entry'];
      });
    } else into[key] = value;
  }

  /** Lists of sections, and sections given whole, are written as JSON in flags and variables. */
  private fromText(value: string, schema: z.ZodType, canonical: KeyPath, place: Place): unknown {
    const { kind } = shapeOf(schema);
    if (kind === 'value' && !value.trimStart().startsWith('[')) return value;
    try {
      return JSON.parse(value) as unknown;
    } catch {
      if (kind === 'value') return value;
      const what = kind === 'list' ? 'a list' : 'a section';
      this.fault(
        place,
        'error',
        `\`${formatPath(canonical)}\` is ${what}: write it as JSON, or set its keys one by one.`,
      );
      return undefined;
    }
  }

  private unknown(place: Place, name: string, section: KeyPath, known: readonly string[]): void {
    const full = formatPath([...section, name]);
    const where = section.length === 0 ? 'at the top' : `in \`${formatPath(section)}\``;
    const hint = didYouMean(name, known) || ` Known ${where}: ${known.join(', ')}.`;
    this.fault(place, 'warning', `\`${full}\` means nothing and was ignored.${hint}`);
  }
}

type Shape =
  | { readonly kind: 'section'; readonly keys: Readonly<Record<string, z.ZodType>> }
  | { readonly kind: 'map'; readonly value: z.ZodType }
  | { readonly kind: 'list'; readonly entry: z.ZodType }
  | { readonly kind: 'value' };

/** What a schema holds, below its defaults. */
function shapeOf(schema: z.ZodType): Shape {
  if (schema instanceof z.ZodObject) return { kind: 'section', keys: schema.shape };
  if (schema instanceof z.ZodRecord) return { kind: 'map', value: schema.valueType as z.ZodType };
  if (schema instanceof z.ZodArray) return { kind: 'list', entry: schema.element as z.ZodType };
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return shapeOf(schema.unwrap() as z.ZodType);
  }
  return { kind: 'value' };
}

/** `bind-port`, `bind_port`, `bindPort` and `BIND_PORT` name one key. */
function keyNamed(name: string, keys: Readonly<Record<string, z.ZodType>>): string | undefined {
  const bare = (word: string): string => word.replace(/[-_]/g, '').toLowerCase();
  return Object.keys(keys).find((key) => bare(key) === bare(name));
}

function branch(tree: Tree, key: string): Tree {
  const there = tree[key];
  if (typeof there === 'object' && there !== null && !Array.isArray(there)) return there as Tree;
  const made = Object.create(null) as Tree;
  tree[key] = made;
  return made;
}
