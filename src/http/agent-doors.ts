/**
 * Further listeners for agents that cannot reach the server's own address (containers, when the server is bound to
 * the loopback). They serve the MCP endpoint of agents and nothing else: no API, no console. Whoever comes this way is
 * known by the agent's secret in the path or as Bearer, so the Host header is not looked at.
 */
import { chmod } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isLoopback } from './host-guard.ts';
import type { AgentDoor, AgentDoors } from '../ports/agent-doors.ts';

/** What the listeners serve. */
export interface AgentDoorsOptions {
  /** Takes a request and says whether it was one of its own. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** The address and port the server itself listens on; containers that reach it need no other listener. */
  readonly server: () => { readonly address: string; readonly port: number };
}

/** The doors, and what closes all that are still open. */
export interface OpenAgentDoors extends AgentDoors {
  close(): Promise<void>;
}

/** Opens nothing yet. */
export function agentDoors({ handle, server }: AgentDoorsOptions): OpenAgentDoors {
  const doors = new Set<AgentDoor>();

  const open = async (at: { host: string } | { socket: string }): Promise<AgentDoor> => {
    const own = server();
    const same = 'host' in at && own.address === at.host && !isLoopback(at.host); // the loopback's guards its names
    const covers = 'host' in at && (same || ['0.0.0.0', '::'].includes(own.address));
    if (covers) return { port: own.port, close: async () => undefined };
    const listener = createServer((request, response) => {
      if (handle(request, response)) return;
      response.writeHead(404, { 'content-type': 'application/json', connection: 'close' });
      response.end(JSON.stringify({ message: 'Only the MCP endpoints of agents are served here.' }));
    });
    // The server's own port where it is free at this address, so that one number is all a firewall has to know.
    await ('socket' in at ? listenOn(listener, { path: at.socket }) : onPort(listener, at.host, own.port));
    if ('socket' in at) await chmod(at.socket, 0o666);
    listener.unref();
    const address = listener.address();
    const door: AgentDoor = {
      port: typeof address === 'string' || address === null ? 0 : address.port,
      close: () =>
        new Promise((resolve) => {
          doors.delete(door);
          listener.close(() => resolve());
          listener.closeAllConnections();
        }),
    };
    doors.add(door);
    return door;
  };

  return {
    open,
    async close() {
      await Promise.all([...doors].map((door) => door.close()));
    },
  };
}

async function onPort(listener: Server, host: string, port: number): Promise<void> {
  try {
    await listenOn(listener, { host, port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    await listenOn(listener, { host, port: 0 });
  }
}

function listenOn(listener: Server, at: { path: string } | { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(at, () => {
      listener.off('error', reject);
      resolve();
    });
  });
}
