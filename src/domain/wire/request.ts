/**
 * What clients send: one zod schema per wire type; it validates, types and documents. Unknown keys are dropped
 * (the doors name them once in a warning). Source: docs/wire.md, "Sessions".
 */
import { z } from 'zod';
import { LISTED_TYPES, MORE_TYPES, NEVER_SENT } from './event-types.ts';

/** Longest duration taken, ms: ten years keeps every sum far inside the safe integers. */
export const MAX_DURATION = 10 * 365 * 24 * 3_600_000;

const durationMs = z.number().int().min(0).max(MAX_DURATION);
export const Annotations = z.record(z.string(), z.string());

export const RegistrySourceId = z.discriminatedUnion('type', [
  z.object({ type: z.literal('local') }),
  z.object({ type: z.literal('marketplace') }),
  z.object({ type: z.literal('linked'), linkedServerId: z.string() }),
]);

export const RegistryIdentifier = z.object({
  name: z.string(),
  version: z.string(),
  registrySourceId: RegistrySourceId,
});

/** Types are checked against the agent's declaration by `domain/roster.ts`, which knows it. */
export const OptionValue = z.object({
  type: z.string().describe('string bool blob i8 … f64 or list[T]'),
  value: z.union([
    z.string(),
    z.number(),
    z.boolean(),
    z.bigint(),
    z.array(z.union([z.string(), z.number(), z.boolean(), z.bigint()])),
  ]),
});

export const RuntimeName = z.enum(['executable', 'docker', 'function', 'prototype', 'scripted']);

export const Provider = z.discriminatedUnion('type', [
  z.object({ type: z.literal('local'), runtime: RuntimeName }),
  z.object({ type: z.literal('linked'), linkedServerName: z.string(), runtime: RuntimeName }),
  z.looseObject({ type: z.literal('remote_request') }),
  z.looseObject({ type: z.literal('remote') }),
]);

export const Plugin = z.discriminatedUnion('type', [z.object({ type: z.literal('close_session_tool') })]);

/** As in an agent definition, in camelCase; durations in ms. */
export const RestartRequest = z.object({
  policy: z.enum(['never', 'on_failure', 'always']),
  maxRestarts: z.number().int().min(0).optional(),
  delay: durationMs.optional(),
  maxDelay: durationMs.optional(),
  stableAfter: durationMs.optional(),
  permanentExitCodes: z.array(z.number().int().min(0).max(255)).optional(),
});

export const GraphAgentRequest = z.object({
  id: RegistryIdentifier,
  name: z.string(),
  description: z.string().nullish(),
  options: z.record(z.string(), OptionValue).default({}),
  systemPrompt: z.string().nullish(),
  blocking: z.boolean().nullish(),
  customToolAccess: z.array(z.string()).default([]),
  plugins: z.array(Plugin).default([]),
  provider: Provider,
  x402Budgets: z.array(z.unknown()).default([]),
  proxies: z
    .record(z.string(), z.object({ configurationName: z.string(), modelName: z.string() }))
    .default({}),
  annotations: Annotations.default({}),
  restart: RestartRequest.optional(),
  manual: z
    .boolean()
    .optional()
    .describe(
      'Nothing is launched: a sensitive log line tells the environment to start the agent with by hand.',
    ),
});

/**
 * What the server calls on a client's word. It would not send user name and password along, and would write them
 * down where the address is shown: so such a URL is refused.
 */
const CalledUrl = z.url({ protocol: /^https?$/ }).refine((url) => !/^https?:\/*[^/?#]*@/i.test(url), {
  error:
    'Must hold no user name or password: they would not be sent, and the address is shown to others; receivers know this server by its signature.',
});

/** The older key `schema` (console 0.3) means `inputSchema`. */
export const CustomTool = z
  .object({
    transport: z.object({
      type: z.literal('http'),
      url: CalledUrl,
      signatureHeader: z.string().default('X-Coral-Signature'),
    }),
    inputSchema: z.record(z.string(), z.unknown()).nullish(),
    schema: z.record(z.string(), z.unknown()).nullish(),
    outputSchema: z.record(z.string(), z.unknown()).nullish(),
    description: z.string().nullish(),
    title: z.string().nullish(),
    annotations: z.record(z.string(), z.unknown()).nullish(),
  })
  .transform(({ schema, ...tool }) => ({ ...tool, inputSchema: tool.inputSchema ?? schema }));

export const AgentGraphRequest = z.object({
  agents: z.array(GraphAgentRequest),
  groups: z.array(z.array(z.string())).default([]),
  customTools: z.record(z.string(), CustomTool).default({}),
});

export const NamespaceRequest = z.object({
  name: z.string(),
  deleteOnLastSessionExit: z.boolean().default(true),
  annotations: Annotations.default({}),
});

export const NamespaceProvider = z.discriminatedUnion('type', [
  z.object({ type: z.literal('create_if_not_exists'), namespaceRequest: NamespaceRequest }),
  z.object({ type: z.literal('use_existing'), name: z.string() }),
]);

export const PersistenceMode = z.discriminatedUnion('mode', [
  z.object({ mode: z.literal('none') }),
  z.object({ mode: z.literal('minimum_time'), time: durationMs }),
  z.object({ mode: z.literal('hold_after_exit'), duration: durationMs }),
]);

export const Webhooks = z.object({
  sessionEnd: z.object({ url: CalledUrl }).nullish(),
  events: z
    .object({
      url: CalledUrl,
      types: z
        .array(z.enum([...LISTED_TYPES, ...MORE_TYPES, ...NEVER_SENT]))
        .nullish()
        .describe('Only these event types; default: all that every client may see.'),
    })
    .nullish(),
});

export const SessionRuntimeSettings = z.object({
  ttl: durationMs.nullish().describe('ms; the session never runs longer than this'),
  extendedEndReport: z.boolean().default(false),
  persistenceMode: PersistenceMode.default({ mode: 'none' }),
  webhooks: Webhooks.default({}),
});

export const Execution = z.discriminatedUnion('mode', [
  z.object({ mode: z.literal('immediate'), runtimeSettings: SessionRuntimeSettings.nullish() }),
  z.object({ mode: z.literal('defer') }),
]);

export const SessionRequest = z.object({
  agentGraphRequest: AgentGraphRequest,
  namespaceProvider: NamespaceProvider,
  execution: Execution.nullish(),
  annotations: Annotations.default({}),
});

/** A request to open a session, parsed: defaults filled in. */
export type SessionRequest = z.output<typeof SessionRequest>;
/** What a client may write: defaults left out. */
export type SessionRequestInput = z.input<typeof SessionRequest>;
/** One agent of a session request, parsed. */
export type GraphAgentRequest = z.output<typeof GraphAgentRequest>;
/** How a session runs and ends, parsed. */
export type SessionRuntimeSettings = z.output<typeof SessionRuntimeSettings>;
/** A namespace to create, parsed. */
export type NamespaceRequest = z.output<typeof NamespaceRequest>;
/** A custom tool, parsed. */
export type CustomTool = z.output<typeof CustomTool>;
/** How long an ended session is kept. */
export type PersistenceMode = z.output<typeof PersistenceMode>;
