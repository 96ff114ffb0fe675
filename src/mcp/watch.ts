/**
 * Tells a client that `coral://state` changed: at most one notification per turn of the event loop, and none while
 * the client has not taken the last one or no stream is open to it (then one as soon as that has changed).
 */
import type { Participant } from '../engine/participant.ts';
import { notificationMessage } from './jsonrpc.ts';
import type { SseStream } from './sse.ts';

export class StateWatch {
  private readonly stop: () => void;
  private changed = false;
  private scheduled = false;
  private draining = false;
  private stopped = false;

  /** `stream`: where to send right now, if anywhere; `meta`: JSON of the notification's `_meta`, if it needs one. */
  constructor(
    participant: Participant,
    private readonly uri: string,
    private readonly stream: () => SseStream | undefined,
    private readonly meta?: string,
  ) {
    this.stop = participant.onStateChange(() => {
      this.changed = true;
      this.schedule();
    });
  }

  /** A stream was opened: what changed meanwhile is told now. */
  streamOpened(): void {
    if (this.changed) this.schedule();
  }

  close(): void {
    this.stopped = true;
    this.stop();
  }

  private schedule(): void {
    if (this.scheduled || this.stopped) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    if (!this.changed || this.stopped) return;
    const stream = this.stream();
    if (stream === undefined) return;
    if (stream.clogged) {
      if (!this.draining) {
        this.draining = true;
        stream.onceDrained(() => {
          this.draining = false;
          this.schedule();
        });
      }
      return;
    }
    this.changed = false;
    const uri = JSON.stringify(this.uri);
    const params = this.meta === undefined ? `{"uri":${uri}}` : `{"_meta":${this.meta},"uri":${uri}}`;
    stream.send(notificationMessage('notifications/resources/updated', params));
  }
}
