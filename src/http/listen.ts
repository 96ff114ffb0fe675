/** Takes the port, or says in a sentence why not: which one, who holds it, which flag to change. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { reasonOf } from '../domain/reason.ts';
import type { App } from './door.ts';
import { portHolder } from './port-holder.ts';

/** The address cannot be listened on; the message is for the operator. */
export class ListenError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ListenError';
  }
}

/**
 * The port that is going to be listened on, so that agents can be told of it before anybody answers there. Where any
 * will do (port 0), the one of the last time if it is free, since agents may still look for the server there. It is
 * tried and given back: whoever dials meanwhile is refused, as by a server that is not there yet. Rejects with `ListenError`.
 */
export async function choosePort(
  { bindAddress, bindPort }: { readonly bindAddress: string; readonly bindPort: number },
  lastPort: number | undefined,
): Promise<number> {
  if (bindPort === 0 && lastPort !== undefined) {
    const free = await tryPort(bindAddress, lastPort).catch(() => undefined);
    if (free !== undefined) return free;
  }
  try {
    return await tryPort(bindAddress, bindPort);
  } catch (error) {
    throw new ListenError(whyNot(error, bindAddress, bindPort), { cause: error });
  }
}

async function tryPort(host: string, port: number): Promise<number> {
  const server = createServer((socket) => socket.destroy());
  server.listen({ host, port });
  await once(server, 'listening');
  const { port: found } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return found;
}

/** Starts listening (port 0: any free one) and resolves with where. Rejects with `ListenError`. */
export async function listen(
  app: App,
  { bindAddress, bindPort }: { readonly bindAddress: string; readonly bindPort: number },
): Promise<{ readonly address: string; readonly port: number }> {
  try {
    await app.listen({ host: bindAddress, port: bindPort });
  } catch (error) {
    throw new ListenError(whyNot(error, bindAddress, bindPort), { cause: error });
  }
  const { address, port } = app.server.address() as AddressInfo;
  return { address, port };
}

function whyNot(error: unknown, address: string, port: number): string {
  const place = `${address.includes(':') ? `[${address}]` : address}:${port}`;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE': {
      const holder = portHolder(port);
      const held = holder === undefined ? 'by another program' : `by ${holder.name} (pid ${holder.pid})`;
      return `${place} is in use ${held}; stop it, or choose another port with --network.bind-port.`;
    }
    case 'EACCES':
      return `${place} may not be used by this user; choose a port above 1023 with --network.bind-port.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${address} is no address of this machine; choose one with --network.bind-address.`;
    default:
      return `${place} cannot be listened on: ${reasonOf(error)}; choose another with --network.bind-address and --network.bind-port.`;
  }
}
