/**
 * Request bodies: JSON whatever the content type says, with a sentence that tells line and column when it is not.
 * Session requests keep integers that are too wide for a number as bigint, in option values only.
 */
import { parse as parseLossless } from 'lossless-json';
import { Refusal } from '../domain/refusal.ts';

/** Deeper nesting than any request needs; keeps recursive code off the end of the stack. */
export const MAX_DEPTH = 200;

/** A JSON text's value; undefined for an empty one. Throws a `Refusal` (`invalid_request`) that says where it breaks. */
export function parseJson(text: string): unknown {
  const json = prepared(text);
  if (json === undefined) return undefined;
  try {
    return JSON.parse(json) as unknown;
  } catch {
    throw malformed(json);
  }
}

/**
 * As `parseJson`, for a session request: integers beyond 2^53 in `agentGraphRequest.agents[].options` become bigint,
 * everything else stays what JSON.parse makes of it.
 */
export function parseSessionJson(text: string): unknown {
  // Only numbers of 16 digits and more can lose any: most bodies take the fast way.
  if (!/\d{16}/.test(text)) return parseJson(text);
  const json = prepared(text);
  if (json === undefined) return undefined;
  let body: unknown;
  try {
    body = parseLossless(json, null, {
      parseNumber: numberOrBigint,
      onDuplicateKey: ({ newValue }) => newValue,
    });
  } catch {
    throw malformed(json);
  }
  return onlyOptionsWide(body);
}

function numberOrBigint(digits: string): number | bigint {
  const number = Number(digits);
  return /^-?\d+$/.test(digits) && !Number.isSafeInteger(number) ? BigInt(digits) : number;
}

function onlyOptionsWide(body: unknown): unknown {
  if (!isObject(body)) return narrowed(body);
  return mapped(body, (value, key) => {
    if (key !== 'agentGraphRequest' || !isObject(value)) return narrowed(value);
    return mapped(value, (part, name) => {
      if (name !== 'agents' || !Array.isArray(part)) return narrowed(part);
      return part.map((agent: unknown) =>
        isObject(agent)
          ? mapped(agent, (field, fieldName) => (fieldName === 'options' ? field : narrowed(field)))
          : narrowed(agent),
      );
    });
  });
}

function narrowed(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(narrowed);
  return isObject(value) ? mapped(value, narrowed) : value;
}

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mapped(object: JsonObject, change: (value: unknown, key: string) => unknown): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]));
}

/** The text without a byte order mark, or undefined when there is nothing in it; refuses what nests too deep. */
function prepared(text: string): string | undefined {
  const json = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  if (json.trim() === '') return undefined;
  if (nestsTooDeep(json)) {
    throw new Refusal('invalid_request', `The body nests deeper than ${MAX_DEPTH} levels; flatten it.`);
  }
  return json;
}

function nestsTooDeep(json: string): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < json.length; index += 1) {
    const char = json.charCodeAt(index);
    if (inString) {
      if (char === 0x5c) index += 1;
      else if (char === 0x22) inString = false;
    } else if (char === 0x22) inString = true;
    else if (char === 0x7b || char === 0x5b) {
      depth += 1;
      if (depth > MAX_DEPTH) return true;
    } else if (char === 0x7d || char === 0x5d) depth -= 1;
  }
  return false;
}

/** Where it breaks, without repeating what stands there: it may be secret. */
function malformed(json: string): Refusal {
  const position = breakAt(json);
  if (position === undefined) return new Refusal('invalid_request', 'The body is not valid JSON.');
  const before = json.slice(0, position).split('\n');
  const column = (before[before.length - 1]?.length ?? 0) + 1;
  const place = `line ${before.length}, column ${column}`;
  return new Refusal(
    'invalid_request',
    position >= json.trimEnd().length
      ? `The body is not valid JSON: it ends too early, at ${place}.`
      : `The body is not valid JSON: it breaks at ${place}.`,
  );
}

/** JSON.parse tells no position for some faults; the lossless parser always does. */
function breakAt(json: string): number | undefined {
  try {
    parseLossless(json, null, { onDuplicateKey: ({ newValue }) => newValue });
  } catch (error) {
    const position = / at position (\d+)$/.exec(String(error))?.[1];
    return position === undefined ? undefined : Number(position);
  }
  return undefined;
}
