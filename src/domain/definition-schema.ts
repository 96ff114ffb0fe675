/**
 * The shape of a definition file, in both spellings (TOML and YAML): its keys, limits and defaults. References are
 * resolved and old spellings modernised before (`definition-read.ts` is the way in); options are looked at more
 * closely by `definition-option.ts`. Source: docs/wire.md, "Agent definitions".
 */
import { z } from 'zod';
import { DEFAULT_INHERITED, DEFAULT_TIMEOUTS, NO_RESTART } from './definition.ts';
import { OPTION_TYPES } from './option.ts';
import { argumentList, duration, listOf, looseText, size, text, textOfBytes, whole } from './schema-parts.ts';

/** Editions that load unmodified; older ones are read leniently, newer ones refused. */
export const EDITIONS = [3, 4] as const;

export const LIMITS = {
  links: 16,
  options: 512,
  keywords: 256,
  proxies: 16,
  models: 32,
  licenseText: 2 * 1024 ** 2,
  /** All defaults of options together, as bytes. */
  defaults: 6 * 1024 ** 2,
} as const;

const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-z-][0-9a-z-]*)(\.(0|[1-9]\d*|\d*[a-z-][0-9a-z-]*))*)?(\+[0-9a-z-]+(\.[0-9a-z-]+)*)?$/i;

const transport = z.enum(['streamable_http', 'sse']).default('streamable_http');
const environment = z
  .record(z.string(), looseText)
  .check((given) => {
    for (const [name, value] of Object.entries(given.value))
      if (!/^[^=\0]+$/.test(name) || value.includes('\0'))
        given.issues.push({
          code: 'custom',
          input: given.value,
          path: [name],
          message: 'No variable can be called or hold that: names have no `=`, and neither has zero bytes.',
        });
  })
  .default({});

/** Names of the entries of a mapping held against a pattern, its size against a limit. */
function named<T extends z.ZodType>(entry: T, most: number, length: number, pattern: RegExp, what: string) {
  return z.record(z.string(), entry).check((given) => {
    const names = Object.keys(given.value);
    if (names.length > most)
      given.issues.push({
        code: 'custom',
        input: given.value,
        message: `Must have at most ${most} ${what}s.`,
      });
    for (const name of names)
      if (name.length > length || !pattern.test(name))
        given.issues.push({
          code: 'custom',
          input: name,
          path: [name],
          message: `The name of a ${what} has 1–${length} characters and matches ${pattern.source}.`,
        });
  });
}

const link = text(1, 256).check((given) => {
  if (!/^(https|mailto|tel):/i.test(given.value) || !URL.canParse(given.value))
    given.issues.push({
      code: 'custom',
      input: given.value,
      message: 'Must be a URL with the scheme https, mailto or tel.',
    });
});

const license = z.discriminatedUnion('type', [
  z.object({ type: z.literal('spdx'), expression: text(1, 256) }),
  z.object({ type: z.literal('text'), text: textOfBytes(LIMITS.licenseText) }),
]);

const agent = z.object({
  name: text(1, 32).regex(/^[a-z0-9]([a-z0-9]*(-[a-z0-9]+)*)?$/, {
    error: 'Must consist of a–z and 0–9, in words joined by single dashes.',
  }),
  version: text(1, 24).regex(SEMVER, { error: 'Must be a semantic version, such as 1.0.0.' }),
  description: text(1, 1024),
  summary: text(1, 256).optional(),
  readme: text(1, 4096).optional(),
  license: license.optional(),
  capabilities: z.array(z.string()).default([]),
  keywords: listOf(text(1, 64), LIMITS.keywords).default([]),
  links: named(link, LIMITS.links, 32, /^[a-zA-Z][a-zA-Z_\-0-9]*$/, 'link').default({}),
});

const positive = z.number().gt(0, { error: 'Must be more than 0.' });

const executable = z.object({
  path: text(1, 4096),
  arguments: argumentList(1024, 2048).default([]),
  transport,
  environment,
  inherit_environment: z.array(z.string()).default([...DEFAULT_INHERITED]),
  resources: z
    .object({ memory: size.optional(), cpus: positive.optional(), pids: whole(1).optional() })
    .default({}),
});

