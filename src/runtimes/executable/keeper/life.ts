/**
 * The life of a keeper process. It outlives its servers and never runs for nothing: it ends when there is neither an
 * agent nor a server, when nobody can find it any more, and (only if told so) when no server came for a long time.
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { OutputLimits } from '../../output-gate.ts';
import { executableRuntime } from '../runtime.ts';
import { Desk } from './desk.ts';
import { Keeper } from './keeper.ts';
import { KEEPER_FILE } from './protocol.ts';
import type { KeeperArguments, KeeperFile } from './protocol.ts';
import { OURS } from './versions.ts';

/** Without agent and server for this long it ends, ms. */
const IDLE = 10_000;
/** Pause between two looks at whether its folder is still its own, ms. */
const LOOK_EVERY = 2_000;
/** What agents get between SIGTERM and SIGKILL when the keeper itself ends them, ms. */
const GRACE = 5_000;
/** More than where the server itself reads: what is let through goes to disk, and waits there for a server. */
const OUTPUT: OutputLimits = {
  bytesPerSecond: 8 * 1024 * 1024,
  burst: 128 * 1024 * 1024,
  held: 16 * 1024 * 1024,
};
/** The disk does not say what is in a file. */
const UNKNOWN = Symbol('unknown');
/** Longest path of a Unix socket that all systems take, bytes. */
const MAX_SOCKET_PATH = 100;

/** What of the process itself a keeper needs. */
export interface KeeperProcess {
  /** This process, told from all others that ever had its pid. */
  readonly identity: { readonly pid: number; readonly startTime: string };
  /** Wall-clock ms. */
  readonly now: () => number;
  /** Whether the disk of its folder has room for what agents print. */
  readonly hasRoom: () => boolean;
}

/** Starts a keeper; resolves once servers can come. `end` is called when its life is over. Rejects when it cannot listen. */
export async function startKeeper(
  given: KeeperArguments,
  own: KeeperProcess,
  end: () => void,
): Promise<{ stop(): Promise<void> }> {
  const { folder, instance, temporaryFolder, orphanTimeout } = given;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, KEEPER_FILE);
  forgetSocketOf(file, folder);
  const socket = socketPath(folder);
  const runtime = executableRuntime({
    instance,
    environment: {},
    now: own.now,
    temporaryFolder,
    output: OUTPUT,
  });
  const keeper = new Keeper({
    folder,
    runtime,
    hasRoom: own.hasRoom,
    grown: (key) => desk.grown(key),
    ended: (key, ending) => {
      desk.ended(key, ending);
      consider(false);
    },
  });
  let over = false;
  let idle: NodeJS.Timeout | undefined;
  let orphan: NodeJS.Timeout | undefined;

  const finish = (isOurs = true): void => {
    if (over) return;
    over = true;
    clearInterval(looking);
    // What has its name in the folder may be another keeper's by now.
    const hasSocket = isOurs || dirname(socket) !== folder;
    try {
      if (isOurs) rmSync(file, { force: true });
      if (hasSocket) removeSocket(socket, folder);
    } catch {
      // A disk that may not be written: the next keeper of the folder does it.
    }
    if (hasSocket) desk.close();
    else desk.hangUp();
    void runtime.close().finally(end);
  };
  const endAll = async (): Promise<void> => {
    await keeper.endAll(GRACE).catch(() => undefined);
    finish();
  };
  const leave = async (): Promise<void> => {
    await keeper.endOwn(GRACE).catch(() => undefined);
    finish(false);
  };
  const consider = (saidBye: boolean): void => {
    clearTimeout(idle);
    clearTimeout(orphan);
    if (over) return;
    if (keeper.busy === 0 && saidBye && desk.servers <= 1) return finish();
    if (desk.servers > 0) return;
    if (keeper.busy === 0) idle = setTimeout(finish, IDLE);
    else if (orphanTimeout !== undefined) orphan = setTimeout(() => void endAll(), orphanTimeout);
  };
  const desk = new Desk(keeper, instance, consider);

  keeper.takeOver();
  await desk.open(socket);
  const text = `${JSON.stringify({ ...own.identity, ...OURS, socket } satisfies KeeperFile)}\n`;
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  const looking = setInterval(() => {
    const found = look(file);
    if (found === text || found === UNKNOWN) return;
    // Removed: no server will ever come, and its agents end with it. Another keeper's: they are that keeper's now.
    if (found === undefined) void leave();
    else finish(false);
  }, LOOK_EVERY);
  consider(false);
  return { stop: endAll };
}

/** In the folder where its path is short enough, else in a private folder for temporary files. */
function socketPath(folder: string): string {
  const here = join(folder, 'socket');
  if (Buffer.byteLength(here) <= MAX_SOCKET_PATH) return here;
  const there = join(mkdtempSync(join(tmpdir(), 'coral-keeper-')), 'socket');
  if (Buffer.byteLength(there) <= MAX_SOCKET_PATH) return there;
  rmSync(dirname(there), { recursive: true, force: true });
  return join(mkdtempSync('/tmp/coral-keeper-'), 'socket');
}

function removeSocket(socket: string, folder: string): void {
  rmSync(socket, { force: true });
  if (dirname(socket) !== folder) rmSync(dirname(socket), { recursive: true, force: true });
}

/** What a keeper that was killed left behind. */
function forgetSocketOf(file: string, folder: string): void {
  try {
    const { socket } = JSON.parse(readFileSync(file, 'utf8')) as Partial<KeeperFile>;
    if (typeof socket === 'string' && socket.endsWith('/socket')) removeSocket(socket, folder);
  } catch {
    // None, or half a file: the name of its socket is not known.
  }
  rmSync(join(folder, 'socket'), { force: true });
}

/** The text of a file; undefined: it is not there; UNKNOWN: it cannot be seen for now. */
function look(file: string): string | undefined | typeof UNKNOWN {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR' ? undefined : UNKNOWN;
  }
}
