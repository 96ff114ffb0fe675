/**
 * The keeper: the small process that starts the agents of a server, and outlives it. Started by the server
 * (src/runtimes/executable/keeper/link.ts), never by people. Loads next to nothing, so that it is there at once and
 * stays small.
 */
import { anchoredClock } from './clock.ts';
import { roomForLogs } from './disk-room.ts';
import { ownIdentity } from './process-identity.ts';
import { startKeeper } from './runtimes/executable/keeper/life.ts';
import type { KeeperArguments } from './runtimes/executable/keeper/protocol.ts';

process.title = 'coral keeper';
// Ctrl-C and a closed terminal are meant for the server.
process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);
process.stdout.on('error', () => undefined);

const given = JSON.parse(process.argv[2] ?? '{}') as KeeperArguments;
const own = { identity: ownIdentity(), now: anchoredClock(), hasRoom: roomForLogs(given.folder) };
const keeper = await startKeeper(given, own, () => {
  // What was said last is still on its way.
  setImmediate(() => setImmediate(() => process.exit(0)));
});
process.on('SIGTERM', () => void keeper.stop());
process.stdout.write('ready\n');
