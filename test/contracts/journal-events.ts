/** Streams and events to fill a journal with. */
import type { SessionEvent } from '../../src/domain/event.ts';
import type { Append, StreamHeader } from '../../src/ports/journal.ts';

export const header = (id: string, more: Partial<StreamHeader> = {}): StreamHeader => ({
  kind: 'session',
  id,
  namespace: 'default',
  annotations: {},
  ...more,
});

/** A message event whose text is `text`. */
export const said = (text: string): SessionEvent => ({
  type: 'message_sent',
  threadId: 'thread-1',
  messageId: `message-${text}`,
  sender: 'alice',
  text,
  mentions: ['bob'],
});

/** The first append of a session's stream. */
export const opening = (id: string, more: Partial<Append> & { header?: StreamHeader } = {}): Append => ({
  stream: `session/${id}`,
  expectedSeq: 0,
  time: 1000,
  events: [said('first')],
  header: header(id),
  ...more,
});
