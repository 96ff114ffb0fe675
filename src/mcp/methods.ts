/**
 * What the server does: MCP's methods, each answered with the JSON text of its result. Everything that is the same
 * for many agents is put together once.
 */
import type { Participant } from '../engine/participant.ts';
import type { Call } from './call.ts';
import { createCoralTools } from './coral-tools.ts';
import { tell } from './errors.ts';
import { INSTRUCTIONS, instruction } from './instruction.ts';
import { INVALID_PARAMS, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND, RpcFailure, isObject } from './jsonrpc.ts';
import { SERVER_INFO_KEY, negotiate, supportedRevisions } from './revisions.ts';
import { BadArguments, type ExtraTool, type ToolListing, type ToolResult } from './tool.ts';

export const STATE_URI = 'coral://state';
export const INSTRUCTION_URI = 'coral://instruction';

/** How long clients of revision 2026-07-28 may keep what never changes within a session, ms. */
const KEEP_MS = 300_000;

/** Calls the custom tools that a session's request brought along. */
export interface CustomTools {
  call(
    participant: Participant,
    name: string,
    args: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<{ readonly text: string; readonly isError: boolean; readonly structured?: unknown }>;
}

/** What the methods are made of. */
export interface MethodsOptions {
  readonly defaultWaitMs: number;
  readonly version: string;
  readonly customTools?: CustomTools | undefined;
  readonly extraTools?: readonly ExtraTool[] | undefined;
  readonly warn: (message: string, error?: unknown) => void;
}

/** MCP's methods. */
export interface Methods {
  /** The result's JSON. Throws `RpcFailure`. */
  answer(call: Call): string | Promise<string>;
  /** True for a call that may last and has something to tell meanwhile. */
  mayLast(method: string, params: Readonly<Record<string, unknown>>): boolean;
}

type Method = (call: Call) => string | Promise<string>;

/** Makes the methods; throws nothing. */
export function createMethods(options: MethodsOptions): Methods {
  const { customTools, warn } = options;
  const coral = createCoralTools(options.defaultWaitMs);
  const extra = new Map((options.extraTools ?? []).map((tool) => [tool.listing.name, tool]));
  const serverInfo = { name: 'Coral Agent Server', version: options.version };
  const capabilities = { tools: {}, resources: { subscribe: true }, prompts: {} };

  // Revision 2026-07-28 wants these members in every result; they are put in front of the others.
  const stamp = `"resultType":"complete","_meta":${JSON.stringify({ [SERVER_INFO_KEY]: serverInfo })}`;
  const complete = (result: string): string =>
    result === '{}' ? `{${stamp}}` : `{${stamp},${result.slice(1)}`;
  const cacheable = (result: string, ttlMs: number): string =>
    complete(`{"ttlMs":${ttlMs},"cacheScope":"private",${result.slice(1)}`);
  /** A result that is the same for every agent, in both forms. */
  const fixed = (result: object): Method => {
    const plain = JSON.stringify(result);
    const stamped = cacheable(plain, KEEP_MS);
    return (call) => (call.sessionless ? stamped : plain);
  };

  const listings = [
    ...[...coral.byName.values()].map((tool) => tool.listing),
    ...[...extra.values()].map((tool) => tool.listing),
  ];
  const everybodys = listings.filter((listing) => listing.name !== coral.closeSession);
  const listForMost = fixed({ tools: everybodys });
  const listForClosers = fixed({ tools: listings });

  const listTools: Method = (call) => {
    const closer = mayClose(call.participant);
    const custom = customListings(call.participant);
    if (custom.length === 0) return closer ? listForClosers(call) : listForMost(call);
    const result = JSON.stringify({ tools: [...(closer ? listings : everybodys), ...custom] });
    return call.sessionless ? cacheable(result, KEEP_MS) : result;
  };

  function customListings(participant: Participant): ToolListing[] {
    if (customTools === undefined || participant.plan.tools.length === 0) return [];
    return Object.entries(participant.customTools).flatMap(([name, tool]) => {
      if (coral.byName.has(name)) return [];
      const { title, description, inputSchema, outputSchema, annotations } = tool;
      return [
        {
          name,
          ...(title != null && { title }),
          ...(description != null && { description }),
          inputSchema: { type: 'object', ...inputSchema },
          ...(outputSchema != null && { outputSchema: { type: 'object', ...outputSchema } }),
          ...(annotations != null && { annotations }),
        },
      ];
    });
  }

  function callTool(call: Call): Promise<string> {
    const { name, arguments: given } = call.params;
    if (typeof name !== 'string')
      throw new RpcFailure(INVALID_PARAMS, 'tools/call needs the name of a tool.');
    if (given !== undefined && given !== null && !isObject(given)) {
      throw new RpcFailure(INVALID_PARAMS, 'The arguments of a tool are an object.');
    }
    const result = resultOf(call, name, given ?? {});
    return call.sessionless ? result.then(complete) : result;
  }

  async function resultOf(call: Call, name: string, args: Record<string, unknown>): Promise<string> {
    try {
      const own = coral.byName.get(name);
      if (own !== undefined && (name !== coral.closeSession || mayClose(call.participant))) {
        return structuredResult(await own.run(args, call));
      }
      const brought = extra.get(name);
      if (brought !== undefined) return JSON.stringify(await brought.run(args, call));
      const { participant } = call;
      if (customTools !== undefined && participant.plan.tools.includes(name)) {
        return customResult(await customTools.call(participant, name, args, call.signal));
      }
    } catch (error) {
      if (error instanceof RpcFailure) throw error;
      if (error instanceof BadArguments) return errorResult(error.message);
      const { message, expected } = tell(error);
      if (!expected) warn(`tool ${name} of agent ${call.participant.agent} failed`, error);
      return errorResult(message);
    }
    throw new RpcFailure(INVALID_PARAMS, `There is no tool ${JSON.stringify(name)}; tools/list names yours.`);
  }

  const resources = [
    {
      uri: INSTRUCTION_URI,
      name: 'instruction',
      title: 'How to work with other agents through Coral',
      description:
        'Threads, messages, mentions and waiting, explained for a model. Read it before you start.',
      mimeType: 'text/markdown',
    },
    {
      uri: STATE_URI,
      name: 'state',
      title: 'Your agents, threads and messages',
      description:
        'The time, the agents you know and what they are doing, your threads and their latest messages. Reading it hands over the messages it shows, except those that mention you.',
      mimeType: 'text/markdown',
    },
  ];

  function readResource(call: Call): string {
    const { uri } = call.params;
    let text: string;
    if (uri === STATE_URI) {
      const delivery = call.participant.readState();
      call.settleWithAnswer(delivery);
      text = delivery.value;
    } else if (uri === INSTRUCTION_URI) {
      text = instruction({
        closeSession: mayClose(call.participant),
        customTools: customTools !== undefined && call.participant.plan.tools.length > 0,
      });
    } else {
      throw noResource(uri, call.sessionless);
    }
    const result = JSON.stringify({ contents: [{ uri, mimeType: 'text/markdown', text }] });
    return call.sessionless ? cacheable(result, uri === INSTRUCTION_URI ? KEEP_MS : 0) : result;
  }

  const shared: Readonly<Record<string, Method>> = {
    'tools/list': listTools,
    'tools/call': callTool,
    'resources/list': fixed({ resources }),
    'resources/templates/list': fixed({ resourceTemplates: [] }),
    'resources/read': readResource,
    'prompts/list': fixed({ prompts: [] }),
    'prompts/get': ({ params }) => {
      throw new RpcFailure(INVALID_PARAMS, `There is no prompt ${JSON.stringify(params['name'] ?? null)}.`);
    },
  };
  const withSession: Readonly<Record<string, Method>> = {
    ...shared,
    initialize: ({ params }) =>
      JSON.stringify({
        protocolVersion: negotiate(params['protocolVersion']),
        capabilities,
        serverInfo,
        instructions: INSTRUCTIONS,
      }),
    ping: () => '{}',
    'resources/subscribe': ({ session, params }) => {
      if (params['uri'] === STATE_URI) session.subscribe(STATE_URI);
      else if (params['uri'] !== INSTRUCTION_URI) throw noResource(params['uri'], false);
      return '{}';
    },
    'resources/unsubscribe': ({ session, params }) => {
      if (params['uri'] === STATE_URI) session.unsubscribe();
      return '{}';
    },
    // Not announced, but some clients set it whatever is announced; there is nothing we would log to them.
    'logging/setLevel': () => '{}',
  };
  const sessionless: Readonly<Record<string, Method>> = {
    ...shared,
    'server/discover': fixed({
      supportedVersions: supportedRevisions(),
      capabilities,
      instructions: INSTRUCTIONS,
    }),
  };

  return {
    answer(call) {
      const methods = call.sessionless ? sessionless : withSession;
      const method = Object.hasOwn(methods, call.method) ? methods[call.method] : undefined;
      if (method === undefined) {
        throw new RpcFailure(
          METHOD_NOT_FOUND,
          `There is no method ${JSON.stringify(call.method)} here.`,
          undefined,
          call.sessionless ? 404 : 200,
        );
      }
      return method(call);
    },
    mayLast(method, params) {
      if (method !== 'tools/call') return false;
      const name = params['name'];
      return typeof name !== 'string' || (coral.byName.get(name)?.waits ?? true);
    },
  };
}

function mayClose(participant: Participant): boolean {
  return participant.plan.plugins.includes('close_session_tool');
}

/** The structured result and the same JSON as text. */
function structuredResult(structured: Readonly<Record<string, unknown>>): string {
  const json = JSON.stringify(structured);
  return `{"content":[{"type":"text","text":${JSON.stringify(json)}}],"structuredContent":${json}}`;
}

/** A failure: for models as a plain sentence, for programs as `{error}`. */
function errorResult(message: string): string {
  const text = JSON.stringify(message);
  return `{"content":[{"type":"text","text":${text}}],"structuredContent":{"error":${text}},"isError":true}`;
}

function customResult(result: { text: string; isError: boolean; structured?: unknown }): string {
  if (result.isError && result.structured === undefined) return errorResult(result.text);
  const whole: ToolResult = {
    content: [{ type: 'text', text: result.text }],
    ...(result.structured !== undefined && { structuredContent: result.structured }),
    ...(result.isError && { isError: true }),
  };
  return JSON.stringify(whole);
}

function noResource(uri: unknown, sessionless: boolean): RpcFailure {
  return new RpcFailure(
    sessionless ? INVALID_PARAMS : RESOURCE_NOT_FOUND,
    `There is no resource ${JSON.stringify(uri ?? null)}; there are ${INSTRUCTION_URI} and ${STATE_URI}.`,
    { uri },
  );
}
