/**
 * The one table from the codes of refusals to what an agent's model is told: the refusal's own sentence, and what to
 * do about it where that is not obvious.
 */
import { isRefusal, type RefusalCode } from '../domain/refusal.ts';

interface Advice {
  /** What the model can do: a sentence of its own, absent where the refusal says enough or nothing can be done. */
  readonly advice?: string;
}

const NONE: Advice = {};
const STOP: Advice = { advice: 'Finish your work and stop.' };
const LATER: Advice = { advice: 'Nothing was done; try again in a minute.' };

const ADVICE: Readonly<Record<RefusalCode, Advice>> = {
  invalid_request: NONE,
  invalid_graph: NONE,
  unknown_agent: NONE,
  not_supported: NONE,
  unknown_namespace: NONE,
  namespace_exists: NONE,
  unknown_session: STOP,
  session_not_pending: NONE,
  session_ended: STOP,
  agent_not_in_session: NONE,
  agent_not_running: STOP,
  unknown_thread: NONE,
  thread_closed: NONE,
  not_participating: { advice: 'A participant can add an agent with coral_add_participant.' },
  already_participating: NONE,
  invalid_mention: NONE,
  unknown_mention: NONE,
  unknown_message: NONE,
  unknown_team: NONE,
  unknown_delivery: NONE,
  stale: STOP,
  conflict: { advice: 'Try again.' },
  idempotency_conflict: NONE,
  limit_exceeded: NONE,
  too_large: NONE,
  not_gone: NONE,
  session_damaged: STOP,
  docker_unavailable: NONE,
  storage_full: LATER,
  storage_unavailable: LATER,
  shutting_down: STOP,
};

/** What a failed call says; `expected` is false for what nobody foresaw, which belongs in the log. */
export interface Told {
  readonly message: string;
  readonly expected: boolean;
}

/** Turns whatever a call threw into a sentence; nothing of an unforeseen error is shown. */
export function tell(error: unknown): Told {
  if (isRefusal(error)) {
    const issues = error.issues?.map((issue) => `${issue.path}: ${issue.message}`).join('; ') ?? '';
    const said = issues === '' ? error.message : `${error.message.replace(/\.$/, '')} (${issues}).`;
    const { advice } = ADVICE[error.code];
    return { message: advice === undefined ? said : `${said} ${advice}`, expected: true };
  }
  // A journal that cannot be written is the operator's trouble; the agent can only come back later.
  if (error instanceof Error && error.name === 'JournalError') {
    return {
      message:
        'The server cannot write anything down at the moment, so nothing was done. Try again in a minute.',
      expected: false,
    };
  }
  return { message: 'The server failed to do this. Try again, or do without it.', expected: false };
}
