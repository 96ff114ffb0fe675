/**
 * The API's own description, OpenAPI 3.1, made of the schemas that validate. Source: docs/wire.md, "Documents".
 */
import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import { AgentDetail } from '../domain/agent-detail.ts';
import { SessionEndReport } from '../domain/end-report.ts';
import * as events from '../domain/wire/event.ts';
import * as registry from '../domain/wire/registry.ts';
import * as requests from '../domain/wire/request.ts';
import * as sessions from '../domain/wire/session.ts';
import { DeliveryView } from './delivery-routes.ts';
import { sockets, webhooks } from './openapi-messages.ts';
import { nameShapes } from './openapi-unions.ts';
import { SOCKETS } from './socket-paths.ts';

type Json = Readonly<Record<string, unknown>>;

/** The types that clients may want by name: what they send. */
const SENT: Readonly<Record<string, z.ZodType>> = {
  SessionRequest: requests.SessionRequest,
  AgentGraphRequest: requests.AgentGraphRequest,
  GraphAgentRequest: requests.GraphAgentRequest,
  RegistrySourceId: requests.RegistrySourceId,
  CustomTool: requests.CustomTool,
  OptionValue: requests.OptionValue,
  Provider: requests.Provider,
  Plugin: requests.Plugin,
  NamespaceRequest: requests.NamespaceRequest,
  NamespaceProvider: requests.NamespaceProvider,
  Execution: requests.Execution,
  SessionRuntimeSettings: requests.SessionRuntimeSettings,
  PersistenceMode: requests.PersistenceMode,
  Webhooks: requests.Webhooks,
};

/** … and what they receive, over HTTP, sockets and webhooks. */
const RECEIVED: Readonly<Record<string, z.ZodType>> = {
  Error: sessions.ErrorBody,
  SessionIdentifier: sessions.SessionIdentifier,
  SessionStatus: sessions.SessionStatus,
  SessionStateBase: sessions.SessionStateBase,
  SessionStateExtended: sessions.SessionStateExtended,
  AgentState: sessions.AgentState,
  AgentStatus: sessions.AgentStatus,
  ConnectionStatus: sessions.ConnectionStatus,
  CommunicationStatus: sessions.CommunicationStatus,
  ExitFacts: sessions.ExitFacts,
  Thread: sessions.Thread,
  ThreadState: sessions.ThreadState,
  Message: sessions.Message,
  NamespaceStateBase: sessions.NamespaceStateBase,
  NamespaceStateExtended: sessions.NamespaceStateExtended,
  RegistrySourceId: requests.RegistrySourceId,
  AgentDetail,
  RegistryAgentSource: registry.RegistryAgentSource,
  RegistryAgent: registry.RegistryAgentView,
  AgentLicense: registry.AgentLicense,
  AgentRestriction: registry.AgentRestriction,
  Team: registry.TeamView,
  Delivery: DeliveryView,
  SessionEvent: events.WireEvent,
  ListedSessionEvent: events.ListedEvent,
  ManagerEvent: events.ManagerEvent,
  LogEvent: events.LogEvent,
  LogTag: events.LogTag,
  WaitFilter: events.WaitFilter,
  SessionEndReport,
};

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: Json): Json => ({ 'application/json': { schema } });

/** Collects schemas, then turns all of one side at once, so that those with a name are referred to by it. */
class Side {
  private readonly known = z.registry<{ id: string }>();
  private readonly names = new Set<string>();
  private inline = 0;
  private made: Readonly<Record<string, Json>> | undefined;

  constructor(
    private readonly io: 'input' | 'output',
    named: Readonly<Record<string, z.ZodType>>,
  ) {
    for (const [id, schema] of Object.entries(named)) {
      this.known.add(schema, { id });
      this.names.add(id);
    }
  }

  /** Takes a schema; what is returned says it once all are taken. */
  take(schema: z.ZodType): () => Json {
    const name = this.known.get(schema)?.id;
    if (name !== undefined && this.names.has(name)) return () => ref(name);
    const id = name ?? `inline-${(this.inline += 1)}`;
    if (name === undefined) this.known.add(schema, { id });
    return () => this.schemas()[id] ?? {};
  }

  components(): Readonly<Record<string, Json>> {
    return Object.fromEntries([...this.names].map((name) => [name, this.schemas()[name] ?? {}]));
  }

