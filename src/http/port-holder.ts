/** Which process listens on a port, as /proc shows it to this user. Only where there is a /proc. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The process that listens where we wanted to. */
export interface PortHolder {
  readonly pid: number;
  readonly name: string;
}

/** The process that listens on this TCP port; undefined when it cannot be seen. */
export function portHolder(port: number): PortHolder | undefined {
  try {
    const sockets = new Set([...listeners('tcp', port), ...listeners('tcp6', port)]);
    return sockets.size === 0 ? undefined : ownerOf(sockets);
  } catch {
    return undefined;
  }
}

/** Inodes of the sockets in state LISTEN (0A) on a port. */
function listeners(table: 'tcp' | 'tcp6', port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  let text: string;
  try {
    text = readFileSync(`/proc/net/${table}`, 'latin1');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local, , state] = fields;
    const inode = fields[9];
    return state === '0A' && local?.endsWith(`:${hex}`) === true && inode !== undefined ? [inode] : [];
  });
}

function ownerOf(inodes: ReadonlySet<string>): PortHolder | undefined {
  for (const pid of readdirSync('/proc')) {
    if (/^\d+$/.test(pid) && holds(pid, inodes)) {
      return { pid: Number(pid), name: readFileSync(`/proc/${pid}/comm`, 'utf8').trim() };
    }
  }
  return undefined;
}

function holds(pid: string, inodes: ReadonlySet<string>): boolean {
  let descriptors: string[];
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`);
  } catch {
    // Another user's, or gone since.
    return false;
  }
  return descriptors.some((descriptor) => {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${descriptor}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    } catch {
      return false;
    }
  });
}
