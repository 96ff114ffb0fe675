/**
 * Reads one output pipe of a child. P1: nothing is read away before somebody attached (Node empties unread pipes
 * when a child exits, so the pump holds what comes). P2: in one turn of the event loop at most a fixed amount is
 * worked on, so that an agent that floods does not hold up the others. P3: while lines wait at the gate, the pipe is
 * read at a bounded pace, so that a flood costs a part of a processor and not a whole one.
 */
import type { Readable } from 'node:stream';
import type { Line } from '../../ports/runtime.ts';
import { LineSplitter } from '../lines.ts';
import type { OutputGate } from '../output-gate.ts';

/** Worked on in one turn, bytes. */
const TURN = 128 * 1024;
/** Between two turns of a flood, ms: 32 MiB/s at most. */
const FLOOD_PAUSE = 4;
/** Held before somebody attached, bytes, as long as the child lives; it is made to wait beyond that. */
const HELD = 256 * 1024;

/** Turns one pipe into lines (P1 to P3). */
export class Pump {
  /** Resolves when the pipe is at its end, or was given up. */
  readonly closed: Promise<void>;
  private readonly splitter: LineSplitter;
  private waiting: Buffer[] | undefined = [];
  private waitingBytes = 0;
  private inThisTurn = 0;
  private total = 0;

  constructor(
    private readonly stream: Readable,
    io: Line['io'],
    private readonly gate: OutputGate,
    dropped: (bytes: number) => void,
    now: () => number,
  ) {
    this.splitter = new LineSplitter((line) => gate.push(io, line, now()), dropped);
    stream.on('data', (chunk: Buffer) => this.receive(chunk));
    stream.on('error', () => stream.destroy());
    this.closed = new Promise((resolve) => {
      stream.once('close', () => {
        this.splitter.end();
        resolve();
      });
    });
  }

  /** Bytes that came so far. */
  get received(): number {
    return this.total;
  }

  /** Somebody listens from now on; what was held comes first. */
  open(): void {
    const held = this.waiting;
    if (!held) return;
    this.waiting = undefined;
    for (const chunk of held) this.splitter.push(chunk);
    this.stream.resume();
  }

  /** Gives the pipe up: what was read is still handed over, what was not is lost. */
  giveUp(): void {
    this.stream.destroy();
  }

  private receive(chunk: Buffer): void {
    this.total += chunk.length;
    if (this.waiting) {
      this.waiting.push(chunk);
      this.waitingBytes += chunk.length;
      if (this.waitingBytes > HELD) this.stream.pause();
      return;
    }
    this.splitter.push(chunk);
    this.inThisTurn += chunk.length;
    if (this.inThisTurn < TURN) return;
    this.stream.pause();
    const goOn = (): void => {
      this.inThisTurn = 0;
      this.stream.resume();
    };
    if (this.gate.isShut) setTimeout(goOn, FLOOD_PAUSE);
    else setImmediate(goOn);
  }
}
