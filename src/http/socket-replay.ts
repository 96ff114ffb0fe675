/** What a reader is sent that pulls at its own pace: streams of its own, and sessions that are over. */
import type { SessionKey } from '../domain/state.ts';
import { wireEvent } from '../domain/wire-event.ts';
import type { WireEvent } from '../domain/wire/event.ts';
import type { Coral } from '../engine/coral.ts';
import { textFrame } from './socket-frame.ts';
import { CLOSE, type Peer } from './socket-peer.ts';

/** Something to send, and where a reader that saw it goes on. */
export interface Placed {
  /** Whole frames. */
  readonly frames: Buffer;
  /** Absent where a stream cannot be resumed. */
  readonly place?: number;
}

/** Sent to one reader in one turn of the event loop, bytes. */
const TURN = 64 * 1024;

/**
 * Sends everything of `source` and closes the socket at its end. Frames go out together while there is room, and
 * others get their turns meanwhile; a reader that takes nothing for too long is cut off. Never rejects.
 */
export async function pump(
  peer: Peer,
  source: AsyncIterable<Placed>,
  { reason, failed }: { readonly reason: () => [number, string]; readonly failed: (error: unknown) => void },
): Promise<void> {
  let place: number | undefined;
  let inThisTurn = 0;
  try {
    for await (const item of source) {
      if (!(await peer.drained())) {
        peer.close(CLOSE.tooSlow, place === undefined ? 'too slow' : `after=${place}`);
        return;
      }
      peer.writeSoon(item.frames);
      place = item.place;
      inThisTurn += item.frames.length;
      if (inThisTurn < TURN) continue;
      inThisTurn = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    peer.close(...reason());
  } catch (error) {
    failed(error);
    peer.close(CLOSE.failed, 'the stream cannot be read');
  }
}

/** Records read from the journal at once. */
const PAGE = 256;

/** The events of a session that is over, behind `after`. Throws `unknown_session` at once, before there is a stream. */
export async function pastEvents(
  coral: Coral,
  key: SessionKey,
  after: number,
  all: boolean,
): Promise<AsyncIterable<Placed>> {
  const state = await coral.archive.state(key);
  return (async function* () {
    for (let seen = after; ;) {
      const records = await coral.archive.records(key, seen, PAGE);
      for (const record of records) {
        const event: WireEvent | undefined = wireEvent(record, state, all);
        if (event !== undefined) yield { frames: textFrame(JSON.stringify(event)), place: event.seq };
        seen = record.seq;
      }
      if (records.length === 0) return;
    }
  })();
}
