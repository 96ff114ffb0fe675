/**
 * A stand-in for the server, with the official SDK behind it: threads and messages of one session in memory, every
 * agent on a path of its own, and switches for the trouble that a network makes.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CallToolRequestSchema,
  ReadResourceRequestSchema,
  isInitializeRequest,
} from '@modelcontextprotocol/sdk/types.js';
import type { Message, Thread } from '../../src/client/agent/index.ts';

interface Call {
  readonly agent: string;
  readonly tool: string;
  readonly args: Record<string, unknown>;
}

type Trouble = 'cut_before_answer' | 'cut_after_hand_over' | 'unavailable';

export class FakeServer {
  readonly calls: Call[] = [];
  readonly threads = new Map<string, Thread & { messages: Message[] }>();
  readonly revoked = new Set<string>();
  /** MCP session ids that are open, and those that said goodbye. */
  readonly open = new Map<string, StreamableHTTPServerTransport>();
  readonly ended: string[] = [];
  /** The agents that were let in, once for every MCP session. */
  readonly greeted: string[] = [];
  /** What happens to the next calls of a tool, first one first. */
  readonly trouble: { tool: string; what: Trouble }[] = [];
  closed: { reason: string; result?: unknown } | undefined;
  /** Text of coral://state; by default the agents that `peers` names. */
  stateText: string | undefined;
  peers: () => { name: string; running: boolean; started?: boolean }[] = () => [];
  #http: HttpServer | undefined;
  readonly #sse = new Map<string, SSEServerTransport>();
  readonly #handedOver = new Map<string, Set<string>>();
  /** By sender and idempotency key. */
  readonly #sent = new Map<string, Message>();
  readonly #waiting = new Set<() => void>();
  #clock = 0;

  async start(): Promise<this> {
    this.#http = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        response.statusCode = 500;
        response.end(String(error));
      });
    });
    await new Promise<void>((resolve) => this.#http?.listen(0, '127.0.0.1', resolve));
    return this;
  }

  async stop(): Promise<void> {
    this.#http?.closeAllConnections();
    await new Promise<void>((resolve) => (this.#http ? this.#http.close(() => resolve()) : resolve()));
  }

  get port(): number {
    return (this.#http?.address() as AddressInfo).port;
  }

  /** The variables an agent of this name is launched with. */
  environment(agent: string, options: Record<string, string> = {}, sse = false): Record<string, string> {
    const base = `http://127.0.0.1:${this.port}`;
    return {
      CORAL_CONNECTION_URL: `${base}/mcp/v1/secret-of-${agent}/${sse ? 'sse/' : 'mcp'}`,
      CORAL_AGENT_ID: agent,
      CORAL_AGENT_SECRET: `secret-of-${agent}`,
      CORAL_SESSION_ID: 'session-1',
      CORAL_API_URL: base,
      CORAL_RUNTIME_ID: 'executable',
      ...options,
    };
  }

  thread(name: string, participants: string[]): Thread & { messages: Message[] } {
    const thread = {
      id: randomUUID(),
      name,
      creatorName: participants[0] ?? '',
      participants,
      messages: [],
      state: { state: 'open' as const },
      timestamp: new Date(0).toISOString(),
    };
    this.threads.set(thread.id, thread);
    return thread;
  }

  post(threadId: string, sender: string, text: string, mentions: string[] = []): Message {
    const thread = this.threads.get(threadId);
    if (thread === undefined) throw new Error(`There is no thread ${threadId}.`);
    const message: Message = {
      id: `m${(this.#clock += 1)}`,
      threadId,
      text,
      senderName: sender,
      mentionNames: mentions,
      timestamp: new Date(this.#clock).toISOString(),
    };
    thread.messages.push(message);
    for (const wake of [...this.#waiting]) wake();
    return message;
  }

  /** Every message of the session, in order. */
  get messages(): Message[] {
    return [...this.threads.values()]
      .flatMap((thread) => thread.messages)
      .sort((a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)));
  }

  /** Resolves once `condition` holds; looked at after every message and every call. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** Forgets all MCP sessions, as after a restart. */
  forgetSessions(): void {
    this.open.clear();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const [, , , secret = '', kind = ''] = url.pathname.split('/');
    const agent = secret.replace('secret-of-', '');
    if (this.revoked.has(agent)) {
      response.writeHead(401).end('{"message":"unknown secret"}');
      return;
    }
    if (kind === 'sse') {
      await this.#serveSse(agent, url, request, response);
      return;
    }
    const body = request.method === 'POST' ? await readBody(request) : undefined;
    const call = callOf(body);
    if ((body as { method?: string } | undefined)?.method === 'notifications/initialized') {
      this.greeted.push(agent);
      this.#wake();
    }
    const trouble = call === undefined ? undefined : this.#troubleFor(call.name);
    if (trouble === 'unavailable') {
      response.writeHead(503).end('{"message":"not now"}');
      return;
    }
    if (trouble === 'cut_before_answer') {
      if (call !== undefined) this.#record(agent, call.name, call.arguments);
      request.socket.destroy();
      return;
    }
    if (trouble === 'cut_after_hand_over')
      response.write = response.end = () => request.socket.destroy() as never;
    const id = request.headers['mcp-session-id'] as string | undefined;
    const known = id === undefined ? undefined : this.open.get(id);
    if (known !== undefined) {
      await known.handleRequest(request, response, body);
      if (request.method === 'DELETE' && id !== undefined) {
        this.ended.push(agent);
        this.#wake();
      }
      return;
    }
    if (!isInitializeRequest(body)) {
      response.writeHead(404).end('{"message":"unknown MCP session"}');
      return;
    }
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      enableJsonResponse: true,
      onsessioninitialized: (sessionId) => void this.open.set(sessionId, transport),
    });
    await this.#mcp(agent).connect(transport);
    await transport.handleRequest(request, response, body);
  }

  async #serveSse(
    agent: string,
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (request.method === 'GET') {
      const transport = new SSEServerTransport(url.pathname, response);
      this.#sse.set(transport.sessionId, transport);
      await this.#mcp(agent).connect(transport);
      return;
    }
    const transport = this.#sse.get(url.searchParams.get('sessionId') ?? '');
    if (transport === undefined) response.writeHead(404).end();
    else await transport.handlePostMessage(request, response);
  }

  #state(): string {
    const agents = this.peers().map(({ name, running, started = running }) => ({
      agentName: name,
      agentDescription: '',
      agentConnected: running,
      agentWaiting: false,
      agentSleeping: false,
      agentRunning: running,
      ...(started && { agentStartTime: new Date(0).toISOString() }),
    }));
    return `# General\n\nHello.\n\n# Agents\n\n\`\`\`json\n${JSON.stringify(agents)}\n\`\`\`\n`;
  }

  #troubleFor(tool: string): Trouble | undefined {
    if (this.trouble[0]?.tool !== tool) return undefined;
    return this.trouble.shift()?.what;
  }

  #record(agent: string, tool: string, args: Record<string, unknown>): void {
    this.calls.push({ agent, tool, args });
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  #mcp(agent: string): Server {
    const server = new Server(
      { name: 'Coral Agent Server', version: '1' },
      { capabilities: { tools: {}, resources: {} } },
    );
    server.setRequestHandler(ReadResourceRequestSchema, (request) => ({
      contents: [
        { uri: request.params.uri, mimeType: 'text/markdown', text: this.stateText ?? this.#state() },
      ],
    }));
    server.setRequestHandler(CallToolRequestSchema, async (request, extra) => {
      const { name, arguments: args = {} } = request.params;
      this.#record(agent, name, args);
      try {
        const value = await this.#tool(agent, name, args, extra.signal);
        return {
          structuredContent: value,
          content: [{ type: 'text' as const, text: JSON.stringify(value) }],
        };
      } catch (error) {
        const message = (error as Error).message;
        return {
          isError: true,
          structuredContent: { error: message },
          content: [{ type: 'text' as const, text: message }],
        };
      }
    });
    return server;
  }

  async #tool(
    agent: string,
    name: string,
    args: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<Record<string, unknown>> {
    const string = (key: string): string => args[key] as string;
    switch (name) {
      case 'coral_create_thread':
        return {
          thread: this.thread(string('threadName'), [
            ...new Set([agent, ...(args['participantNames'] as string[])]),
          ]),
        };
      case 'coral_send_message': {
        const thread = this.threads.get(string('threadId'));
        if (thread === undefined) throw new Error(`There is no thread ${string('threadId')}.`);
        const mentions = args['mentions'] as string[];
        const stranger = mentions.find((mention) => !thread.participants.includes(mention));
        if (stranger !== undefined) throw new Error(`${stranger} takes no part in this thread.`);
        const key = args['idempotencyKey'] === undefined ? undefined : `${agent} ${string('idempotencyKey')}`;
        const before = key === undefined ? undefined : this.#sent.get(key);
        const message = before ?? this.post(thread.id, agent, string('content'), mentions);
        if (key !== undefined) this.#sent.set(key, message);
        return { status: 'Message sent successfully', message };
      }
      case 'coral_add_participant':
        this.threads.get(string('threadId'))?.participants.push(string('participantName'));
        return { message: 'done' };
      case 'coral_remove_participant': {
        const thread = this.threads.get(string('threadId'));
        thread?.participants.splice(thread.participants.indexOf(string('participantName')), 1);
        return { message: 'done' };
      }
      case 'coral_close_thread':
        return { message: 'done' };
      case 'coral_wait_for_message':
      case 'coral_wait_for_mention':
      case 'coral_wait_for_agent':
        return await this.#wait(agent, name, args, signal);
      case 'coral_close_session':
        this.closed = { reason: string('reason'), ...('result' in args && { result: args['result'] }) };
        return { message: 'closed' };
      default:
        throw new Error(`There is no tool ${name}.`);
    }
  }

  async #wait(
    agent: string,
    tool: string,
    args: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<Record<string, unknown>> {
    const handedOver = this.#handedOver.get(agent) ?? new Set<string>();
    this.#handedOver.set(agent, handedOver);
    const cursor = args['afterMessageId'] as string | undefined;
    const find = (): Message | undefined => {
      const all = this.messages;
      const from = cursor === undefined ? 0 : all.findIndex((message) => message.id === cursor) + 1;
      return all
        .slice(from)
        .find(
          (message) =>
            message.senderName !== agent &&
            this.threads.get(message.threadId)?.participants.includes(agent) === true &&
            (cursor !== undefined || !handedOver.has(message.id)) &&
            (tool !== 'coral_wait_for_mention' || message.mentionNames.includes(agent)) &&
            (tool !== 'coral_wait_for_agent' || message.senderName === args['agentName']),
        );
    };
    const until = Date.now() + ((args['maxWaitMs'] as number | undefined) ?? 1_000);
    for (;;) {
      const message = find();
      if (message !== undefined) {
        handedOver.add(message.id);
        return { status: 'Message received', message };
      }
      const left = until - Date.now();
      if (left <= 0 || signal.aborted) return { status: 'Timeout reached' };
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        const timer = setTimeout(wake, left);
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
  }
}

function callOf(body: unknown): { name: string; arguments: Record<string, unknown> } | undefined {
  const request = body as { method?: string; params?: { name: string; arguments: Record<string, unknown> } };
  return request?.method === 'tools/call' ? request.params : undefined;
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
}
