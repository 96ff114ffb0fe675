/** Just enough of an MCP client: a session, and calls as bytes. */
import { Connection, postOf } from './http-client.ts';

/** Where an agent's MCP endpoint is. */
export interface AgentAddress {
  readonly port: number;
  readonly secret: string;
}

/** An agent with an MCP session, and a connection that is still open. */
export interface OpenAgent extends AgentAddress {
  readonly connection: Connection;
  readonly session: string;
}

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'bench', version: '1.0.0' },
  },
};
const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' };

/** Path of an agent's endpoint. */
export function endpointOf(secret: string): string {
  return `/mcp/v1/${secret}/mcp`;
}

/** Opens an MCP session for each agent, a few at a time. */
export async function openAgents(agents: readonly AgentAddress[]): Promise<readonly OpenAgent[]> {
  const open: OpenAgent[] = [];
  const left = [...agents.entries()];
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [index, agent] = next;
      open[index] = await openAgent(agent);
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
  return open;
}

async function openAgent(agent: AgentAddress): Promise<OpenAgent> {
  const connection = await Connection.open(agent.port);
  const path = endpointOf(agent.secret);
  const { status, head, body } = await connection.ask(postOf(agent.port, path, INITIALIZE));
  const session = /\r\nmcp-session-id: (\S+)/i.exec(head)?.[1];
  if (status !== 200 || session === undefined) {
    throw new Error(`initialize was answered with ${status}: ${body.toString('utf8')}`);
  }
  await connection.ask(postOf(agent.port, path, INITIALIZED, { 'mcp-session-id': session }));
  return { ...agent, connection, session };
}

/** The bytes of a `tools/call`. */
export function toolCall(
  agent: Pick<OpenAgent, 'port' | 'secret' | 'session'>,
  name: string,
  args: Readonly<Record<string, unknown>>,
): Buffer {
  return call(agent, 'tools/call', { name, arguments: args });
}

/** The bytes of a read of `coral://state`. */
export function stateRead(agent: Pick<OpenAgent, 'port' | 'secret' | 'session'>): Buffer {
  return call(agent, 'resources/read', { uri: 'coral://state' });
}

function call(
  agent: Pick<OpenAgent, 'port' | 'secret' | 'session'>,
  method: string,
  params: Readonly<Record<string, unknown>>,
): Buffer {
  const message = { jsonrpc: '2.0', id: 1, method, params };
  return postOf(agent.port, endpointOf(agent.secret), message, {
    'mcp-session-id': agent.session,
    'mcp-protocol-version': '2025-06-18',
  });
}
