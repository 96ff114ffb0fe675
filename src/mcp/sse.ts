/**
 * One Server-Sent Events response. A client that stops reading is cut off before what waits for it fills the memory.
 */
import type { ServerResponse } from 'node:http';
import { writeTelling } from './http.ts';

/** Bytes that may wait for a slow reader when something more is to be sent. */
const LARGEST_BACKLOG = 8 * 1024 * 1024;

export class SseStream {
  private ended = false;
  private readonly closed = new Set<() => void>();

  constructor(
    private readonly response: ServerResponse,
    headers: Readonly<Record<string, string>> = {},
  ) {
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      ...headers,
    });
    response.flushHeaders();
    response.once('close', () => {
      for (const closed of this.closed) closed();
      this.closed.clear();
    });
  }

  get open(): boolean {
    return !this.ended && !this.response.destroyed;
  }

  /** True while earlier events have not left yet. */
  get clogged(): boolean {
    return this.response.writableNeedDrain;
  }

  /** Calls once, when what was written has left. */
  onceDrained(drained: () => void): void {
    this.response.once('drain', drained);
  }

  /** Calls once, when the stream is over, whoever ended it; returns what takes that back. */
  onceClosed(closed: () => void): () => void {
    this.closed.add(closed);
    return () => this.closed.delete(closed);
  }

  /**
   * Sends one message. `written` is called once: true when it has left for a living client, false when that is gone.
   * `data` must not hold a line break; JSON never does.
   */
  send(data: string, event = 'message', written?: (delivered: boolean) => void): void {
    if (!this.open) {
      written?.(false);
      return;
    }
    // Looked at before, not after: a single message may be larger.
    if (this.response.writableLength > LARGEST_BACKLOG) {
      this.response.destroy();
      written?.(false);
      return;
    }
    const frame = `event: ${event}\ndata: ${data}\n\n`;
    if (written === undefined) this.response.write(frame);
    else writeTelling(this.response, frame, written);
  }

  /** Keeps the connection from looking dead; clients take no notice. */
  beat(): void {
    if (this.open && !this.clogged) this.response.write(':\n\n');
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.response.end();
  }
}
