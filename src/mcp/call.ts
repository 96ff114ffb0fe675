/**
 * One request under way: what it may use, what ends it, and what is to be settled once its answer is written.
 */
import type { Delivery, Participant } from '../engine/participant.ts';
import { notificationMessage, type Params, type RequestId } from './jsonrpc.ts';
import type { McpSession } from './sessions.ts';
import type { SseStream } from './sse.ts';
import type { ToolCall } from './tool.ts';

/** By it a client tells apart which call a note of progress is about. */
export type ProgressToken = string | number;

/** A request from when it is taken up until its answer has left. */
export class Call implements ToolCall {
  /** True once the client wants no answer any more: it cancelled the call or went away. */
  cancelled = false;
  private controller: AbortController | undefined;
  private deliveries: Delivery<unknown>[] | undefined;
  private settled: boolean | undefined;
  private lastProgress = 0;

  constructor(
    readonly session: McpSession,
    readonly id: RequestId,
    readonly method: string,
    readonly params: Params,
    /** Of revision 2026-07-28. */
    readonly sessionless: boolean,
    /** Where notifications about this call can go while it runs. */
    private readonly stream: SseStream | undefined,
  ) {}

  get participant(): Participant {
    return this.session.participant;
  }

  /** Made on first use: most calls are answered before anybody could abort them. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.cancelled || this.session.over) this.controller.abort();
      else this.session.track(this);
    }
    return this.controller.signal;
  }

  /** True while something waits to be settled. */
  get delivers(): boolean {
    return this.deliveries !== undefined;
  }

  settleWithAnswer(delivery: Delivery<unknown>): void {
    if (this.settled === undefined) (this.deliveries ??= []).push(delivery);
    else delivery.settle(this.settled);
  }

  /** Called once: true when the answer was written to a living client. */
  settle(delivered: boolean): void {
    if (this.settled !== undefined) return;
    this.settled = delivered;
    for (const delivery of this.deliveries ?? []) delivery.settle(delivered);
    this.deliveries = undefined;
  }

  /** The client wants no answer any more: it said so or went away. */
  cancel(): void {
    this.cancelled = true;
    this.controller?.abort();
  }

  /** It should come to an end and be answered: its session is over. */
  hurry(): void {
    this.controller?.abort();
  }

  /** Nothing can cancel it any more. */
  finished(): void {
    if (this.controller !== undefined) this.session.untrack(this);
    this.controller = undefined;
  }

  progress(progress: number, total?: number, message?: string): void {
    const token = progressToken(this.params);
    if (token === undefined || this.stream === undefined || this.cancelled || progress <= this.lastProgress)
      return;
    this.lastProgress = progress;
    const params = {
      progressToken: token,
      progress,
      ...(total !== undefined && { total }),
      ...(message !== undefined && { message }),
    };
    this.stream.send(notificationMessage('notifications/progress', JSON.stringify(params)));
  }

  /** Time passed: shows a client that asked for progress that the call lives. */
  beat(): void {
    if (this.stream?.clogged === false) this.progress(this.lastProgress + 1);
  }
}

/** The token by which the client wants to hear of progress. */
export function progressToken(params: Params): ProgressToken | undefined {
  const meta = params['_meta'] as { readonly progressToken?: unknown } | null | undefined;
  const token = typeof meta === 'object' ? meta?.progressToken : undefined;
  return typeof token === 'string' || typeof token === 'number' ? token : undefined;
}
