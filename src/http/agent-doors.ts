/**
 * Further listeners for agents that cannot reach the server's own address (containers, when the server is bound to
 * the loopback). They serve the MCP endpoint of agents and nothing else: no API, no console. Whoever comes this way is
 * known by the agent's secret in the path or as Bearer, so the Host header is not looked at.
 */
import { chmod } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isLoopback } from './host-guard.ts';
import type { AgentDoor, AgentDoors, DoorPlace } from '../ports/agent-doors.ts';

/** Takes a request and says whether it was one of its own. */
export type Handle = (request: IncomingMessage, response: ServerResponse) => boolean;

/** What the listeners serve. */
export interface AgentDoorsOptions {
  /** As `serve`, from the beginning. */
  readonly handle?: Handle;
  /** The address and port the server itself listens on; containers that reach it need no other listener. */
  readonly server: () => { readonly address: string; readonly port: number };
}

/** The doors, and what closes all that are still open. */
export interface OpenAgentDoors extends AgentDoors {
  /** Serves from now on. Agents that outlived the last server may have come before: they were let wait. */
  serve(handle: Handle): void;
  /** Whether a request came in by one of the doors, under whatever name containers have for this machine. */
  letIn(request: IncomingMessage): boolean;
  close(): Promise<void>;
}

/** Opens nothing yet. */
export function agentDoors({ handle: given, server }: AgentDoorsOptions): OpenAgentDoors {
  const doors = new Set<AgentDoor>();
  const theirs = new WeakSet<IncomingMessage>();
  const early: Parameters<Handle>[] = [];
  let handle = given;

  const answer: (...request: Parameters<Handle>) => void = (request, response) => {
    theirs.add(request);
    if (handle === undefined) {
      early.push([request, response]);
      return;
    }
    if (handle(request, response)) return;
    response.writeHead(404, { 'content-type': 'application/json', connection: 'close' });
    response.end(JSON.stringify({ message: 'Only the MCP endpoints of agents are served here.' }));
  };

  const open = async (at: DoorPlace): Promise<AgentDoor> => {
    const own = server();
    const same = 'host' in at && own.address === at.host && !isLoopback(at.host); // the loopback's guards its names
    const covers = 'host' in at && (same || ['0.0.0.0', '::'].includes(own.address));
    if (covers && (at.port ?? own.port) === own.port) return { port: own.port, close: async () => undefined };
    const listener = createServer(answer);
    // The server's own port where it is free at this address, so that one number is all a firewall has to know.
    if ('socket' in at) {
      await listenOn(listener, { path: at.socket });
      await chmod(at.socket, 0o666);
    } else if (at.port === undefined) await onPort(listener, at.host, own.port);
    else await listenOn(listener, { host: at.host, port: at.port });
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
    serve(given) {
      handle = given;
      for (const asked of early.splice(0)) answer(...asked);
    },
    letIn: (request) => theirs.has(request),
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
