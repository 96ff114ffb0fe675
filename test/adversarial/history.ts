/**
 * What is known of a run from outside and from its journal, in the manner of Jepsen: what clients asked and were told,
 * what agents and receivers saw of it, what stands in the journal, and what is left of it in the world.
 */
import type { JournalRecord } from '../../src/ports/journal.ts';

/**
 * `ok`: it was acknowledged. `refused`: it was said no to, and nothing of it has happened. `unknown`: the connection was
 * lost, or the server said that it does not know.
 */
export type Outcome = 'ok' | 'refused' | 'unknown';

/** Both count one clock of the whole run: what completed below another's invocation was over before it began. */
interface Asked {
  readonly invoked: number;
  readonly completed: number;
  readonly outcome: Outcome;
}

/** A session asked for; `key` says which of several requests mean the same one. */
export interface Open extends Asked {
  readonly kind: 'open';
  readonly key: string;
  /** With `ok`. */
  readonly session?: string;
}

/** A message sent; `key` as above. */
export interface Send extends Asked {
  readonly kind: 'send';
  readonly session: string;
  readonly thread: string;
  readonly agent: string;
  readonly key: string;
  readonly text: string;
  /** Its id, with `ok`. */
  readonly message?: string;
}

/** A wait for any message. An agent has one at a time. */
export interface Wait extends Asked {
  readonly kind: 'wait';
  readonly session: string;
  readonly agent: string;
  /** Id of what was handed over; absent with `ok`: there was nothing. */
  readonly message?: string;
}

/** One question and its answer. */
export type Operation = Open | Send | Wait;

/** A process or container that ran as an agent, as it said itself. */
export interface Life {
  readonly session: string;
  readonly agent: string;
  readonly attempt: number;
  /** Told from all others: a pid, a host name. */
  readonly who: string;
}

/** A report of a session's end that came to its receiver. */
export interface Report {
  readonly session: string;
  /** The id it came under. */
  readonly delivery: string;
  readonly body: string;
}

/** What was killed. A machine's end is none of these. */
export interface Deaths {
  /** How often. */
  readonly server: number;
  /** When, wall-clock ms. */
  readonly keeper: readonly number[];
  /** The same of the container engine. */
  readonly docker: readonly number[];
}

/** One run, looked at when everything has come to its end and the server has been stopped in good order. */
export interface History {
  readonly operations: readonly Operation[];
  readonly lives: readonly Life[];
  readonly reports: readonly Report[];
  readonly deaths: Deaths;
  /** All records of all streams, by position. */
  readonly journal: readonly JournalRecord[];
  /** What is still there of it in the world and should not be, a phrase each. */
  readonly left: readonly string[];
}
