/** The shape of `runtimes.prototype`: an agent that is a loop around a language model. Source: docs/wire.md, "Prototype agents". */
import { z } from 'zod';
import { textOfBytes, whole } from './schema-parts.ts';

const KIB = 1024;
const option = z.object({ type: z.literal('option'), name: z.string() });

/** A string, the value of an option, or parts joined together. */
const joined: z.ZodType = z.union(
  [
    z.string(),
    z.discriminatedUnion('type', [
      option,
      z.object({
        type: z.literal('composed_string'),
        separator: z.string().default(''),
        parts: z.lazy(() => z.array(joined)),
      }),
    ]),
  ],
  { error: 'Must be a string, an `option` or a `composed_string`.' },
);

function prompt(bytes: number) {
  return z
    .union(
      [
        textOfBytes(bytes),
        z.discriminatedUnion('type', [
          option,
          z.object({
            type: z.literal('composed_string'),
            separator: z.string().default(''),
            parts: z.array(joined),
          }),
        ]),
      ],
      {
        error: (issue) =>
          typeof issue.input === 'string'
            ? `Must be at most ${bytes / KIB} KiB large.`
            : 'Must be a string, a reference, an `option` or a `composed_string`.',
      },
    )
    .optional();
}

const integer = z.union([whole(0), option], { error: 'Must be a whole number or an `option`.' });

const url = z.union(
  [
    z.string(),
    z.discriminatedUnion('type', [
      option,
      z.object({
        type: z.literal('composed_url'),
        base: joined,
        parts: z
          .array(
            z.discriminatedUnion('type', [
              z.object({ type: z.literal('path_segment'), value: joined }),
              z.object({ type: z.literal('query_parameter'), name: joined, value: joined }),
            ]),
          )
          .max(32),
      }),
    ]),
  ],
  { error: 'Must be a URL, an `option` or a `composed_url` of at most 32 parts.' },
);

const auth = z.discriminatedUnion('type', [
  z.object({ type: z.literal('none') }),
  z.object({ type: z.literal('bearer'), token: joined }),
  z.object({ type: z.literal('authorization_header'), header: joined }),
]);

export const PrototypeShape = z.object({
  proxy: z.string(),
  client: z.enum(['openai', 'openrouter', 'anthropic']).optional(),
  iterations: integer.optional(),
  delay: integer.optional(),
  volatile: z.boolean().optional(),
  prompts: z
    .object({
      system: z.object({ base: prompt(6 * KIB), extra: prompt(3 * KIB) }).optional(),
      loop: z
        .object({
          initial: z.object({ base: prompt(6 * KIB), extra: prompt(3 * KIB) }).optional(),
          followup: prompt(4 * KIB),
        })
        .optional(),
    })
    .optional(),
  tools: z
    .array(
      z.object({
        type: z.enum(['mcp_sse', 'mcp_streamable_http']),
        url,
        auth: auth.optional(),
      }),
    )
    .optional(),
});
