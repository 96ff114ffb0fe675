/**
 * What a tool is: a name, what a model reads about it, what it takes (one zod schema that validates and documents)
 * and what it does. Inputs are read leniently, because models write them; the schemas they are shown are plain.
 */
import { z } from 'zod';
import type { Delivery, Participant } from '../engine/participant.ts';

/** What a tool may use while it runs. */
export interface ToolCall {
  readonly participant: Participant;
  /** Aborted when the client goes away or cancels the call. */
  readonly signal: AbortSignal;
  /** Something whose handing over is settled with the answer. */
  settleWithAnswer(delivery: Delivery<unknown>): void;
  /** Tells the client how far the call is, when it asked for that and can hear it. Must grow from call to call. */
  progress(progress: number, total?: number, message?: string): void;
}

/** A block of an MCP tool result. */
export type ContentBlock = { readonly type: string } & Readonly<Record<string, unknown>>;

/** A tool's answer in MCP's own words. */
export interface ToolResult {
  readonly content: readonly ContentBlock[];
  readonly structuredContent?: unknown;
  readonly isError?: boolean;
}

/** How a tool is listed: JSON as on the wire. */
export interface ToolListing {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly inputSchema: Readonly<Record<string, unknown>>;
  readonly outputSchema?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, unknown>>;
}

/** A tool somebody brings along: every agent sees it, its arguments come as they were sent. */
export interface ExtraTool {
  readonly listing: ToolListing;
  run(args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<ToolResult>;
}

/** One of our own tools. `run` returns the structured result. */
export interface CoralTool {
  readonly listing: ToolListing;
  /** A tool whose call may last: it streams to clients that asked for progress. */
  readonly waits: boolean;
  /** Throws `BadArguments` when they do not fit. */
  run(args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<Readonly<Record<string, unknown>>>;
}

/** Arguments that do not fit, in one sentence. */
export class BadArguments extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BadArguments';
  }
}

interface Definition<Input extends z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: Input;
  readonly waits?: boolean;
  /** Changes nothing that others see. */
  readonly readOnly?: boolean;
  readonly destructive?: boolean;
  run(input: z.output<Input>, call: ToolCall): Promise<Readonly<Record<string, unknown>>>;
}

/** Makes one of our tools; its JSON schema is made here, once. */
export function defineTool<Input extends z.ZodObject>(definition: Definition<Input>): CoralTool {
  const { name, title, description, input, readOnly, destructive } = definition;
  return {
    waits: definition.waits ?? false,
    listing: {
      name,
      title,
      description,
      inputSchema: plainSchema(input),
      annotations: {
        title,
        readOnlyHint: readOnly ?? false,
        ...(!readOnly && { destructiveHint: destructive ?? false }),
        openWorldHint: false,
      },
    },
    run(args, call) {
      const parsed = input.safeParse(args);
      if (!parsed.success) throw new BadArguments(faults(name, parsed.error));
      return definition.run(parsed.data, call);
    },
  };
}

/**
 * The JSON schema a model is shown. Only keywords that every vendor's tool calling takes: no `$schema`, no bounds (a
 * bound of 2^53 is refused by some; ours are said in words), no unions.
 */
function plainSchema(input: z.ZodObject): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(input, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      delete jsonSchema.minimum;
      delete jsonSchema.maximum;
    },
  });
  void $schema;
  return schema;
}

function faults(name: string, error: z.ZodError): string {
  const each = error.issues.map((issue) => {
    const path = issue.path.join('.');
    return path === '' ? issue.message : `${path}: ${issue.message}`;
  });
  return `The arguments of ${name} do not fit: ${each.join('; ')}.`;
}

/** Text. */
export function text(description: string) {
  return z.string({ error: 'must be text' }).meta({ description });
}

/** A list of names; a single name, a list written as text and nothing at all are understood too. */
export function names(description: string) {
  return z
    .preprocess(listOf, z.array(z.string({ error: 'must be text' }), { error: 'must be a list of names' }))
    .meta({ type: 'array', items: { type: 'string' }, description });
}

/** Milliseconds; written as text they are understood too. Null counts as not given. */
export function milliseconds(description: string) {
  return z
    .preprocess(numberOf, z.number({ error: 'must be a number of milliseconds' }).optional())
    .meta({ type: 'integer', description })
    .optional();
}

/** A number that older clients send and nobody looks at. */
export function ignored(description: string) {
  return z.unknown().meta({ type: 'integer', description }).optional();
}

/** Text that may be left out; null and the empty text count as left out. */
export function optionalText(description: string) {
  return z
    .preprocess(
      (value) => (value === null || value === '' ? undefined : value),
      z.string({ error: 'must be text' }).optional(),
    )
    .meta({ type: 'string', description })
    .optional();
}

/** Anything; shown as text, because a schema without a type is refused by some vendors. */
export function anything(description: string) {
  return z.unknown().meta({ type: 'string', description }).optional();
}

function listOf(value: unknown): unknown {
  if (value === undefined || value === null) return [];
  if (typeof value !== 'string') return value;
  const trimmed = value.trim();
  if (trimmed === '') return [];
  if (trimmed.startsWith('[')) {
    try {
      return JSON.parse(trimmed) as unknown;
    } catch {
      // Not a list after all: then it is a name.
    }
  }
  return [value];
}

function numberOf(value: unknown): unknown {
  if (value === null || value === '') return undefined;
  return typeof value === 'string' && Number.isFinite(Number(value)) ? Number(value) : value;
}
