/**
 * The shape of a team file, in camelCase (`keys.ts` brings other spellings here). Values may hold `${…}` anywhere in a
 * string, so a flag, a number or a duration may be a string too, and one that is not known yet is taken as it is.
 * Source: docs/wire.md, "Team files".
 */
import { z } from 'zod';
import { RUNTIME_KINDS } from './definition.ts';
import { DURATION_HELP, parseDuration } from './duration.ts';
import { didYouMean } from './nearest.ts';
import { looseText } from './schema-parts.ts';
import { isUnknown, plainly } from './team-interpolate.ts';
import { MAX_DURATION } from './wire/request.ts';

/** A scalar that `read` understands; undefined from it is the fault `help`. */
function scalar<T extends string | number | boolean>(
  read: (given: unknown) => T | undefined,
  stand: T,
  help: string,
) {
  const message = `Must be ${help}.`;
  return z.union([z.string(), z.number(), z.boolean()], { error: message }).transform((given, context) => {
    if (isUnknown(given)) return stand;
    const value = read(plainly(given));
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

const flag = scalar(
  (given) =>
    given === true || given === 'true' ? true : given === false || given === 'false' ? false : undefined,
  false,
  'true or false',
);

const count = scalar(
  (given) => {
    const number = typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given;
    return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
  },
  0,
  'a whole number',
);

const time = scalar(
  (given) => {
    const ms = parseDuration(given);
    return ms !== undefined && ms <= MAX_DURATION ? ms : undefined;
  },
  0,
  `${DURATION_HELP}, ten years at most`,
);

function oneOf<T extends string>(words: readonly [T, ...T[]]) {
  return z.string().transform((given, context) => {
    const word = words.find((known) => known === plainly(given));
    if (word !== undefined) return word;
    if (isUnknown(given)) return words[0];
    context.addIssue({
      code: 'custom',
      message: `Must be ${words.map((known) => `\`${known}\``).join(' or ')}.${didYouMean(given, words)}`,
    });
    return z.NEVER;
  });
}

const webAddress = z.string().check((given) => {
  const url = plainly(given.value);
  if (!isUnknown(url) && !(/^https?:/i.test(url) && URL.canParse(url)))
    given.issues.push({
      code: 'custom',
      input: given.value,
      message: 'Must be a URL with the scheme http or https.',
    });
});

const name = z.string().check((given) => {
  const text = plainly(given.value);
  const nameable = text.length > 0 && text.length <= 128 && !/[\p{Cc}/]/u.test(text);
  if (!isUnknown(text) && !nameable)
    given.issues.push({
      code: 'custom',
      input: given.value,
      message: 'Must be 1–128 characters long, without control characters and `/`.',
    });
});

const annotations = z.record(z.string(), looseText);

const input = z
  .object({
    description: z.string().default(''),
    default: z
      .union([z.string(), z.number(), z.bigint(), z.boolean()], { error: 'Must be a string.' })
      .transform(String)
      .optional(),
    type: oneOf(['string', 'path']).optional(),
  })
  .nullable();

const agent = z.object({
  use: z.string(),
  runtime: oneOf(RUNTIME_KINDS).optional(),
  description: z.string().optional(),
  options: z.record(z.string(), z.unknown()).default({}),
  prompt: z.string().optional(),
  tools: z.array(z.string()).default([]),
  plugins: z.array(oneOf(['close_session_tool'])).default([]),
  blocking: flag.optional(),
  restart: z
    .object({
      policy: oneOf(['never', 'on_failure', 'always']),
      maxRestarts: count.optional(),
      delay: time.optional(),
      maxDelay: time.optional(),
      stableAfter: time.optional(),
      permanentExitCodes: z.array(count).optional(),
    })
    .optional(),
  annotations: annotations.default({}),
});

const jsonSchema = z.record(z.string(), z.unknown());

const tool = z.object({
  url: webAddress,
  description: z.string().optional(),
  title: z.string().optional(),
  input: jsonSchema.optional(),
  output: jsonSchema.optional(),
  signatureHeader: z.string().optional(),
  annotations: jsonSchema.optional(),
});

const persistence = z
  .union([oneOf(['none']), z.object({ minimumTime: time.optional(), holdAfterExit: time.optional() })], {
    error: 'Must be `none`, `{minimum_time: DURATION}` or `{hold_after_exit: DURATION}`.',
  })
  .transform((given, context) => {
    if (given === 'none') return { mode: 'none' as const };
    const { minimumTime, holdAfterExit } = given;
    if (minimumTime !== undefined && holdAfterExit === undefined)
      return { mode: 'minimum_time' as const, time: minimumTime };
    if (holdAfterExit !== undefined && minimumTime === undefined)
      return { mode: 'hold_after_exit' as const, duration: holdAfterExit };
    context.addIssue({
      code: 'custom',
      message: 'Must be `none`, `{minimum_time: DURATION}` or `{hold_after_exit: DURATION}`.',
    });
    return z.NEVER;
  });

const session = z.object({
  namespace: name.optional(),
  ttl: time.optional(),
  persistence: persistence.optional(),
  webhooks: z.object({ sessionEnd: webAddress.optional() }).default({}),
  extendedEndReport: flag.default(false),
  annotations: annotations.default({}),
});

export const TeamFile = z.object({
  team: name.optional(),
  description: z.string().default(''),
  inputs: z.record(z.string(), input).default({}),
  agents: z.record(z.string(), agent).check((given) => {
    const names = Object.keys(given.value);
    if (names.length === 0)
      given.issues.push({ code: 'custom', input: given.value, message: 'Must name at least one agent.' });
    for (const key of names)
      if (!name.safeParse(key).success)
        given.issues.push({
          code: 'custom',
          input: key,
          path: [key],
          message: 'The name of an agent has 1–128 characters, without control characters and `/`.',
        });
  }),
  groups: z.array(z.array(z.string())).optional(),
  tools: z.record(z.string(), tool).default({}),
  session: session.prefault({}),
});
export type TeamFile = z.output<typeof TeamFile>;
export type TeamAgent = TeamFile['agents'][string];
