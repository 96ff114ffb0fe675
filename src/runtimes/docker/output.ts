/**
 * A container's output, from its first byte to its last. O1: the attached stream is the record; logs are read only
 * from where it was cut. O2: nothing is read away before somebody listens; what comes then is held, and the container
 * made to wait beyond a bound. O3: in one turn of the event loop at most a fixed amount is worked on, and while lines
 * wait at the gate that at a bounded pace. O4: the end of a stream is no exit, and no end of the last line: that is for
 * `finish`. O5: heard is what was handed on or given up; what waits at a cut comes again from the logs.
 */
import type { IncomingMessage } from 'node:http';
import type { Line } from '../../ports/runtime.ts';
import { LineSplitter } from '../lines.ts';
import { OutputGate } from '../output-gate.ts';
import type { OutputLimits } from '../output-gate.ts';
import { CatchUp, LineMemory } from './catch-up.ts';
import type { LogPlace } from './catch-up.ts';
import { FrameParser } from './frames.ts';

/** Where a container's output goes. */
export interface OutputOptions {
  /** `time`: when it was said, as far as that is known, wall-clock ms. `at`: the place after it. */
  take(io: Line['io'], bytes: Buffer, time: number, at: string): void;
  /** Bytes that came too fast, or of a line that is too long. */
  readonly dropped: (bytes: number) => void;
  /** A stream ended or was cut: whoever asks now may learn why. */
  ended(): void;
  readonly now: () => number;
  readonly limits: OutputLimits;
}

/** Worked on in one turn, bytes. */
const TURN = 128 * 1024;
/** Between two turns while lines wait, ms: 32 MiB/s at most. */
const FLOOD_PAUSE = 4;
/** Held before anybody listens, bytes. */
const HELD = 256 * 1024;
/** While lines wait, the place in the logs is noted this often, lines; those after it are counted. */
const NOTED_EVERY = 1_024;

type Splitters = Readonly<Record<Line['io'], LineSplitter>>;

/** Reads one container's output. */
export class ContainerOutput {
  /** What was heard so far, to go on from. */
  readonly memory = new LineMemory();
  private readonly gate: OutputGate;
  private splitters: Splitters;
  /** Lines that came to the gate, and those it let through or gave up. */
  private came = 0;
  private left = 0;
  /** Places in the logs to go to once so many lines have left (O5). */
  private places: { readonly after: number; readonly place: LogPlace }[] = [];
  private stream: IncomingMessage | undefined;
  private waiting: { push: (chunk: Buffer) => void; chunk: Buffer }[] | undefined = [];
  private waitingBytes = 0;
  private inThisTurn = 0;
  private total = 0;
  private streamEnded: Promise<void> = Promise.resolve();
  private isFinished = false;
  /** When what is being read was said; undefined: now. */
  private saidAt: number | undefined;

  constructor(private readonly options: OutputOptions) {
    this.gate = new OutputGate(
      options.limits,
      options.now,
      (io, bytes, time) => {
        this.leave(io, bytes, time);
        options.take(io, bytes, time, this.memory.place);
      },
      (io, bytes, time) => {
        this.leave(io, bytes, time);
        options.dropped(bytes.length + 1);
      },
    );
    this.splitters = this.newSplitters();
  }

  /** Reads the stream that was attached before the container started. */
  follow(stream: IncomingMessage): void {
    const parser = new FrameParser((io, bytes) => this.splitters[io].push(bytes));
    this.read(stream, (chunk) => parser.push(chunk));
  }

  /** Goes on after a cut with a stream of logs (with timestamps, from `memory.since()` on; `skip`: lines of it that were heard, where they were counted). */
  resume(stream: IncomingMessage, skip?: Record<Line['io'], number>): void {
    this.cut();
    const take = (io: Line['io'], bytes: Buffer, whole: boolean, time: number): void => {
      this.saidAt = Number.isNaN(time) ? undefined : time;
      this.splitters[io].push(bytes);
      if (whole) this.splitters[io].push(NEWLINE);
    };
    const catchUp = new CatchUp(this.memory, take, skip, (place) => this.placed(place));
    const parser = new FrameParser((io, bytes, last) => catchUp.push(io, bytes, last));
    this.read(stream, (chunk) => parser.push(chunk));
  }

