/** Sessions as the journal tells them, closed ones included. */
import { sessionStream } from '../domain/event.ts';
import { Refusal } from '../domain/refusal.ts';
import type { SessionKey, SessionState } from '../domain/state.ts';
import type { Journal, JournalRecord, StreamPage, StreamQuery } from '../ports/journal.ts';
import type { Archive } from './coral.ts';
import { readSession } from './recovery.ts';

/** The archive, read off the journal at every call. */
export class JournalArchive implements Archive {
  constructor(private readonly journal: Journal) {}

  list(query: StreamQuery): Promise<StreamPage> {
    return this.journal.streams({ ...query, kind: 'session' });
  }

  async state(key: SessionKey): Promise<SessionState> {
    const state = await readSession(this.journal, sessionStream(key.sessionId));
    if (state?.namespace !== key.namespace) throw unknown(key);
    return state;
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