const docker = z.object({
  image: text(1, 512),
  command: argumentList(1024, 2048).optional(),
  transport,
  environment,
  resources: z
    .object({
      memory: size.optional(),
      cpus: positive.optional(),
      pids: whole(1).optional(),
      gpus: z
        .union([z.literal('all'), z.number().int().min(0)], {
          error: 'Must be `all` or a number of GPUs.',
        })
        .optional(),
      shm: size.optional(),
    })
    .default({}),
  network: text(1, 128).default('session'),
  read_only: z.boolean().default(false),
  user: looseText.optional(),
  pull: z.enum(['missing', 'always', 'never']).default('missing'),
  volumes: z
    .array(
      z.object({
        host: text(1, 4096),
        container: text(1, 4096).regex(/^\//, { error: 'Must be an absolute path in the container.' }),
        read_only: z.boolean().default(false),
      }),
    )
    .default([]),
  capabilities: z.array(z.string()).default([]),
});

const functionRuntime = z.object({
  module: text(1, 4096),
  export: text(1, 256).default('default'),
  transport,
});

const scripted = z.object({
  run_for: duration.optional(),
  exit_code: whole(0).max(255, { error: 'Must be 255 at most.' }).default(0),
  signal: z
    .string()
    .regex(/^SIG[A-Z0-9]+$/, { error: 'Must be the name of a signal, such as SIGKILL.' })
    .optional(),
  fail_to_start: z.string().optional(),
  ignore_stop: z.boolean().default(false),
  output: z.array(z.string()).default([]),
  flood: whole(0).default(0),
  vanish_after: duration.optional(),
  start_delay: duration.default(0),
  transport,
});

/** As written; `definition-option.ts` holds default and validation against the type. */
export const OptionShape = z.object({
  type: z.enum(OPTION_TYPES as [string, ...string[]], {
    error: (issue) =>
      issue.input === undefined
        ? 'Is missing; an option has a type such as string, bool, u32 or list[string].'
        : 'Is no known type; there are string, bool, blob, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, and list[…] of any of them but bool.',
  }),
  required: z.boolean().default(false),
  default: z.unknown().optional(),
  transport: z.enum(['env', 'fs']).default('env'),
  secret: z.boolean().default(false),
  base64: z.boolean().default(false),
  display: z
    .object({
      label: text(1, 64).optional(),
      description: text(1, 1024).optional(),
      group: text(1, 64).optional(),
      multiline: z.boolean().optional(),
    })
    .optional(),
  validation: z
    .object({
      variants: z.array(z.unknown()).optional(),
      min_length: whole(0).optional(),
      max_length: whole(0).optional(),
      regex: z.string().optional(),
      min: z.unknown().optional(),
      max: z.unknown().optional(),
      min_size: size.optional(),
      max_size: size.optional(),
    })
    .optional(),
});
export type OptionShape = z.output<typeof OptionShape>;

const proxy = z.object({
  name: text(1, 32).regex(/^[A-Z_0-9]+$/, { error: 'Must consist of A–Z, 0–9 and _.' }),
  format: z.object({ type: z.enum(['OpenAI', 'Anthropic']) }),
  models: listOf(text(1, 128), LIMITS.models).default([]),
});

/** The file as a whole. */
export const DefinitionFile = z.object({
  edition: whole(0).optional(),
  agent,
  runtimes: z
    .object({
      executable: executable.optional(),
      docker: docker.optional(),
      function: functionRuntime.optional(),
      /** Held against `definition-prototype.ts`. */
      prototype: z.looseObject({}).optional(),
      scripted: scripted.optional(),
    })
    .check((given) => {
      if (Object.values(given.value).every((runtime) => runtime === undefined))
        given.issues.push({
          code: 'custom',
          input: given.value,
          message: 'Must define at least one runtime: executable, docker, function, prototype or scripted.',
        });
    }),
  options: named(OptionShape, LIMITS.options, 256, /^[a-zA-Z_][a-zA-Z_$0-9]*$/, 'option').default({}),
  llm: z.object({ proxies: listOf(proxy, LIMITS.proxies).default([]) }).optional(),
  marketplace: z.looseObject({}).optional(),
  restart: z
    .object({
      policy: z.enum(['never', 'on_failure', 'always']).default(NO_RESTART.policy),
      max_restarts: whole(0).default(NO_RESTART.maxRestarts),
      delay: duration.default(NO_RESTART.delay),
      max_delay: duration.default(NO_RESTART.maxDelay),
      stable_after: duration.default(NO_RESTART.stableAfter),
      permanent_exit_codes: z.array(whole(0)).default([]),
    })
    .prefault({}),
  timeouts: z
    .object({
      connect: duration.default(DEFAULT_TIMEOUTS.connect),
      stop: duration.default(DEFAULT_TIMEOUTS.stop),
      inactivity: duration.default(DEFAULT_TIMEOUTS.inactivity),
    })
    .prefault({}),
});
export type DefinitionFile = z.output<typeof DefinitionFile>;
