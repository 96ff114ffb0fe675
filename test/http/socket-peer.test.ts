/** Who of those on a socket is dropped for silence, and who is not. */
import { describe, expect, it } from 'vitest';
import { Peer } from '../../src/http/socket-peer.ts';

type Parts = ConstructorParameters<typeof Peer>;

/** A peer on a connection whose counters are set by hand; `dropped` once it was given up. */
function peer(): { beat(now: number): boolean; read: number; written: number; waiting: number } {
  let open = true;
  const connection = { read: 0, written: 0, waiting: 0 };
  const ws = { OPEN: 1, readyState: 1, terminate: () => (open = false) };
  const socket = {
    get bytesRead() {
      return connection.read;
    },
    get bytesWritten() {
      return connection.written + connection.waiting;
    },
    get writableLength() {
      return connection.waiting;
    },
    write: () => true,
  };
  const subject = new Peer(ws as unknown as Parts[0], socket as unknown as Parts[1], 10_000, 0);
  return Object.assign(connection, {
    beat: (now: number) => {
      subject.beat(now, 15_000);
      return open;
    },
  });
}

describe('a peer', () => {
  it('that says nothing for long is dropped', () => {
    const silent = peer();
    expect([5_000, 10_000, 15_000].map((now) => silent.beat(now))).toEqual([true, true, false]);
  });

  it('that answers is kept', () => {
    const answering = peer();
    for (let now = 5_000; now < 100_000; now += 5_000) {
      answering.read += 6;
      expect(answering.beat(now)).toBe(true);
    }
  });

  it('that always has something waiting, and takes it, is kept: it is never pinged', () => {
    const busy = peer();
    busy.waiting = 1_000;
    for (let now = 5_000; now < 100_000; now += 5_000) {
      busy.written += 10_000;
      expect(busy.beat(now)).toBe(true);
    }
  });

  it('that takes nothing of what waits is dropped', () => {
    const stuck = peer();
    stuck.written = stuck.waiting = 1_000;
    expect([5_000, 10_000, 15_000, 20_000].map((now) => stuck.beat(now))).toEqual([true, true, true, false]);
  });
});
