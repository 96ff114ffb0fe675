/**
 * References: where a definition may say `{type = "file", path = "README.md"}` instead of the text itself. They are
 * resolved when the definition is read; how files and URLs are read is the caller's. Source: docs/wire.md, "Agent definitions".
 */
import { isMapping } from './definition-lenient.ts';
import { error } from './problem.ts';
import type { KeyPath, Problem } from './problem.ts';

/** Both reject with an Error whose message is a sentence for the definition's writer. */
export interface ReferenceReader {
  /** `path` as written: relative to the definition. */
  file(path: string): Promise<Uint8Array>;
  url(url: string): Promise<Uint8Array>;
}

const TYPES = ['string', 'file', 'url', 'constant'];

/** Replaces every reference in `file` (which is changed) by its text; what cannot be resolved is a problem and removed. */
export async function resolveReferences(file: unknown, reader: ReferenceReader): Promise<Problem[]> {
  const found = await Promise.all(
    places(file).map(async ({ holder, key, path, blob }) => {
      const reference = Array.isArray(holder) ? holder[key as number] : holder[key];
      if (!isMapping(reference) || !TYPES.includes(reference['type'] as string)) return undefined;
      const resolved = await resolve(reference, blob, reader);
      if (typeof resolved === 'string') {
        (holder as Record<string | number, unknown>)[key] = resolved;
        return undefined;
      }
      return error(path, resolved.fault);
    }),
  );
  return found.filter((problem) => problem !== undefined);
}

interface Place {
  readonly holder: Record<string, unknown> | unknown[];
  readonly key: string | number;
  readonly path: KeyPath;
  /** Bytes are wanted, as base64. */
  readonly blob: boolean;
}

/** Everywhere a reference may stand. */
function places(file: unknown): Place[] {
  const found: Place[] = [];
  const at = (path: readonly string[], blob = false): void => {
    let holder: unknown = file;
    for (const part of path.slice(0, -1)) holder = isMapping(holder) ? holder[part] : undefined;
    const key = path.at(-1);
    if (isMapping(holder) && key !== undefined && holder[key] !== undefined)
      found.push({ holder, key, path, blob });
  };
  for (const key of ['description', 'summary', 'readme']) at(['agent', key]);
  at(['agent', 'license', 'text']);
  const prompts = ['runtimes', 'prototype', 'prompts'];
  at([...prompts, 'loop', 'followup']);
  for (const part of ['base', 'extra']) {
    at([...prompts, 'system', part]);
    at([...prompts, 'loop', 'initial', part]);
  }
  const options = isMapping(file) && isMapping(file['options']) ? file['options'] : {};
  for (const [name, option] of Object.entries(options)) {
    if (!isMapping(option) || typeof option['type'] !== 'string') continue;
    const element = /^(list\[)?(string|blob)\]?$/.exec(option['type']);
    if (element === null) continue;
    const blob = element[2] === 'blob';
    const value = option['default'];
    if (element[1] === undefined) at(['options', name, 'default'], blob);
    else if (Array.isArray(value))
      for (const index of value.keys())
        found.push({ holder: value, key: index, path: ['options', name, 'default', index], blob });
  }
  return found;
}

async function resolve(
  reference: Record<string, unknown>,
  blob: boolean,
  reader: ReferenceReader,
): Promise<string | { fault: string }> {
  const { type, value, path, url, encoding = 'UTF-8', base64 = blob, name } = reference;
  if (type === 'string')
    return typeof value === 'string'
      ? value
      : { fault: 'A reference of type `string` has its text under `value`.' };
  if (type === 'constant')
    return { fault: `The constant ${shown(name)} is not known; this server has no constants.` };
  const key = type === 'file' ? 'path' : 'url';
  const target = type === 'file' ? path : url;
  if (typeof target !== 'string' || target === '')
    return { fault: `A reference of type \`${String(type)}\` says what it means under \`${key}\`.` };
  if (typeof encoding !== 'string' || typeof base64 !== 'boolean')
    return { fault: '`encoding` is the name of a character set, `base64` is true or false.' };
  try {
    const bytes = await (type === 'file' ? reader.file(target) : reader.url(target));
    if (base64) return Buffer.from(bytes).toString('base64');
    return decode(bytes, encoding, target);
  } catch (cause) {
    return { fault: cause instanceof Error ? cause.message : `${target} cannot be read.` };
  }
}

function decode(bytes: Uint8Array, encoding: string, target: string): string | { fault: string } {
  let decoder: InstanceType<typeof TextDecoder>;
  try {
    decoder = new TextDecoder(encoding, { fatal: true });
  } catch {
    return { fault: `The encoding ${encoding} is not known; UTF-8 is the default.` };
  }
  try {
    return decoder.decode(bytes);
  } catch {
    return { fault: `${target} is not valid ${encoding}; name its \`encoding\`.` };
  }
}

function shown(name: unknown): string {
  return typeof name === 'string' ? `\`${name}\`` : 'without a name';
}
