/**
 * What clients see of the registry and of team files. Keys are camelCase; what is null is left out; nothing secret:
 * defaults of secret options, fixed variables with telling names and tokens of tool servers are masked.
 * Source: docs/wire.md, "Registry" and "Team files".
 */
import { z } from 'zod';
import type {
  AgentDefinition,
  DockerRuntime,
  RegistryAgent,
  RegistrySourceId as SourceId,
} from '../definition.ts';
import { isMapping } from '../definition-lenient.ts';
import { elementType, looksSecret } from '../option.ts';
import type { OptionDefinition, OptionValidation, ScalarType } from '../option.ts';
import type { Team } from '../team.ts';
import { RegistryIdentifier, RegistrySourceId } from './request.ts';

const MASK = '***';
const Scalar = z.union([z.string(), z.number(), z.boolean()]);
const Variables = z.record(z.string(), z.string());
const Transport = z.enum(['streamable_http', 'sse']);

export const RegistryAgentSource = z.object({
  identifier: RegistrySourceId,
  timestamp: z.iso.datetime().describe('When the files were last looked at.'),
  name: z.string(),
  agents: z.array(z.object({ name: z.string(), versions: z.array(z.string()).describe('Newest first.') })),
});

const ByteSize = z.object({ size: z.number(), unit: z.string() });

export const AgentOption = z.object({
  type: z.string(),
  required: z.boolean(),
  default: z
    .union([Scalar, z.array(Scalar)])
    .optional()
    .describe(
      '`u64` as decimal strings, `i64` as numbers where exact; masked or left out for secret options.',
    ),
  transport: z.enum(['env', 'fs']),
  secret: z.boolean(),
  base64: z.boolean().optional(),
  display: z
    .object({
      label: z.string().optional(),
      description: z.string().optional(),
      group: z.string().optional(),
      multiline: z.boolean().optional(),
    })
    .optional(),
  validation: z
    .object({
      variants: z.array(Scalar).optional(),
      minLength: z.number().int().optional(),
      maxLength: z.number().int().optional(),
      regex: z.string().optional(),
      min: z.union([z.number(), z.string()]).optional(),
      max: z.union([z.number(), z.string()]).optional(),
      minSize: ByteSize.optional(),
      maxSize: ByteSize.optional(),
    })
    .optional(),
});

export const AgentRuntimes = z.object({
  executable: z
    .object({
      path: z.string(),
      arguments: z.array(z.string()),
      transport: Transport,
      environment: Variables,
      inheritEnvironment: z.array(z.string()),
      resources: z
        .object({
          memory: z.number().optional().describe('Bytes'),
          cpus: z.number().optional(),
          pids: z.number().optional(),
        })
        .optional(),
    })
    .optional(),
  docker: z
    .looseObject({
      image: z.string(),
      command: z.array(z.string()).optional(),
      transport: Transport,
      environment: Variables,
    })
    .optional(),
  function: z.looseObject({ transport: Transport }).optional(),
  prototype: z.looseObject({}).optional(),
  scripted: z.looseObject({ transport: Transport }).optional(),
});

export const AgentLicense = z.discriminatedUnion('type', [
  z.object({ type: z.literal('spdx'), expression: z.string() }),
  z.object({ type: z.literal('text'), text: z.string() }),
]);

export const AgentRestriction = z.discriminatedUnion('type', [
  z.object({ type: z.literal('local') }),
  z.object({ type: z.literal('remote') }),
  z.object({ type: z.literal('linked'), linkedServerName: z.string() }),
]);

export const RegistryAgentView = z.object({
  registryAgent: z.object({
    info: z.object({
      capabilities: z.array(z.string()),
      identifier: RegistryIdentifier,
      description: z.string(),
      readme: z.string(),
      summary: z.string(),
      license: AgentLicense,
      keywords: z.array(z.string()),
      links: z.record(z.string(), z.string()),
    }),
    edition: z.number().int(),
    runtimes: AgentRuntimes,
    options: z.record(z.string(), AgentOption),
    llm: z
      .object({
        proxies: z.array(
          z.object({
            name: z.string(),
            format: z.object({ type: z.enum(['OpenAI', 'Anthropic']) }),
            models: z.array(z.string()),
          }),
        ),
      })
      .optional(),
    marketplace: z.looseObject({}).optional(),
    exportSettings: z.looseObject({}),
  }),
  restrictions: z.array(AgentRestriction),
  extension: z.looseObject({}).optional(),
});

export const TeamView = z.object({
  name: z.string(),
  description: z.string(),
  inputs: z.record(
    z.string(),
    z.object({
      description: z.string(),
      default: z.string().optional(),
      type: z.literal('path').optional().describe('Absolute, or relative to the `directory` of a run.'),
    }),
  ),
  agents: z.array(z.string()),
  file: z.string(),
});

export type RegistryAgentSource = z.output<typeof RegistryAgentSource>;
export type RegistryAgentView = z.output<typeof RegistryAgentView>;
export type TeamView = z.output<typeof TeamView>;

/** All local sources merged into one. */
export function registrySources(registry: {
  agents(): readonly RegistryAgent[];
  /** Wall-clock ms. */
  readonly readAt: number;
}): RegistryAgentSource[] {
  const versions = new Map<string, string[]>();
  for (const { definition } of registry.agents())
    versions.set(definition.name, [...(versions.get(definition.name) ?? []), definition.version]);
  return [
    {
      identifier: { type: 'local' },
      timestamp: new Date(registry.readAt).toISOString(),
      name: 'local',
      agents: [...versions].map(([name, list]) => ({ name, versions: list })),
    },
  ];
}

