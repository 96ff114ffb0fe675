/** What every journal says when it turns an append or a drop away, in the same words. */
import { JournalError } from '../ports/journal.ts';
import type { Append } from '../ports/journal.ts';

/** The stream is elsewhere than the writer thought: somebody else wrote to it, or the writer's state is stale. */
export function conflict(append: Append, lastSeq: number): JournalError {
  return new JournalError(
    'conflict',
    `The stream ${append.stream} ends at record ${lastSeq}, not at ${append.expectedSeq} as the writer expected: read what was added and decide again.`,
  );
}

/** The first append of a stream came without its header. */
export function headerMissing(append: Append): JournalError {
  return new JournalError(
    'conflict',
    `The stream ${append.stream} does not exist, and its first append brought no header to open it with.`,
  );
}

/** A stream that is open cannot be dropped. */
export function stillOpen(stream: string): JournalError {
  return new JournalError(
    'conflict',
    `The stream ${stream} is still open and cannot be dropped: close its session first.`,
  );
}

/** This journal object was closed. */
export function journalClosed(name: string): JournalError {
  return new JournalError('closed', `The journal ${name} was closed and takes no more requests.`);
}
