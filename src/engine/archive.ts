/** Sessions as the journal tells them, closed ones included. */
import { sessionStream } from '../domain/event.ts';
import { Refusal } from '../domain/refusal.ts';
import type { SessionKey, SessionState } from '../domain/state.ts';
import {
  JournalError,
  type Journal,
  type JournalRecord,
  type StreamPage,
  type StreamQuery,
} from '../ports/journal.ts';
import type { Archive } from './coral.ts';
import { readSession } from './recovery.ts';

/** The archive, read off the journal at every call. */
export class JournalArchive implements Archive {
  constructor(private readonly journal: Journal) {}

  list(query: StreamQuery): Promise<StreamPage> {
    return this.journal.streams({ ...query, kind: 'session' });
  }

  async state(key: SessionKey): Promise<SessionState> {
    const state = await this.fold(key);
    if (state?.namespace !== key.namespace) throw unknown(key);
    return state;
  }

  private async fold(key: SessionKey): Promise<SessionState | undefined> {
    try {
      return await readSession(this.journal, sessionStream(key.sessionId));
    } catch (error) {
      if (error instanceof JournalError) throw error;
      throw new Refusal(
        'session_damaged',
        `The records of session ${key.sessionId} do not add up to a session: restore a backup of the journal to have it back.`,
      );
    }
  }

  async records(key: SessionKey, after: number, limit: number): Promise<readonly JournalRecord[]> {
    const [first] = await this.journal.read(sessionStream(key.sessionId), 0, 1);
    if (first?.event.type !== 'session_opened' || first.event.namespace !== key.namespace) throw unknown(key);
    return this.journal.read(sessionStream(key.sessionId), after, limit);
  }
}

function unknown(key: SessionKey): Refusal {
  return new Refusal(
    'unknown_session',
    `The archive has no session ${key.sessionId} in namespace "${key.namespace}".`,
  );
}
