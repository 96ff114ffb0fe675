/** One option of a definition: its default and validation held against its type. Source: docs/wire.md, "Options". */
import type { OptionShape } from './definition-schema.ts';
import { optionFromPlain } from './option-check.ts';
import type { OptionDefinition, OptionType, OptionValidation, ScalarType, ScalarValue } from './option.ts';
import { compilePattern } from './option-pattern.ts';
import { canonical, isIntegerType } from './option-value.ts';
import { error, warning } from './problem.ts';
import type { KeyPath, Problem } from './problem.ts';

type Shape = NonNullable<OptionShape['validation']>;

/** What each kind of type can be asked for. */
function meaningful(element: ScalarType): readonly (keyof Shape)[] {
  if (element === 'string') return ['variants', 'min_length', 'max_length', 'regex'];
  if (element === 'blob') return ['min_size', 'max_size'];
  return element === 'bool' ? [] : ['min', 'max', 'variants'];
}

/** The option as the rest of the program knows it, with every problem of its default and validation. */
export function readOption(
  shape: OptionShape,
  at: KeyPath,
): { option: OptionDefinition; problems: Problem[] } {
  const problems: Problem[] = [];
  const type = shape.type as OptionType;
  const list = type.startsWith('list[');
  const element = (list ? type.slice(5, -1) : type) as ScalarType;
  const validation = readValidation(shape.validation ?? {}, element, [...at, 'validation'], problems);
  const display = shape.display === undefined ? {} : given(shape.display);
  const option: OptionDefinition = {
    type,
    required: shape.required,
    transport: shape.transport,
    secret: shape.secret,
    base64: shape.base64,
    ...(Object.keys(display).length === 0 ? {} : { display }),
    ...(Object.keys(validation).length === 0 ? {} : { validation }),
  };
  // No value is better than none for a list: it is the empty one.
  const plain = shape.default ?? (list ? [] : undefined);
  if (plain === undefined) return { option, problems };
  const checked = optionFromPlain(option, plain);
  if ('fault' in checked) problems.push(error([...at, 'default'], checked.fault));
  else return { option: { ...option, default: checked.value.value }, problems };
  return { option, problems };
}

function readValidation(
  shape: Shape,
  element: ScalarType,
  at: KeyPath,
  problems: Problem[],
): OptionValidation {
  const allowed = meaningful(element);
  for (const key of Object.keys(given(shape)))
    if (!(allowed as readonly string[]).includes(key))
      problems.push(
        warning(
          [...at, key],
          allowed.length === 0
            ? `Means nothing: options of type ${element} have no validation.`
            : `Means nothing for ${element}; there is ${allowed.join(', ')}.`,
        ),
      );
  const scalar = (key: keyof Shape, plain: unknown, path: KeyPath): ScalarValue | undefined => {
    if (plain === undefined || !allowed.includes(key)) return undefined;
    const checked = canonical(element, plain, 'plain');
    if ('value' in checked) return checked.value;
    problems.push(error(path, checked.fault));
    return undefined;
  };
  const bound = (key: 'min' | 'max'): number | string | undefined => {
    const value = scalar(key, shape[key], [...at, key]);
    return typeof value === 'boolean' ? undefined : value;
  };
  const only = <K extends keyof Shape>(key: K): Shape[K] | undefined =>
    allowed.includes(key) ? shape[key] : undefined;

  if (only('regex') !== undefined && compilePattern(shape.regex ?? '') === undefined)
    problems.push(error([...at, 'regex'], 'Is no regular expression that this server understands.'));
  const min = bound('min');
  const max = bound('max');
  const variants = only('variants')?.map((variant, index) =>
    scalar('variants', variant, [...at, 'variants', index]),
  );
  const backwards =
    (min !== undefined &&
      max !== undefined &&
      (isIntegerType(element) ? BigInt(min) > BigInt(max) : Number(min) > Number(max))) ||
    (only('min_length') ?? 0) > (only('max_length') ?? Infinity) ||
    (only('min_size') ?? 0) > (only('max_size') ?? Infinity);
  if (backwards) problems.push(error(at, 'Nothing can fit: the least is more than the most.'));
  return given({
    variants: variants?.filter((variant) => variant !== undefined),
    minLength: only('min_length'),
    maxLength: only('max_length'),
    regex: only('regex'),
    min,
    max,
    minSize: only('min_size'),
    maxSize: only('max_size'),
  });
}

/** Without the entries that are undefined. */
export function given<T extends object>(from: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
