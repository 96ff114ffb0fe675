/** A network namespace of a command's own: whatever is made and broken in it is not the machine's. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';

const LOOPBACK = 'ip link set lo up 2>/dev/null || busybox ifconfig lo up';

/** Whether this process is in another network than the machine's first process. */
export function hasOwnNetwork(): boolean {
  try {
    return readlinkSync('/proc/self/ns/net') !== readlinkSync('/proc/1/ns/net');
  } catch {
    return false;
  }
}

/**
 * Runs this very command again in a network in which there is nothing but loopback; resolves with its exit code, or with
 * undefined where there is one already, or none can be made.
 */
export async function runInOwnNetwork(): Promise<number | undefined> {
  if (hasOwnNetwork()) return undefined;
  if (spawnSync('unshare', ['--net', 'sh', '-c', LOOPBACK]).status !== 0) return undefined;
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn('unshare', ['--net', 'sh', '-c', `${LOOPBACK}; exec "$@"`, 'sh', ...again], {
    stdio: 'inherit',
  });
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => child.kill(name));
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
