/**
 * The messages one agent may see and has not been handed yet: what makes waits lossless. Oldest first by ordinal;
 * taking the oldest, the oldest mention or the oldest of one sender costs the same however many there are.
 * Source: docs/wire.md, "Waits".
 */
import type { WaitFilter } from './event.ts';

/** One message of a session. */
export interface MessageRecord {
  readonly id: string;
  /** 1, 2, 3 … over the whole session. */
  readonly ordinal: number;
  readonly threadId: string;
  readonly sender: string;
  readonly text: string;
  readonly mentions: readonly string[];
  /** Wall-clock ms. */
  readonly time: number;
}

/** A queue sorted by ordinal: cheap at the head, possible in the middle, nothing kept of what left. */
class Queue {
  private items: (MessageRecord | undefined)[] = [];
  private head = 0;
  private live = 0;

  get size(): number {
    return this.live;
  }

  push(message: MessageRecord): void {
    const last = this.items[this.items.length - 1];
    this.items.push(message);
    this.live += 1;
    if (last !== undefined && last.ordinal > message.ordinal) {
      this.items = [...this].sort((a, b) => a.ordinal - b.ordinal);
      this.head = 0;
    }
  }

  /** Takes one message out; false when it is not there. */
  remove(ordinal: number): boolean {
    const index = this.indexOf(ordinal);
    if (index === undefined) return false;
    this.items[index] = undefined;
    this.live -= 1;
    this.skip();
    return true;
  }

  /** Takes out everything up to and including `ordinal`. */
  removeUpTo(ordinal: number): void {
    for (;;) {
      const first = this.items[this.head];
      if (first === undefined || first.ordinal > ordinal) return;
      this.items[this.head] = undefined;
      this.live -= 1;
      this.skip();
    }
  }

  *[Symbol.iterator](): IterableIterator<MessageRecord> {
    for (let index = this.head; index < this.items.length; index += 1) {
      const message = this.items[index];
      if (message !== undefined) yield message;
    }
  }

  private skip(): void {
    while (this.head < this.items.length && this.items[this.head] === undefined) this.head += 1;
    if (this.head === this.items.length) {
      this.items = [];
      this.head = 0;
    } else if (this.head > 64 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
  }

  /** Binary search that steps over the gaps removed messages left. */
  private indexOf(ordinal: number): number | undefined {
    let low = this.head;
    let high = this.items.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      let probe = middle;
      while (probe <= high && this.items[probe] === undefined) probe += 1;
      const found = probe <= high ? this.items[probe] : undefined;
      if (found === undefined || found.ordinal > ordinal) high = middle - 1;
      else if (found.ordinal < ordinal) low = probe + 1;
      else return probe;
    }
    return undefined;
  }
}

interface SenderQueues {
  readonly plain: Queue;
  readonly mentioning: Queue;
}

/** What was left unread of a thread when its reader was taken out of it. */
interface Parked {
  readonly unread: readonly MessageRecord[];
  /** Ordinal of the newest message of the session at that moment. */
  readonly upTo: number;
}

/** The unread messages of one agent, `owner`. */
export class Inbox {
  // Made on first use: most agents of most sessions are idle, and empty maps are not free.
  private senders: Map<string, SenderQueues> | undefined;
  private parked: Map<string, Parked> | undefined;

  constructor(readonly owner: string) {}

  get size(): number {
    let size = 0;
    for (const { plain, mentioning } of this.senders?.values() ?? []) size += plain.size + mentioning.size;
    return size;
  }

  /** A message became visible. One's own is never received. */
  add(message: MessageRecord): void {
    if (message.sender === this.owner) return;
    this.senders ??= new Map();
    let queues = this.senders.get(message.sender);
    if (queues === undefined) {
      queues = { plain: new Queue(), mentioning: new Queue() };
      this.senders.set(message.sender, queues);
    }
    (message.mentions.includes(this.owner) ? queues.mentioning : queues.plain).push(message);
  }

  /** It was handed over. */
  handedOver(message: MessageRecord): void {
    const queues = this.senders?.get(message.sender);
    if (queues !== undefined && !queues.mentioning.remove(message.ordinal))
      queues.plain.remove(message.ordinal);
  }

  /** The state was read: what does not mention the owner is handed over. */
  handedOverUpTo(ordinal: number): void {
    for (const { plain } of this.senders?.values() ?? []) plain.removeUpTo(ordinal);
  }

  /** True when a read of the state would hand something over. */
  get hasPlain(): boolean {
    for (const { plain } of this.senders?.values() ?? []) if (plain.size > 0) return true;
    return false;
  }

  /** The owner left a thread: its unread messages wait for a return. */
  park(threadId: string, upTo: number): void {
    const unread: MessageRecord[] = [];
    for (const queues of this.senders?.values() ?? []) {
      for (const queue of [queues.plain, queues.mentioning]) {
        for (const message of [...queue]) {
          if (message.threadId !== threadId) continue;
          unread.push(message);
          queue.remove(message.ordinal);
        }
      }
    }
    unread.sort((a, b) => a.ordinal - b.ordinal);
    (this.parked ??= new Map()).set(threadId, { unread, upTo });
  }

  /** The owner (again) takes part in a thread with these messages: those it was never handed become visible. */
  join(threadId: string, messages: readonly MessageRecord[]): void {
    const parked = this.parked?.get(threadId);
    this.parked?.delete(threadId);
    for (const message of parked?.unread ?? []) this.add(message);
    for (const message of messages)
      if (parked === undefined || message.ordinal > parked.upTo) this.add(message);
  }

  /** The oldest unread message that fits all filters and is not `taken`. */
  oldest(
    filters: readonly WaitFilter[],
    taken: (message: MessageRecord) => boolean,
  ): MessageRecord | undefined {
    let oldest: MessageRecord | undefined;
    const mentionsOnly = filters.some((filter) => filter.type === 'mentions');
    for (const [sender, queues] of this.senders ?? []) {
      if (filters.some((filter) => filter.type === 'from' && filter.name !== sender)) continue;
      for (const queue of mentionsOnly ? [queues.mentioning] : [queues.plain, queues.mentioning]) {
        for (const message of queue) {
          if (oldest !== undefined && message.ordinal > oldest.ordinal) break;
          if (taken(message) || !matches(message, filters)) continue;
          oldest = message;
          break;
        }
      }
    }
    return oldest;
  }
}

/** True when a message fits all filters of a wait. */
export function matches(message: MessageRecord, filters: readonly WaitFilter[]): boolean {
  return filters.every((filter) => {
    switch (filter.type) {
      case 'mentions':
        return message.mentions.includes(filter.name);
      case 'from':
        return message.sender === filter.name;
      case 'thread':
        return message.threadId === filter.threadId;
    }
  });
}
