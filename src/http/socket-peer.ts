/**
 * One websocket reader: frames are written straight to its connection, and what it has not taken yet is bounded. Whoever
 * writes more must wait for `drained`; a reader that takes nothing for too long is cut off with the place to come back to.
 * Source: docs/wire.md, "Sockets".
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { PING } from './socket-frame.ts';

/** Bytes that may wait for one reader; a single larger frame waits alone. */
export const MOST_WAITING = 256 * 1024;

/** Looks at a slow reader before it is cut off. */
const STEPS = 5;

/** Why a socket is closed. The numbers are of the wire. */
export const CLOSE = {
  /** The session is gone and everything was sent. */
  done: 1000,
  /** The server closes. */
  goingAway: 1001,
  /** Something failed here. */
  failed: 1011,
  /** The reader is too slow; the reason says where to go on. */
  tooSlow: 4008,
} as const;

/** Ms. */
export interface SocketOptions {
  /** Between pings. */
  readonly pingEvery: number;
  /** A peer that sends nothing (no pong either) for so long is dropped. */
  readonly silence: number;
  /** A reader that takes nothing of what waits for so long is cut off. */
  readonly patience: number;
}

export const SOCKET_DEFAULTS: SocketOptions = { pingEvery: 5_000, silence: 15_000, patience: 10_000 };

/** A reader. */
export class Peer {
  private heardAt: number;
  private bytesRead = 0;
  private takenBefore = 0;
  private corked = false;

  constructor(
    private readonly ws: WebSocket,
    private readonly socket: Socket,
    private readonly patience: number,
    now: number,
  ) {
    this.heardAt = now;
  }

  get open(): boolean {
    return this.ws.readyState === this.ws.OPEN;
  }

  /** Too much waits: write nothing more before `drained`. */
  get full(): boolean {
    return this.socket.writableLength > MOST_WAITING;
  }

  /** Whole frames. */
  write(frames: Buffer): void {
    if (this.open) this.socket.write(frames);
  }

  /** As `write`; what is written in one go of the caller leaves in one go too. */
  writeSoon(frames: Buffer): void {
    if (!this.open) return;
    if (!this.corked) {
      this.corked = true;
      this.socket.cork();
      setImmediate(() => {
        this.corked = false;
        this.socket.uncork();
      });
    }
    this.socket.write(frames);
  }

  /** True when there is room; false when the reader is gone, or took nothing for longer than patience lasts. */
  async drained(): Promise<boolean> {
    while (this.open && this.full) {
      if (!(await this.progress())) return false;
    }
    return this.open;
  }

  close(code: number, reason: string): void {
    if (this.open) this.ws.close(code, reason);
  }

  destroy(): void {
    this.ws.terminate();
  }

  /** Pings; drops a peer that was silent for too long. `now`: ms. */
  beat(now: number, silence: number): void {
    const { taken, socket } = this;
    // Who takes what waits for it lives: it was not pinged, and may have nothing to say.
    if (socket.bytesRead !== this.bytesRead || (socket.writableLength > 0 && taken !== this.takenBefore)) {
      this.bytesRead = socket.bytesRead;
      this.heardAt = now;
    }
    this.takenBefore = taken;
    if (now - this.heardAt >= silence) return this.destroy();
    // Behind what was not taken yet a ping would only wait as well.
    if (this.socket.writableLength === 0) this.write(PING);
  }

  /**
   * Resolves with true as soon as everything written was taken, with false when nothing was for as long as patience
   * lasts. That is looked at in steps, so that time in which we were too busy ourselves to see it counts little.
   */
  private progress(): Promise<boolean> {
    return new Promise((resolve) => {
      let taken = this.taken;
      let left = STEPS;
      const end = (drained: boolean): void => {
        clearInterval(timer);
        this.socket.off('drain', onDrain);
        this.socket.off('close', onClose);
        resolve(drained);
      };
      const onDrain = (): void => end(true);
      const onClose = (): void => end(false);
      const timer = setInterval(() => {
        left = this.taken > taken ? STEPS : left - 1;
        taken = this.taken;
        if (left === 0) end(false);
      }, this.patience / STEPS);
      this.socket.on('drain', onDrain);
      this.socket.on('close', onClose);
    });
  }

  /** Bytes that have left us. */
  private get taken(): number {
    return this.socket.bytesWritten - this.socket.writableLength;
  }
}
