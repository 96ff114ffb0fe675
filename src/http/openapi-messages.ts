/**
 * What the server says of its own accord, in the words of OpenAPI: what it posts (webhooks, calls of custom tools) and
 * what its sockets carry. Source: docs/wire.md, "Documents".
 */
import type * as requests from '../domain/wire/request.ts';
import { SOCKETS, withoutKey, type SocketKind } from './socket-paths.ts';

type Json = Readonly<Record<string, unknown>>;
type Ref = (name: string) => Json;

const header = (name: string, description: string): Json => ({
  name,
  in: 'header',
  required: true,
  description,
  schema: { type: 'string' },
});

const DELIVERY_HEADERS = [
  header('X-Coral-Signature', 'Lower-case hex HMAC-SHA256 of the raw body with network.webhookSecret'),
  header('X-Coral-Delivery', 'Id of the delivery, the same at every try'),
  header('X-Coral-Signature-Timestamp', 'Unix seconds of this try'),
  header('X-Coral-Signature-V2', 'As X-Coral-Signature, over `DELIVERY.TIMESTAMP.BODY`'),
];

const TOOL_HEADERS = [
  header(
    'X-Coral-Signature',
    "Lower-case hex HMAC-SHA256 of the raw body with network.customToolSecret. Its name is the tool's `signatureHeader`",
  ),
  header('X-Coral-Namespace', "The session's namespace, percent-encoded where it is not ASCII"),
  header('X-Coral-SessionId', 'Id of the session'),
  header('X-Coral-AgentName', 'Name of the agent that calls, percent-encoded where it is not ASCII'),
];

const posted = (
  operationId: string,
  summary: string,
  description: string,
  parameters: Json[],
  schema: Json,
): Json => ({
  operationId,
  summary,
  description,
  security: [],
  parameters,
  requestBody: { required: true, content: { 'application/json': { schema } } },
});

/** A webhook: taken with any 2xx. */
const told = (name: string, summary: string, schema: Json): Json => ({
  post: {
    ...posted(
      name,
      summary,
      'Sent until it is answered with 2xx, for hours; the same X-Coral-Delivery means the same delivery.',
      DELIVERY_HEADERS,
      schema,
    ),
    responses: { '2XX': { description: 'Taken' } },
  },
});

/** What is posted to applications. */
export function webhooks(
  ref: Ref,
): Readonly<Record<keyof typeof requests.Webhooks.shape | 'customTool', Json>> {
  return {
    sessionEnd: told('sessionEnd', 'The end of a session', ref('SessionEndReport')),
    events: told('events', 'An event of a session, in order', {
      type: 'object',
      properties: {
        namespace: { type: 'string' },
        sessionId: { type: 'string' },
        event: ref('SessionEvent'),
      },
      required: ['namespace', 'sessionId', 'event'],
    }),
    customTool: {
      post: {
        ...posted(
          'customTool',
          'An agent calls a custom tool',
          "Posted once to the tool's `url` with two path segments appended, the session's id and the agent's name; a query stays behind them.",
          TOOL_HEADERS,
          { type: 'object', description: "The arguments, as the tool's `inputSchema` wants them" },
        ),
        responses: {
          '200': {
            description:
              "The result, as text; of a tool with an `outputSchema` the JSON of an object, which is the call's structured content too",
            content: {
              'text/plain': { schema: { type: 'string' } },
              'application/json': { schema: {} },
            },
          },
          default: { description: 'The call failed: the agent is told the status and nothing else' },
        },
      },
    },
  };
}

const TOLD_BY_SOCKETS: Readonly<Record<SocketKind, { readonly summary: string; readonly message: string }>> =
  {
    session: { summary: 'Events of a session', message: 'SessionEvent' },
    manager: { summary: 'Events of all sessions and namespaces', message: 'ManagerEvent' },
    logs: { summary: "Agents' output and the server's log", message: 'LogEvent' },
  };

/** Sockets are no part of OpenAPI: their paths, parameters and messages in the same words. `queries`: parameters of each. */
export function sockets(ref: Ref, queries: Readonly<Record<string, readonly Json[]>>): Json {
  return Object.fromEntries(
    (Object.keys(SOCKETS) as SocketKind[]).map((kind) => {
      const { path } = SOCKETS[kind];
      const { summary, message } = TOLD_BY_SOCKETS[kind];
      const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
      const places = names.map((name) => ({
        name,
        in: 'path',
        required: true,
        ...(name === 'key' && { description: 'One of auth.keys' }),
        schema: { type: 'string' },
      }));
      const parameters = [...places, ...(queries[kind] ?? [])];
      return [path, { summary, withCookie: withoutKey(path), parameters, message: ref(message) }];
    }),
  );
}
