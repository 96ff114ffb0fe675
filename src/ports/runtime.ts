/**
 * What we ask of anything that can run an agent. Implementations: src/runtimes/*; one contract suite
 * (test/contracts/runtime.ts) runs on all of them. A runtime never decides a restart, a time-out or a persistence
 * mode. "Cannot see" is not "gone".
 */
import type { Ending } from '../domain/exit.ts';
import type { LaunchSpec, Labels } from '../domain/launch.ts';
import type { RuntimeKind } from '../domain/definition.ts';
import type { AgentPlan } from '../domain/graph.ts';

/** Plain JSON; journalled as soon as there is one; enough to find the thing again after a restart of the server. */
export interface Handle {
  readonly runtime: RuntimeKind;
  /** Names the thing within its runtime (pid with start time, container id …). */
  readonly id: string;
  readonly [detail: string]: unknown;
}

/** The launch did not happen and nothing is left of it. `retry`: the same again may succeed (network trouble). */
export class LaunchFailure extends Error {
  constructor(
    message: string,
    readonly retry = false,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'LaunchFailure';
  }
}

/** Where a line ends in what a runtime keeps of an agent's output; only that runtime knows what it says. */
export type Place = number | string;

/** One line an agent printed; `time` is wall-clock ms. */
export interface Line {
  readonly io: 'out' | 'error';
  readonly text: string;
  readonly time: number;
  readonly sensitive?: true;
  /** The place after it, where the runtime itself keeps output until somebody else does: see `Observer.resume`. */
  readonly at?: Place;
}

/** Where a runtime tells what it sees while an attachment lives. Called in order, never after `ended` resolved. */
export interface Observer {
  line(line: Line): void;
  /** Output bytes that were given up because they came too fast. */
  dropped?(bytes: number): void;
  /** Asked once, before the first line: the `at` of the last line of this thing that is kept already. */
  resume?(): Promise<Place | undefined>;
  /** The newest lines of this thing that are kept already, oldest first, at most `limit`. */
  newest?(limit: number): Promise<readonly Line[]>;
  /** Values that must not be shown in the last words of a thing that an earlier life launched; never rejects. */
  secrets?(): Promise<readonly string[]>;
  /** Asked before the runtime lets go of output that it kept: resolves when all lines told so far are kept. */
  kept?(): Promise<void>;
  /** The thing cannot be seen for now (`false`) or is seen again (`true`). */
  visible?(seen: boolean): void;
  /** A fact about the thing that clients know by name, e.g. a container that was created or removed. */
  noted?(fact: RuntimeFact): void;
}

/** What a runtime may note beside output and endings. */
export type RuntimeFact =
  | { readonly type: 'docker_container_created'; readonly containerId: string }
  | { readonly type: 'docker_container_removed'; readonly containerId: string }
  | { readonly type: 'progress'; readonly text: string };

/** Somebody watching a thing. */
export interface Attachment {
  /** Resolves exactly once and never rejects: how the thing ended. Pending for as long as it lives or cannot be seen. */
  readonly ended: Promise<Ending>;
  /** Stop watching; the thing lives on and `ended` stays pending. */
  detach(): void;
}

/** What a stop came to. */
export interface StopReceipt {
  /** Nothing of it is left, and that was looked at. */
  readonly gone: boolean;
  /** What is left, in words with pids or ids; empty when gone. */
  readonly left: readonly string[];
}

/** Something in the world that bears our label. */
export interface Found {
  readonly handle: Handle;
  readonly labels: Labels;
}

/** What lives, asked by those who remove what does not. */
export interface Living {
  session(id: string): boolean;
  attempt(labels: Pick<Labels, 'session' | 'agent' | 'attempt'>): boolean;
}

/** One way to run agents. */
export interface Runtime {
  readonly kind: RuntimeKind;
  /**
   * True: it sees to it that agents of an earlier life find the server where they were told, on whatever port it
   * listens now; `attach` says `lost` of those for whom that cannot be done. Default: false.
   */
  readonly keepsAddress?: boolean;
  /** Resolves with nothing when launches can be tried, else with the sentence that says why not. */
  unavailable(): Promise<string | undefined>;
  /** What of a plan the operator does not allow, a sentence each; asked before a session is opened. Absent: all is allowed. */
  refuses?(plan: AgentPlan): Promise<readonly string[]>;
  /**
   * Starts what `spec` says. Resolves with its handle once it runs; output and the end are kept for `attach`, from
   * the first byte on. Rejects with LaunchFailure. Aborting gives up the launch and leaves nothing behind.
   * `observer` hears of progress before there is a handle.
   */
  launch(spec: LaunchSpec, signal: AbortSignal, observer: Observer): Promise<Handle>;
  /** Watches a thing: once right after its launch, or after a restart of the server. Ended or unknown ones: `ended` resolves soon. */
  attach(handle: Handle, observer: Observer): Attachment;
  /** Asks it to end, waits `graceMs`, then ends it by force; resolves when it is confirmed what is gone. `graceMs` 0: by force at once. */
  stop(handle: Handle, graceMs: number): Promise<StopReceipt>;
  /** Everything alive that bears this instance's label. */
  list(): Promise<readonly Found[]>;
  /**
   * What has ended and whose ending is kept, because nobody took note of it yet: `attach` tells it. Absent: this
   * runtime keeps no endings.
   */
  ended?(): Promise<readonly Found[]>;
  /** The ending is written down: what is kept of the thing may go. */
  release?(handle: Handle): Promise<void>;
  /** The address (host, or host:port prefix without scheme) under which an agent of this runtime reaches a port of this server. */
  addressOf(port: number): string;
  /** Frees what the runtime itself holds (not the agents). */
  close(): Promise<void>;
}
