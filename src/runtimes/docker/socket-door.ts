/**
 * The agents' door for a container without any network: a Unix socket. The folder it lies in is bound into the
 * container, not the socket itself, so that a server that was started again can put another one there.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Labels } from '../../domain/launch.ts';
import type { AgentDoors } from '../../ports/agent-doors.ts';
import { markOf } from '../mark.ts';
import type { Mount } from './spec.ts';

const SOCKET = 'coral.sock';
/** Where the folder stands in the container. */
export const FOLDER_IN_CONTAINER = '/run/coral';
/** Where the agent finds it. */
export const SOCKET_IN_CONTAINER = `${FOLDER_IN_CONTAINER}/${SOCKET}`;

/** An open door, and what of it goes into the container. */
export interface SocketDoor {
  readonly mount: Mount;
  readonly variables: Readonly<Record<string, string>>;
  /** Removes its folder, too. */
  close(): Promise<void>;
}

/** The socket doors of one server. */
export class SocketDoors {
  /** `folder` is this server's alone (0700); a container sees only its own folder in it. */
  constructor(
    private readonly doors: AgentDoors | undefined,
    private readonly folder: string,
  ) {}

  /** Opens one for an attempt that is being launched; nothing where the server needs no doors. */
  async open(labels: Labels): Promise<SocketDoor | undefined> {
    if (this.doors === undefined) return undefined;
    const folder = join(this.folder, nameOf(labels));
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await mkdir(folder, { recursive: true });
    try {
      return await this.reopen(folder);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Opens it again in the folder that a container of an earlier life has. */
  async reopen(folder: string): Promise<SocketDoor | undefined> {
    const { doors } = this;
    if (doors === undefined) return undefined;
    await chmod(folder, 0o755); // whoever the container's user is
    await rm(join(folder, SOCKET), { force: true });
    const short = await shortened(folder);
    const door = await doors.open({ socket: join(short.path, SOCKET) }).catch(async (error: unknown) => {
      await short.close();
      throw error;
    });
    return {
      mount: { source: folder, target: FOLDER_IN_CONTAINER, readOnly: true },
      variables: { CORAL_SOCKET: SOCKET_IN_CONTAINER },
      async close() {
        await door.close();
        await short.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  }

  /** What is left of an attempt that is over. Never rejects: what cannot be removed now is found by `sweep`. */
  async remove(labels: Labels): Promise<void> {
    await rm(join(this.folder, nameOf(labels)), { recursive: true, force: true }).catch(() => undefined);
  }

  /** Removes the folders of all attempts but these. */
  async sweep(alive: readonly Labels[]): Promise<void> {
    const kept = new Set(alive.map(nameOf));
    for (const name of await readdir(this.folder).catch(() => [])) {
      if (!kept.has(name)) await rm(join(this.folder, name), { recursive: true, force: true });
    }
  }
}

/** The system takes no longer paths for sockets than about a hundred bytes; by a descriptor every folder has a short one. */
async function shortened(folder: string): Promise<{ readonly path: string; close(): Promise<void> }> {
  if (process.platform !== 'linux') return { path: folder, close: async () => undefined };
  const handle = await open(folder, constants.O_DIRECTORY);
  return { path: `/proc/self/fd/${handle.fd}`, close: () => handle.close() };
}

function nameOf(labels: Labels): string {
  return createHash('sha256').update(markOf(labels)).digest('hex').slice(0, 16);
}