/** One agent as `GET /api/v1/registry/local/{name}/{version}` answers it. */
export function registryAgentView({ definition, source }: RegistryAgent): RegistryAgentView {
  const { name, version, edition, llm, marketplace } = definition;
  return {
    registryAgent: {
      info: {
        capabilities: [...definition.capabilities],
        identifier: { name, version, registrySourceId: source },
        description: definition.description,
        // Clients of other Coral servers rely on these three; a definition of ours may lack them.
        readme: definition.readme ?? '',
        summary: definition.summary ?? '',
        license: definition.license ?? { type: 'spdx', expression: 'NOASSERTION' },
        keywords: [...definition.keywords],
        links: { ...definition.links },
      },
      edition,
      runtimes: runtimesView(definition.runtimes),
      options: Object.fromEntries(
        Object.entries(definition.options).map(([key, option]) => [key, optionView(key, option)]),
      ),
      ...(llm === undefined
        ? {}
        : {
            llm: {
              proxies: llm.proxies.map(({ name: proxy, format, models }) => ({
                name: proxy,
                format,
                models: [...models],
              })),
            },
          }),
      ...(marketplace === undefined ? {} : { marketplace: { ...marketplace } }),
      exportSettings: {},
    },
    restrictions: [restrictionOf(source)],
  };
}

/** One team as `GET /api/v1/teams` lists it. */
export function teamView({ name, description, inputs, agents, file }: Team): TeamView {
  return {
    name,
    description,
    inputs: Object.fromEntries(Object.entries(inputs).map(([key, input]) => [key, { ...input }])),
    agents: [...agents],
    file,
  };
}

/** Who can run it: an agent of this registry here, one of a linked server there. */
function restrictionOf(source: SourceId): z.output<typeof AgentRestriction> {
  return source.type === 'linked'
    ? { type: 'linked', linkedServerName: source.linkedServerId }
    : { type: 'local' };
}

function runtimesView(runtimes: AgentDefinition['runtimes']): z.output<typeof AgentRuntimes> {
  const { executable, docker, function: functional, prototype, scripted } = runtimes;
  return {
    ...(executable === undefined
      ? {}
      : {
          executable: {
            ...executable,
            arguments: [...executable.arguments],
            environment: maskedVariables(executable.environment),
            inheritEnvironment: [...executable.inheritEnvironment],
          },
        }),
    ...(docker === undefined ? {} : { docker: dockerView(docker) }),
    ...(functional === undefined ? {} : { function: { ...functional } }),
    ...(prototype === undefined ? {} : { prototype: withoutTokens(prototype) as Record<string, unknown> }),
    ...(scripted === undefined ? {} : { scripted: { ...scripted } }),
  };
}

function dockerView({
  command,
  environment,
  ...docker
}: DockerRuntime): NonNullable<z.output<typeof AgentRuntimes>['docker']> {
  return {
    ...docker,
    ...(command === undefined ? {} : { command: [...command] }),
    environment: maskedVariables(environment),
  };
}

function maskedVariables(variables: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, looksSecret(name) ? MASK : value]),
  );
}

/** The credentials of a prototype's tool servers may be written out in its definition. */
function withoutTokens(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTokens);
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => {
      const credential = key === 'auth' && isMapping(entry);
      return [key, credential ? maskedAuth(entry) : withoutTokens(entry)];
    }),
  );
}

function maskedAuth(auth: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(auth).map(([key, entry]) => [
      key,
      // A reference to an option says nothing secret.
      key === 'type' || (isMapping(entry) && entry['type'] === 'option') ? entry : MASK,
    ]),
  );
}

function optionView(name: string, option: OptionDefinition): z.output<typeof AgentOption> {
  const element = elementType(option.type);
  const shown = defaultView(option, option.secret || looksSecret(name));
  return {
    type: option.type,
    required: option.required,
    ...(shown === undefined ? {} : { default: shown }),
    transport: option.transport,
    secret: option.secret,
    ...(element === 'string' ? { base64: option.base64 } : {}),
    ...(option.display === undefined ? {} : { display: { ...option.display } }),
    ...(option.validation === undefined ? {} : { validation: validationView(element, option.validation) }),
  };
}

/** Masked for secret strings; other secret defaults have no masked form that a typed client could read. */
function defaultView(
  { default: value, type }: OptionDefinition,
  secret: boolean,
): z.output<typeof AgentOption>['default'] {
  if (value === undefined) return undefined;
  const list = typeof value === 'object';
  if (secret) return type === 'string' ? MASK : type === 'list[string]' ? [MASK] : list ? [] : undefined;
  const element = elementType(type);
  return list ? value.map((one) => onWire(element, one)) : onWire(element, value);
}

/** `i64` goes out as a number where that is exact, as other Coral servers send it. */
function onWire<T extends string | number | boolean>(type: ScalarType, value: T): T | number {
  const number = Number(value);
  return type === 'i64' && Number.isSafeInteger(number) ? number : value;
}

function validationView(
  type: ScalarType,
  validation: OptionValidation,
): NonNullable<z.output<typeof AgentOption>['validation']> {
  const { variants, min, max, minSize, maxSize, ...rest } = validation;
  return {
    ...rest,
    ...(variants === undefined ? {} : { variants: variants.map((variant) => onWire(type, variant)) }),
    ...(min === undefined ? {} : { min: onWire(type, min) }),
    ...(max === undefined ? {} : { max: onWire(type, max) }),
    ...(minSize === undefined ? {} : { minSize: sizeView(minSize) }),
    ...(maxSize === undefined ? {} : { maxSize: sizeView(maxSize) }),
  };
}

function sizeView(bytes: number): { size: number; unit: string } {
  for (const [unit, factor] of [
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const)
    if (bytes > 0 && bytes % factor === 0) return { size: bytes / factor, unit };
  return { size: bytes, unit: 'B' };
}
