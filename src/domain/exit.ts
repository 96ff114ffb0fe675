/**
 * How an agent ended. A runtime reports an `Ending` (what the world showed); the rules turn it into an `Exit`
 * (what it means), because only they know whether we asked for it. Source: docs/wire.md, "AgentState".
 */

/** What the world showed. All endings take this one shape. */
export interface Ending {
  readonly kind:
    | 'could_not_start' // nothing ever ran
    | 'exited' // with `exitCode`
    | 'signalled' // by `signal`
    | 'out_of_memory'
    | 'lost'; // it is gone and nobody saw how
  readonly exitCode?: number;
  readonly signal?: string;
  /** A sentence: what happened, where it was looked for, what to do. */
  readonly detail: string;
  /** The last output lines: at most 20 and 4 KiB, masked. */
  readonly lastLines?: readonly string[];
  /** Wall-clock ms when it ended, where the runtime knows better than "now". */
  readonly time?: number;
}

/** Why an agent is gone. Source: docs/wire.md, "AgentState". */
export type ExitReason =
  'completed' | 'failed' | 'stopped' | 'killed' | 'oom_killed' | 'launch_failed' | 'connect_timeout' | 'lost';

/** Why we asked an agent to stop. `connect_timeout` becomes an exit reason of its own. */
export type StopCause = 'session_closed' | 'ttl' | 'requested' | 'watchdog' | 'shutdown' | 'connect_timeout';

/** The end of one attempt, as it is written down. */
export interface Exit {
  readonly reason: ExitReason;
  readonly cause?: Exclude<StopCause, 'connect_timeout'>;
  readonly detail: string;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly lastLines?: readonly string[];
  /** Wall-clock ms. */
  readonly time: number;
}
