/**
 * Steps at which tests kill the process (test/adversarial/failpoints.test.ts). Here a step is a call that does nothing:
 * the tests build the program with another module in this one's place (test/support/armed-failpoint.ts), so what is
 * shipped has no switch that could kill it.
 */
import type { JournalEvent } from '../domain/event.ts';

/** One step: where it is, and what has and has not happened there. */
export interface Step {
  /** `FACT decided`, `FACT durable`, or a place of its own. */
  readonly at: string;
  readonly means: string;
}

/** The paths of docs/architecture.md, and the keeper's own. */
export type Path = 'open' | 'launch' | 'message' | 'exit' | 'close' | 'delivery' | 'keeper';

/** Every step by its path, in order: the first of `launch` is called launch 1. Those of `keeper` are the keeper process's. */
export const STEPS = {
  open: [
    {
      at: 'session_opened decided',
      means: 'Its secrets are sealed and its webhooks written down; of the session itself nothing is.',
    },
    {
      at: 'session_opened durable',
      means: 'It is in the journal; whoever asked for it has no answer, and nothing is launched.',
    },
  ],
  launch: [
    {
      at: 'agent_launching decided',
      means: 'A secret is minted and counts in memory; nothing is written, nothing was started.',
    },
    {
      at: 'agent_launching durable',
      means: 'The intent and the digest of the secret are in the journal; the runtime was not asked.',
    },
    {
      at: 'agent_started decided',
      means: 'The program runs; its handle is in the memory of this server alone.',
    },
    { at: 'agent_started durable', means: 'The handle is in the journal; nobody watches the program.' },
    { at: 'agent_connected decided', means: 'The program asked for MCP; that it did is not written.' },
    { at: 'agent_connected durable', means: 'That it did is in the journal; it has no answer.' },
  ],
  message: [
    { at: 'message_sent decided', means: 'It was allowed and has an id; nothing is written.' },
    {
      at: 'message_sent durable',
      means: 'It is in the journal; neither its sender nor a receiver knows.',
    },
    { at: 'reserved', means: 'It is meant for one open wait, which has not been answered.' },
    { at: 'answered', means: 'The answer to its sender was given to the connection.' },
    {
      at: 'wait_ended decided',
      means: 'The receiver’s connection took it; that it was handed over is not written.',
    },
    { at: 'wait_ended durable', means: 'That it was handed over is in the journal.' },
  ],
  exit: [
    {
      at: 'agent_exited decided',
      means: 'The agent is gone and the keeper has recorded how; the journal knows nothing of it.',
    },
    {
      at: 'agent_exited durable',
      means:
        'Its end is in the journal; what the keeper keeps of it is still there, its secret still counts.',
    },
    {
      at: 'releasing',
      means: 'What the keeper kept of it is set aside to be deleted; it is not deleted.',
    },
    { at: 'released', means: 'What the keeper kept of it is gone; its secret still counts.' },
  ],
  close: [
    { at: 'session_stopping decided', means: 'Somebody asked for the end; nothing is written.' },
    { at: 'session_stopping durable', means: 'It is in the journal; no agent was told.' },
    { at: 'session_ended decided', means: 'All agents are gone; the session’s end is not written.' },
    { at: 'session_ended durable', means: 'Its end is in the journal; nobody has heard of it.' },
    { at: 'session_closed decided', means: 'Its hold is over; that it is closed is not written.' },
    { at: 'session_closed durable', means: 'It is closed; its secrets are still sealed in the vault.' },
    { at: 'erased', means: 'Its secrets are erased; its output is not let go of.' },
    { at: 'namespace_closed decided', means: 'The namespace it was the last of is still there.' },
    { at: 'namespace_closed durable', means: 'The namespace is closed too; nobody has heard of it.' },
  ],
  delivery: [
    { at: 'due', means: 'What the webhook is owed is known; nothing was sent.' },
    { at: 'delivery_done decided', means: 'The receiver took it; that it did is not written.' },
    { at: 'delivery_done durable', means: 'That it did is in the journal; the webhook owes one thing less.' },
    { at: 'outbox_finished decided', means: 'Nothing more is owed; that is not written.' },
    { at: 'outbox_finished durable', means: 'The webhook’s stream is closed; the server does not know.' },
  ],
  keeper: [
    { at: 'spawned', means: 'The program runs; no folder says what it is, the server was told nothing.' },
    { at: 'recorded', means: 'Its folder says what it is; the server was told nothing.' },
    { at: 'ended', means: 'Its end was seen; it is not on the disk.' },
    { at: 'end recorded', means: 'Its end is on the disk; the server was told nothing.' },
  ],
} as const satisfies Readonly<Record<Path, readonly Step[]>>;

type At = (typeof STEPS)[Path][number]['at'];

/**
 * Where the program says that it has come to a step. `decided` and `durable` are said by the journal of the facts it is
 * given: before they are written, and once they are and nobody knows it yet.
 */
export type Place = 'decided' | 'durable' | Exclude<At, `${string} decided` | `${string} durable`>;

/** The program has come to a place. `subject`: the facts (`decided`, `durable`), or nothing. Does nothing. */
export function failpoint(_place: Place, _subject?: readonly JournalEvent[]): void {
  // Whoever tests puts another module here.
}
