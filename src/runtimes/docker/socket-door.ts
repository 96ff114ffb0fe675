/** The agents' door for a container without any network: a Unix socket that is bound into it. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Labels } from '../../domain/launch.ts';
import type { AgentDoors } from '../../ports/agent-doors.ts';
import { markOf } from '../mark.ts';
import type { Mount } from './spec.ts';

/** The system takes no longer ones for sockets, bytes. */
const LONGEST_PATH = 100;
/** Where the agent finds it. */
export const SOCKET_IN_CONTAINER = '/run/coral.sock';

/** An open door, and what of it goes into the container. */
export interface SocketDoor {
  readonly mount: Mount;
  readonly variables: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** `folder` is this server's alone (0700); inside the container only the socket is seen. */
export async function openSocketDoor(doors: AgentDoors, folder: string, labels: Labels): Promise<SocketDoor> {
  const name = createHash('sha256').update(markOf(labels)).digest('hex').slice(0, 16);
  const isShort = Buffer.byteLength(join(folder, name)) <= LONGEST_PATH;
  const home = isShort ? folder : await mkdtemp(join(tmpdir(), 'coral-'));
  await mkdir(home, { recursive: true, mode: 0o700 });
  const socket = join(home, name);
  await rm(socket, { force: true });
  const door = await doors.open({ socket });
  return {
    mount: { source: socket, target: SOCKET_IN_CONTAINER, readOnly: false },
    variables: { CORAL_SOCKET: SOCKET_IN_CONTAINER },
    async close() {
      await door.close();
      await rm(isShort ? socket : home, { recursive: true, force: true });
    },
  };
}