  private schemas(): Readonly<Record<string, Json>> {
    this.made ??= Object.fromEntries(
      Object.entries(
        z.toJSONSchema(this.known, {
          io: this.io,
          unrepresentable: 'any',
          uri: (id) => `#/components/schemas/${id}`,
          override: ({ zodSchema, jsonSchema }) => {
            const { def } = zodSchema._zod;
            if (def.type === 'bigint') jsonSchema.type = 'integer';
            if (def.type === 'union' && 'discriminator' in def) {
              jsonSchema['discriminator'] = { propertyName: def.discriminator };
            }
          },
        }).schemas,
      ).map(([id, schema]) => {
        const { $schema: _schema, $id: _id, id: _name, ...rest } = schema as Record<string, unknown>;
        return [id, rest];
      }),
    );
    return this.made;
  }
}

/** The document of these routes. */
export function openApi(routes: readonly RouteOptions[], version: string): Json {
  const sent = new Side('input', SENT);
  const received = new Side('output', RECEIVED);
  const operations = routes.map((route) => operation(route, sent, received));
  const taken = Object.entries(SOCKETS).map(([kind, { query }]) => [kind, sent.take(query)] as const);
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { path, method, build } of operations) (paths[path] ??= {})[method] = build();
  const queries = Object.fromEntries(taken.map(([kind, schema]) => [kind, parameters('query', schema())]));
  return {
    openapi: '3.1.0',
    info: {
      title: 'Coral',
      version,
      description:
        'Runs teams of agents. Every error is `{message, code, issues?}`. Keys of a request that mean nothing are ignored and named in the header x-coral-warning.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.flatMap(({ schema }) => schema?.tags ?? []))].map((name) => ({ name })),
    security: [{ key: [] }, { cookie: [] }],
    paths,
    webhooks: webhooks(ref),
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'One of auth.keys' },
        cookie: { type: 'apiKey', in: 'cookie', name: 'authSessionToken', description: 'From auth/token' },
      },
      schemas: nameShapes({ ...received.components(), ...sent.components() }),
    },
    'x-websockets': sockets(ref, queries),
  };
}

interface Operation {
  readonly path: string;
  readonly method: string;
  readonly build: () => Json;
}

function operation({ method, url, schema, config }: RouteOptions, sent: Side, received: Side): Operation {
  const { tags, summary, description, security } = schema ?? {};
  const body = schema?.body === undefined ? undefined : sent.take(schema.body as z.ZodType);
  const places = [
    ['path', schema?.params],
    ['query', schema?.querystring],
    ['header', schema?.headers],
  ] as const;
  const given = places.flatMap(([place, part]) =>
    part === undefined ? [] : [{ place, schema: sent.take(part as z.ZodType) }],
  );
  const answers = Object.entries((schema?.response ?? {}) as Readonly<Record<string, z.ZodType>>).map(
    ([status, answer]) => ({ status, answer, schema: isEmpty(answer) ? undefined : received.take(answer) }),
  );
  const verb = String(method).toLowerCase();
  const path = url.replace(/:(\w+)/g, '{$1}');
  const form = config?.body === 'form';
  const optional = config?.optionalBody === true;
  return {
    path,
    method: verb,
    build: () => ({
      operationId: nameOf(verb, path),
      tags,
      summary,
      ...(description !== undefined && { description }),
      ...(security !== undefined && { security }),
      ...(given.length > 0 && {
        parameters: given.flatMap(({ place, schema }) => parameters(place, schema())),
      }),
      ...(body !== undefined && {
        requestBody: {
          required: !optional,
          content: form ? { 'application/x-www-form-urlencoded': { schema: body() } } : json(body()),
        },
      }),
      responses: Object.fromEntries(
        answers.map(({ status, answer, schema }) => [
          status,
          {
            description: answer.description ?? 'Done',
            ...(schema && { content: content(answer, schema()) }),
          },
        ]),
      ),
    }),
  };
}

/** Schemas of streams begin their description with what they are, and say what each of their events is. */
function content(answer: z.ZodType, schema: Json): Json {
  const { description = '' } = answer;
  const [type] = /^(?:text|application)\/[\w-]+/.exec(description) ?? [];
  if (type === undefined) return json(schema);
  const [, event] = /each with an? (\w+)/.exec(description) ?? [];
  return { [type]: { schema, ...(event !== undefined && { 'x-event-data': ref(event) }) } };
}

function isEmpty(schema: z.ZodType): boolean {
  return schema.def.type === 'void' || schema.def.type === 'undefined';
}

function parameters(place: string, schema: Json): Json[] {
  const { properties = {}, required = [] } = schema as {
    properties?: Record<string, Record<string, unknown>>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    ...(typeof description === 'string' && { description }),
    ...((place === 'path' || required.includes(name)) && { required: true }),
    schema: rest,
  }));
}

function nameOf(method: string, path: string): string {
  const words = path.replace(/^\/(api\/v1\/)?(local\/)?/, '').match(/\w+/g) ?? ['Root'];
  return [method, ...words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))].join('');
}
