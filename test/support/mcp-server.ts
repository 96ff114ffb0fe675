/** The MCP door alone on a loopback socket, with a fake team behind it. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createMcpDoor, type McpDoor, type McpDoorOptions } from '../../src/mcp/door.ts';
import type { AgentPlan } from '../../src/domain/graph.ts';
import { FakeTeam } from './fake-team.ts';

export interface McpServer {
  readonly door: McpDoor;
  readonly server: Server;
  readonly team: FakeTeam;
  readonly port: number;
  /** What the door warned of. */
  readonly warnings: string[];
  /** URL of an agent's streamable endpoint, or of the older one. */
  url(agent: string, transport?: 'mcp' | 'sse/'): string;
  stop(): Promise<void>;
}

export async function startMcp(
  agents: Record<string, Partial<AgentPlan>>,
  options: Partial<McpDoorOptions> = {},
  team = new FakeTeam(agents),
): Promise<McpServer> {
  const warnings: string[] = [];
  const door = createMcpDoor({
    authenticate: team.authenticate,
    defaultWaitMs: 30_000,
    now: () => performance.now(),
    signingKey: 'a key that is the same over restarts',
    version: '9.9.9',
    warn: (message, error) => warnings.push(`${message}: ${String(error)}`),
    ...options,
  });
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    if (!door.handle(request, response)) response.writeHead(418).end();
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    door,
    server,
    team,
    port,
    warnings,
    url: (agent, transport = 'mcp') => `http://127.0.0.1:${port}/mcp/v1/secret-${agent}/${transport}`,
    async stop() {
      await door.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** One JSON-RPC message over HTTP, as plainly as can be. */
export async function post(
  url: string,
  message: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: ReturnType<typeof JSON.parse>; headers: Headers; text: string }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof message === 'string' ? message : JSON.stringify(message),
  });
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  return { status: response.status, body, headers: response.headers, text };
}

export function call(name: string, args: Record<string, unknown> = {}, id: number | string = 1): object {
  return { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } };
}

/** Resolves when the condition holds; looks again whenever the event loop turns. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