  /** Somebody listens from now on; what was held comes first. */
  open(): void {
    const held = this.waiting;
    if (held === undefined) return;
    this.waiting = undefined;
    for (const { push, chunk } of held) push(chunk);
    this.stream?.resume();
  }

  /** True while a stream is being read. */
  get isFlowing(): boolean {
    return this.stream !== undefined;
  }

  /** Bytes that came so far. */
  get received(): number {
    return this.total;
  }

  /** Resolves when the stream has been read to its end, or nothing came for `quietMs`. */
  async drained(quietMs: number): Promise<void> {
    let over = false;
    const ended = this.streamEnded.then(() => {
      over = true;
    });
    for (let seen = -1; !over && seen !== this.total;) {
      seen = this.total;
      await Promise.race([ended, quiet(quietMs)]);
    }
  }

  /** The container has ended and everything was read: a last line without an end is a line too. */
  async finish(): Promise<void> {
    if (this.isFinished) return;
    this.isFinished = true;
    this.stream?.destroy();
    this.splitters.out.end();
    this.splitters.error.end();
    await this.gate.finish();
  }

  /** Gives it up: what was not read is lost. */
  abandon(): void {
    this.isFinished = true;
    this.waiting = undefined;
    this.stream?.destroy();
    this.gate.clear();
  }

  /** What is half a line comes again as a whole one, and what waits comes again (O5). */
  private cut(): void {
    this.stream?.destroy();
    this.splitters = this.newSplitters();
    this.gate.clear();
    this.came = this.left = 0;
    this.places = [];
  }

  /** A line has left the gate, one way or the other. */
  private leave(io: Line['io'], bytes: Buffer, time: number): void {
    this.memory.add(io, bytes, time);
    this.left += 1;
    while (this.places[0] !== undefined && this.places[0].after <= this.left) {
      this.memory.goTo(this.places.shift()!.place);
    }
  }

  private placed(place: LogPlace): void {
    if (!this.gate.isShut) this.memory.goTo(place);
    else if (this.came - (this.places.at(-1)?.after ?? 0) >= NOTED_EVERY)
      this.places.push({ after: this.came, place });
  }

  private newSplitters(): Splitters {
    const splitter = (io: Line['io']): LineSplitter =>
      new LineSplitter((line) => {
        this.came += 1;
        this.gate.push(io, line, this.saidAt ?? this.options.now());
      }, this.options.dropped);
    return { out: splitter('out'), error: splitter('error') };
  }

  private read(stream: IncomingMessage, push: (chunk: Buffer) => void): void {
    this.stream = stream;
    this.streamEnded = new Promise((resolve) => {
      stream.once('close', () => {
        if (this.stream === stream) this.stream = undefined;
        resolve();
        if (!this.isFinished) this.options.ended();
      });
    });
    stream.on('data', (chunk: Buffer) => {
      if (this.isFinished || this.stream !== stream) return;
      this.total += chunk.length;
      if (this.waiting !== undefined) {
        this.waiting.push({ push, chunk });
        this.waitingBytes += chunk.length;
        if (this.waitingBytes > HELD) stream.pause();
        return;
      }
      push(chunk);
      this.inThisTurn += chunk.length;
      if (this.inThisTurn < TURN) return;
      stream.pause();
      const goOn = (): void => {
        this.inThisTurn = 0;
        stream.resume();
      };
      if (this.gate.isShut) setTimeout(goOn, FLOOD_PAUSE);
      else setImmediate(goOn);
    });
  }
}

const NEWLINE = Buffer.from('\n');

function quiet(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(() => setImmediate(() => setImmediate(resolve)), ms);
  });
}
