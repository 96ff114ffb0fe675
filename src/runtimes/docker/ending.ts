/** From what the engine says of a container that ended to an `Ending`. */
import { constants } from 'node:os';
import type { Ending } from '../../domain/exit.ts';
import { endedBySignal, exitedWith } from '../ending.ts';

/** `State` of `GET /containers/ID/json`. */
export interface ContainerState {
  readonly Status: string;
  readonly Running?: boolean;
  readonly Paused?: boolean;
  readonly OOMKilled?: boolean;
  readonly ExitCode: number;
  readonly Error?: string;
  readonly StartedAt?: string;
  readonly FinishedAt?: string;
}

/** What is known of an end besides what the engine says of the container. */
export interface Circumstances {
  /** The engine told of memory that ran out (an event, which may come where the flag does not). */
  readonly sawOutOfMemory: boolean;
  /** It was asked to end, and killed when it did not. */
  readonly wasAsked: boolean;
  /** The engine went away while it ran and stops containers when it does. */
  readonly engineStoppedIt: boolean;
  /** What it printed on stderr first. */
  readonly firstErrorLine: string | undefined;
  /** What it was to run, where that is known. */
  readonly program?: string | undefined;
  readonly memory: number;
  readonly now: number;
}

/** The first name of a number counts: SIGABRT is SIGIOT, too. */
const SIGNALS = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name]),
);
/** Codes above this are 128 and a signal's number. */
const SIGNALLED = 128;
const KILLED = SIGNALLED + 9;
const ABORTED = SIGNALLED + 6;
const HEAP_FULL = ' Node ends so when its heap is full: raise --max-old-space-size, and the memory with it.';
/** The engine begins to watch a container's memory a moment after its start, ms. */
const MOMENT = 1_000;
const UNNOTICED =
  ' Perhaps it used up its memory at once: the engine does not always notice that of a program that just began.';

/** What a container's end means for its agent; the last lines are the caller's to add. */
export function endingFor(state: ContainerState, about: Circumstances): Ending {
  const { ExitCode: exitCode, OOMKilled: flagged = false } = state;
  const time = timeOf(state.FinishedAt) ?? about.now;
  const unstarted = couldNotStart(exitCode, about);
  if (unstarted !== undefined) return { kind: 'could_not_start', detail: unstarted, exitCode, time };

  if (about.engineStoppedIt) {
    const signal = SIGNALS.get(exitCode - SIGNALLED) ?? 'SIGTERM';
    const detail =
      'The Docker engine went away and stopped it: without live-restore no container survives that.';
    return { kind: 'signalled', signal, exitCode, detail, time };
  }
  const outOfMemory = flagged || about.sawOutOfMemory;
  if (exitCode === KILLED && outOfMemory) {
    const detail = `It was killed because it used up its ${mebibytes(about.memory)} MiB of memory; give it more (runtimes.docker.resources.memory), or less to do.`;
    return { kind: 'out_of_memory', signal: 'SIGKILL', exitCode, detail, time };
  }
  const signal = SIGNALS.get(exitCode - SIGNALLED);
  // A shell's way of saying it, and the init process's: the program itself ended by a signal.
  if (signal !== undefined) {
    const ended = endedBySignal(signal, time);
    const isUnexplained = exitCode === KILLED && !about.wasAsked && hadJustBegun(state);
    const more = exitCode === ABORTED ? HEAP_FULL : isUnexplained ? UNNOTICED : '';
    return { ...ended, exitCode, detail: `${ended.detail.slice(0, -1)} (exit code ${exitCode}).${more}` };
  }
  const ended = exitedWith(exitCode, time);
  const child = outOfMemory ? ' One of its processes was killed because memory ran out.' : '';
  return { ...ended, detail: `${ended.detail}${child}` };
}

/** The init process's complaint that it has nothing to run; Podman's ends with 1 and does not name the program. */
function couldNotStart(
  exitCode: number,
  { firstErrorLine: line = '', program }: Circumstances,
): string | undefined {
  if (exitCode !== 127 && exitCode !== 126 && exitCode !== 1) return undefined;
  const docker = /^\[FATAL +tini \(\d+\)\] exec (.*) failed: (.*)$/.exec(line);
  const podman = /^ERROR \(catatonit:\d+\): failed to exec pid1: (.*)$/.exec(line);
  if (docker === null && podman === null) return undefined;
  const name = docker?.[1] ?? program ?? 'of that name';
  const why = docker?.[2] ?? podman?.[1] ?? '';
  return `The image has no program ${name} that can be run (${why}); check its entrypoint and the command of runtimes.docker.`;
}

function hadJustBegun({ StartedAt, FinishedAt }: ContainerState): boolean {
  return (timeOf(FinishedAt) ?? Infinity) - (timeOf(StartedAt) ?? 0) < MOMENT;
}

function timeOf(text: string | undefined): number | undefined {
  const time = text === undefined ? NaN : Date.parse(text);
  return time > 0 ? time : undefined;
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 1024 ** 2);
}
