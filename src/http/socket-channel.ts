/**
 * The events of one session for all its socket readers: each event is encoded once, and what happens in one turn of the
 * event loop goes out as one write per reader. A reader that is behind (it replays, or it is slow) is no member: it
 * reads the journal at its own pace from its own place, and joins when it has caught up. So a slow reader costs the
 * others nothing, nobody misses an event, and none comes twice.
 *
 * - C1 Every member has been sent exactly the events up to `flushed`, or stands behind that by choice (`seen` is larger).
 * - C2 Joining and flushing happen in one turn each: a reader joins only where `flushed` is not ahead of what it has seen.
 */
import type { SessionKey, SessionState } from '../domain/state.ts';
import { wireEvent } from '../domain/wire-event.ts';
import type { Coral } from '../engine/coral.ts';
import type { JournalRecord } from '../ports/journal.ts';
import type { Log } from '../ports/log.ts';
import { textFrame } from './socket-frame.ts';
import { CLOSE, MOST_WAITING, type Peer } from './socket-peer.ts';

/** Records read from the journal at once. */
const PAGE = 256;

interface Encoded {
  readonly seq: number;
  /** Absent for a fact that is not sent on this stream. */
  readonly frame?: Buffer;
}

interface Reader {
  readonly peer: Peer;
  /** Seq up to which everything was written to it. */
  seen: number;
}

/** One session's events, as seen with or without those that are only sent on request. */
export class Channel {
  private readonly members = new Set<Reader>();
  private readonly state: SessionState;
  private readonly leave = new AbortController();
  private pending: Encoded[] = [];
  private scheduled = false;
  private behind = 0;
  private flushed: number;
  /** Nothing comes any more; why. */
  private over: number | undefined;

  /** Throws `unknown_session`. The subscription stands when this returns. */
  constructor(
    private readonly coral: Coral,
    private readonly key: SessionKey,
    private readonly all: boolean,
    /** Called once, when nobody needs it any more. */
    private readonly idle: () => void,
    private readonly log: Log,
  ) {
    this.state = coral.session(key);
    this.flushed = this.state.seq;
    void this.run(coral.feed.session(key, this.flushed, this.leave.signal));
  }

  /** `after`: the seq to go on behind; undefined: only what comes next. Resolves when the reader has left. */
  join(peer: Peer, after: number | undefined): void {
    // What is on its way to be sent happened before this reader came.
    const reader = { peer, seen: after ?? this.state.seq };
    if (this.flushed <= reader.seen && this.over === undefined) this.members.add(reader);
    else void this.catchUp(reader);
  }

  leaveBy(peer: Peer): void {
    for (const reader of this.members) if (reader.peer === peer) this.members.delete(reader);
    this.rest();
  }

  private rest(): void {
    if (this.members.size > 0 || this.behind > 0 || this.leave.signal.aborted) return;
    this.leave.abort();
    this.idle();
  }

  private async run(records: AsyncIterable<JournalRecord>): Promise<void> {
    let code: number = CLOSE.goingAway;
    try {
      for await (const record of records) {
        this.pending.push(encode(record, this.state, this.all));
        if (record.event.type === 'session_closed') code = CLOSE.done;
        if (this.scheduled) continue;
        this.scheduled = true;
        setImmediate(() => this.flush());
      }
    } catch (error) {
      code = CLOSE.failed;
      this.failed(error);
    }
    this.flush();
    this.over = code;
    for (const { peer } of this.members) peer.close(code, reasonOf(code));
    this.members.clear();
    this.rest();
  }

  private flush(): void {
    this.scheduled = false;
    const batch = this.pending;
    this.pending = [];
    for (const part of parts(batch)) {
      for (const reader of this.members) {
        if (reader.seen >= part.last) continue;
        const frames = reader.seen < part.first ? part.frames : joined(part.encoded, reader.seen);
        if (frames.length > 0) reader.peer.write(frames);
        reader.seen = part.last;
        if (reader.peer.full) {
          this.members.delete(reader);
          void this.catchUp(reader);
        }
      }
      this.flushed = part.last;
    }
  }

  private cutOff({ peer, seen }: Reader): void {
    if (!peer.open) return;
    this.log.info('A socket reader is too slow and is cut off.', {
      session: this.key.sessionId,
      after: seen,
    });
    peer.close(CLOSE.tooSlow, `after=${seen}`);
  }

  private failed(error: unknown): void {
    this.log.error('The events of a session could not be sent.', {
      session: this.key.sessionId,
      reason: String(error),
    });
  }

  /** Brings a reader to where the others are, out of the journal. */
  private async catchUp(reader: Reader): Promise<void> {
    const { peer } = reader;
    this.behind += 1;
    try {
      for (;;) {
        if (!(await peer.drained())) return this.cutOff(reader);
        if (this.over === undefined && this.flushed <= reader.seen) {
          this.members.add(reader);
          return;
        }
        const records = await this.coral.archive.records(this.key, reader.seen, PAGE);
        for (const part of parts(records.map((record) => encode(record, this.state, this.all)))) {
          if (!(await peer.drained())) return this.cutOff(reader);
          if (part.frames.length > 0) peer.write(part.frames);
          reader.seen = part.last;
        }
        if (records.length === 0 && this.over !== undefined) {
          return peer.close(this.over, reasonOf(this.over));
        }
      }
    } catch (error) {
      this.failed(error);
      peer.close(CLOSE.failed, 'the journal cannot be read');
    } finally {
      this.behind -= 1;
      this.rest();
    }
  }
}

function encode(record: JournalRecord, state: SessionState, all: boolean): Encoded {
  const event = wireEvent(record, state, all);
  return { seq: record.seq, ...(event !== undefined && { frame: textFrame(JSON.stringify(event)) }) };
}

interface Part {
  readonly first: number;
  readonly last: number;
  readonly encoded: readonly Encoded[];
  readonly frames: Buffer;
}

/** Events in pieces that one reader may have waiting; a single larger event is a piece of its own. */
function* parts(events: readonly Encoded[]): Generator<Part, void> {
  let piece: Encoded[] = [];
  let size = 0;
  for (const event of events) {
    const bytes = event.frame?.length ?? 0;
    if (piece.length > 0 && size + bytes > MOST_WAITING) {
      yield part(piece);
      piece = [];
      size = 0;
    }
    piece.push(event);
    size += bytes;
  }
  if (piece.length > 0) yield part(piece);
}

function part(encoded: readonly Encoded[]): Part {
  return {
    first: encoded[0]?.seq ?? 0,
    last: encoded.at(-1)?.seq ?? 0,
    encoded,
    frames: joined(encoded, 0),
  };
}

function joined(encoded: readonly Encoded[], after: number): Buffer {
  const frames = encoded.flatMap(({ seq, frame }) => (seq > after && frame !== undefined ? [frame] : []));
  return frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames);
}

function reasonOf(code: number): string {
  if (code === CLOSE.done) return 'the session is closed';
  return code === CLOSE.goingAway ? 'the server closes' : 'the events cannot be read';
}
