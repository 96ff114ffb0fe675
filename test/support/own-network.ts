/** A network namespace of a command's own: whatever is made and broken in it is not the machine's. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';

/** Names the network that a command came from, for itself in its own. */
const CAME_FROM = 'CORAL_TEST_CAME_FROM';
const LOOPBACK = 'ip link set lo up 2>/dev/null || busybox ifconfig lo up';

const network = (): string => readlinkSync('/proc/self/ns/net');

/** Whether this process was put into a network of its own by `runInOwnNetwork`. */
export function hasOwnNetwork(): boolean {
  const from = process.env[CAME_FROM];
  return from !== undefined && from !== network();
}

/**
 * Runs this very command again in a network in which there is nothing but loopback; resolves with its exit code, or with
 * undefined where it is there already, or none can be made.
 */
export async function runInOwnNetwork(): Promise<number | undefined> {
  if (process.env[CAME_FROM] !== undefined) return undefined;
  if (spawnSync('unshare', ['--net', 'sh', '-c', LOOPBACK]).status !== 0) return undefined;
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn('unshare', ['--net', 'sh', '-c', `${LOOPBACK}; exec "$@"`, 'sh', ...again], {
    stdio: 'inherit',
    env: { ...process.env, [CAME_FROM]: network() },
  });
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => child.kill(name));
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
