/**
 * Does a value fit its option? Type, range and validation, element by element for lists; what fits comes back in
 * canonical form. Source: docs/wire.md, "Options".
 */
import type { OptionDefinition, OptionValidation, OptionValue, ScalarType, ScalarValue } from './option.ts';
import { compilePattern } from './option-pattern.ts';
import { canonical, decodeBase64, isIntegerType, kindOf } from './option-value.ts';
import type { Checked, Spelling } from './option-value.ts';

/**
 * A value as it arrived in a request (`i64` possibly as a bigint from a lossless parser). The fault is a sentence
 * without the option's name and without the value, which may be secret.
 */
export function checkOption(
  definition: OptionDefinition,
  given: { readonly type: string; readonly value: unknown },
): Checked<OptionValue> {
  if (given.type !== definition.type)
    return { fault: `Must have the type ${definition.type}, not ${given.type}.` };
  return check(definition, given.value, 'wire');
}

/** A plain value from a file (YAML, TOML); the type comes from the definition. Exact strings do for numbers and booleans. */
export function optionFromPlain(definition: OptionDefinition, plain: unknown): Checked<OptionValue> {
  return check(definition, plain, 'plain');
}

function check(definition: OptionDefinition, given: unknown, spelling: Spelling): Checked<OptionValue> {
  const { type, validation } = definition;
  if (!type.startsWith('list[')) {
    const checked = checkScalar(type as ScalarType, given, validation, spelling);
    return 'fault' in checked ? checked : { value: { type, value: checked.value } };
  }
  if (!Array.isArray(given)) return { fault: `Must be a list (${type}), not ${kindOf(given)}.` };
  const elements: ScalarValue[] = [];
  for (const [index, element] of given.entries()) {
    const checked = checkScalar(type.slice(5, -1) as ScalarType, element, validation, spelling);
    if ('fault' in checked) return { fault: `Element ${index}: ${checked.fault}` };
    elements.push(checked.value);
  }
  return { value: { type, value: elements } };
}

function checkScalar(
  type: ScalarType,
  given: unknown,
  validation: OptionValidation | undefined,
  spelling: Spelling,
): Checked<ScalarValue> {
  const checked = canonical(type, given, spelling);
  if ('fault' in checked || validation === undefined) return checked;
  const fault = refused(type, checked.value, validation);
  return fault === undefined ? checked : { fault };
}

/** The sentence by which the option's own validation refuses a canonical value, or undefined when it does not. */
function refused(type: ScalarType, value: ScalarValue, validation: OptionValidation): string | undefined {
  const { variants, minLength, maxLength, regex, min, max, minSize, maxSize } = validation;
  if (variants !== undefined && !variants.some((variant) => variant === value))
    return `Must be one of ${variants.map((variant) => JSON.stringify(variant)).join(', ')}.`;
  if (type === 'string') {
    const text = value as string;
    const length = Buffer.byteLength(text);
    if (minLength !== undefined && length < minLength)
      return `Must be at least ${minLength} bytes long in UTF-8; it has ${length}.`;
    if (maxLength !== undefined && length > maxLength)
      return `Must be at most ${maxLength} bytes long in UTF-8; it has ${length}.`;
    if (regex !== undefined && compilePattern(regex)?.test(text) !== true)
      return `Must match the pattern ${regex} as a whole.`;
  } else if (type === 'blob') {
    const size = decodeBase64(value as string)?.length ?? 0;
    if (minSize !== undefined && size < minSize)
      return `Must be at least ${minSize} bytes large; it has ${size}.`;
    if (maxSize !== undefined && size > maxSize)
      return `Must be at most ${maxSize} bytes large; it has ${size}.`;
  } else if (type !== 'bool') {
    if (min !== undefined && less(type, value, min)) return `Must be at least ${min}.`;
    if (max !== undefined && less(type, max, value)) return `Must be at most ${max}.`;
  }
  return undefined;
}

function less(type: ScalarType, a: ScalarValue, b: ScalarValue): boolean {
  return isIntegerType(type) ? BigInt(a) < BigInt(b) : Number(a) < Number(b);
}
