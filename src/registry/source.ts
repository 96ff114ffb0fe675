/**
 * The text of a YAML or TOML file as plain values that still know where they stood. Integers keep their full width:
 * those that a number cannot hold exactly are bigints. YAML is version 1.2, so JSON is read too.
 */
import { parse as parseToml, TomlError } from 'smol-toml';
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import type { KeyPath, Problem } from '../domain/problem.ts';
import { formatPath } from '../domain/problem.ts';
import { reasonOf } from '../domain/reason.ts';
import type { Fault } from '../ports/registry.ts';
import type { Position } from './position.ts';
import { tomlPositions } from './toml-positions.ts';

/** What a text says, and where. */
export interface Source {
  /** Objects, lists, strings, booleans, numbers, bigints (only beyond the safe integers) and null. */
  readonly value: unknown;
  /** Where the key or element stands; for one that is missing, where its nearest written parent does. */
  locate(path: KeyPath): Position | undefined;
}

/** The source, or every fault that keeps the text from being read, with lines. TOML by extension, else YAML. */
export function parseSource(text: string, file: string): Source | { readonly faults: readonly Fault[] } {
  try {
    return file.toLowerCase().endsWith('.toml') ? readToml(text, file) : readYaml(text, file);
  } catch (cause) {
    // Aliases without end, nesting beyond the stack: whatever a parser throws is a fault of the text.
    return { faults: [{ severity: 'error', file, message: `Cannot be read: ${firstLine(cause)}` }] };
  }
}

/** True when the text could be read. */
export function isSource(read: Source | { readonly faults: readonly Fault[] }): read is Source {
  return 'locate' in read;
}

/** A problem of a value read from this source, with file and line. */
export function faultOf(problem: Problem, file: string, source?: Source): Fault {
  const line = source?.locate(problem.path)?.line;
  return {
    severity: problem.severity,
    file,
    ...(line === undefined ? {} : { line }),
    ...(problem.path.length === 0 ? {} : { key: formatPath(problem.path) }),
    message: problem.message,
  };
}

function readYaml(text: string, file: string): Source | { faults: readonly Fault[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { intAsBigInt: true, lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0)
    return {
      faults: document.errors.map((fault) => ({
        severity: 'error',
        file,
        line: lines.linePos(fault.pos[0]).line,
        message:
          fault.code === 'DUPLICATE_KEY'
            ? 'This key stands twice in its mapping; remove one of the two.'
            : `Is no valid YAML: ${sentence(fault.message)}`,
      })),
    };
  return {
    value: plain(document.toJS({ maxAliasCount: 100 })),
    locate(path) {
      const offset = yamlOffset(document, path);
      if (offset === undefined) return undefined;
      const { line, col } = lines.linePos(offset);
      return { line, column: col };
    },
  };
}

function yamlOffset(document: Document, path: KeyPath): number | undefined {
  let node: unknown = document.contents;
  let offset = rangeStart(node);
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
      if (!isPair(pair)) break;
      offset = rangeStart(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      if (node === undefined) break;
      offset = rangeStart(node) ?? offset;
    } else break;
  }
  return offset;
}

function rangeStart(node: unknown): number | undefined {
  const range = (node as { range?: readonly [number, number, number] | null } | null)?.range;
  return range?.[0];
}

function readToml(text: string, file: string): Source | { faults: readonly Fault[] } {
  let value: unknown;
  try {
    value = plain(parseToml(text, { integersAsBigInt: 'asNeeded', unsafeKeyBehaviour: 'throw' }));
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    return {
      faults: [
        { severity: 'error', file, line: cause.line, message: `Is no valid TOML: ${tomlReason(cause)}` },
      ],
    };
  }
  let positions: ReadonlyMap<string, Position> | undefined;
  return {
    value,
    locate(path) {
      positions ??= tomlPositions(text);
      for (let length = path.length; length > 0; length--) {
        const found = positions.get(JSON.stringify(path.slice(0, length)));
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}

function tomlReason(cause: TomlError): string {
  return sentence(firstLine(cause).replace(/^Invalid TOML document:\s*/i, ''));
}

function firstLine(cause: unknown): string {
  return reasonOf(cause).split('\n')[0] ?? '';
}

function sentence(message: string): string {
  const line = message.split('\n')[0] ?? '';
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

/** Bigints that fit become numbers, dates their text, keys stay own properties whatever they are called. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint')
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]));
  return value;
}
