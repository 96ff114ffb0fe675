/** The output store in memory: for tests, demos and servers that keep nothing. Bounded per agent and in all. */
import type { NewLine, OutputLine, OutputStore } from '../ports/output.ts';
import type { Place } from '../ports/runtime.ts';
import { Followers } from './followers.ts';
import { cutText, printedOf } from './line-code.ts';
import { mergeLast } from './merge.ts';
import { isSessionName } from './session-name.ts';

/** How much output is kept. */
export interface MemoryOutputOptions {
  /** Kept of one agent, bytes. Default 1 MiB. */
  readonly maxBytesPerAgent?: number;
  /** Kept in all, bytes; beyond it the sessions that were released first are forgotten. Default 64 MiB. */
  readonly maxBytes?: number;
}

/** What a line costs besides its text, bytes. */
const COST_OF_A_LINE = 128;

interface Kept {
  lines: OutputLine[];
  /** Lines before this place were rolled away. */
  first: number;
  bytes: number;
}

interface Session {
  next: number;
  dropped: number;
  readonly agents: Map<string, Kept>;
  /** The place of each agent's newest line that had one. */
  readonly places: Map<string, { readonly attempt: number; readonly at: Place }>;
}

/** An output store that ends with the process. */
export function openMemoryOutput(options: MemoryOutputOptions = {}): OutputStore {
  return new MemoryOutput(options.maxBytesPerAgent ?? 1024 * 1024, options.maxBytes ?? 64 * 1024 * 1024);
}

class MemoryOutput implements OutputStore {
  private readonly sessions = new Map<string, Session>();
  private readonly released = new Set<string>();
  private readonly followers = new Followers();
  private bytes = 0;

  constructor(
    private readonly maxBytesPerAgent: number,
    private readonly maxBytes: number,
  ) {}

  append(session: string, given: NewLine): void {
    const known = this.session(session);
    if (!known) return;
    const { at, ...line } = given;
    if (at !== undefined) known.places.set(line.agent, { attempt: line.attempt, at });
    const { text, lost } = cutText(line.text);
    known.dropped += lost;
    const numbered: OutputLine = { number: known.next, ...line, text };
    known.next += 1;
    let kept = known.agents.get(line.agent);
    if (!kept) known.agents.set(line.agent, (kept = { lines: [], first: 0, bytes: 0 }));
    kept.lines.push(numbered);
    kept.bytes += costOf(numbered);
    this.bytes += costOf(numbered);
    while (kept.bytes > this.maxBytesPerAgent && kept.lines.length - kept.first > 1) {
      const gone = kept.lines[kept.first]!;
      kept.first += 1;
      kept.bytes -= costOf(gone);
      this.bytes -= costOf(gone);
      known.dropped += printedOf(gone.text);
    }
    if (kept.first > 1_000 && kept.first > kept.lines.length / 2) {
      kept.lines = kept.lines.slice(kept.first);
      kept.first = 0;
    }
    this.makeRoom();
    this.followers.tell(session, numbered);
  }

  countDropped(session: string, bytes: number): void {
    const known = this.session(session);
    if (known) known.dropped += bytes;
  }

  async read(session: string, after: number, limit: number, agent?: string): Promise<readonly OutputLine[]> {
    const lines = this.linesOf(session, agent).map((one) => one.slice(placeAfter(one, after)));
    const all = lines.flat().sort((a, b) => a.number - b.number);
    return all.slice(0, Math.max(0, limit));
  }

  async tail(session: string, limit: number, agent?: string): Promise<readonly OutputLine[]> {
    return mergeLast(this.linesOf(session, agent), Math.max(0, limit));
  }

  async place(session: string, agent: string, attempt: number): Promise<Place | undefined> {
    const newest = this.sessions.get(session)?.places.get(agent);
    return newest?.attempt === attempt ? newest.at : undefined;
  }

  follow(session: string, take: (line: OutputLine) => void): () => void {
    return this.followers.add(session, take);
  }

  followAll(take: (session: string, line: OutputLine) => void): () => void {
    return this.followers.addForAll(take);
  }

  async droppedBytes(session: string): Promise<number> {
    return this.sessions.get(session)?.dropped ?? 0;
  }

  async flush(): Promise<void> {
    // There is no disk.
  }

  async release(session: string): Promise<void> {
    if (this.sessions.has(session)) this.released.add(session);
  }

  async purge(session: string): Promise<void> {
    for (const { bytes } of this.sessions.get(session)?.agents.values() ?? []) this.bytes -= bytes;
    this.sessions.delete(session);
    this.released.delete(session);
  }

  async close(): Promise<void> {
    this.sessions.clear();
    this.released.clear();
    this.bytes = 0;
  }

  private session(id: string): Session | undefined {
    if (!isSessionName(id)) return undefined;
    let known = this.sessions.get(id);
    if (!known)
      this.sessions.set(id, (known = { next: 1, dropped: 0, agents: new Map(), places: new Map() }));
    this.released.delete(id);
    return known;
  }

  private linesOf(session: string, agent: string | undefined): OutputLine[][] {
    const agents = this.sessions.get(session)?.agents ?? new Map<string, Kept>();
    return [...agents]
      .filter(([name]) => agent === undefined || name === agent)
      .map(([, { lines, first }]) => lines.slice(first));
  }

  private makeRoom(): void {
    for (const session of this.released) {
      if (this.bytes <= this.maxBytes) return;
      void this.purge(session);
    }
  }
}

function costOf(line: OutputLine): number {
  return line.text.length + COST_OF_A_LINE;
}

/** Index of the first line with a number above `after`. */
function placeAfter(lines: readonly OutputLine[], after: number): number {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lines[middle]!.number > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
