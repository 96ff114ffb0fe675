/**
 * Webhooks of all sessions. Each webhook of a session is a follower of its own, so deliveries survive anything the
 * journal survives, keep their order per session, and one receiver's failure holds up nobody else.
 */
import { outboxStream, sessionStream, type OutboxEvent } from '../domain/event.ts';
import { evolveOutbox, type OutboxState } from '../domain/outbox.ts';
import { Refusal } from '../domain/refusal.ts';
import type { SessionState } from '../domain/state.ts';
import type { SessionRuntimeSettings } from '../domain/wire/request.ts';
import type { NamespaceStateBase } from '../domain/wire/session.ts';
import { isDamage } from './quarantine.ts';
import { WebhookRunner, type Delivery, type OutboxOptions } from './webhook-runner.ts';
import type { World } from './world.ts';

/** Opens, finds and lists them. */
export class Outbox {
  private readonly hooks = new Map<string, WebhookRunner>();

  constructor(
    private readonly world: World,
    private readonly options: OutboxOptions,
    /** A live session's state; undefined when it is closed. */
    private readonly live: (namespace: string, sessionId: string) => SessionState | undefined,
  ) {}

  /** Call once at the start: takes up what earlier lives of the server left. */
  async load(): Promise<void> {
    const { journal, log } = this.world;
    let cursor: string | undefined;
    do {
      const page = await journal.streams({
        kind: 'outbox',
        open: true,
        limit: 1_000,
        ...(cursor !== undefined && { cursor }),
      });
      for (const { stream } of page.streams) {
        await this.takeUp(stream).catch((error: unknown) => {
          if (!isDamage(error)) throw error;
          log.error(`A webhook is not served. ${error.message}`);
        });
      }
      cursor = page.next;
    } while (cursor !== undefined);
  }

  private async takeUp(stream: string): Promise<void> {
    const { journal } = this.world;
    let state: OutboxState | undefined;
    for (let after = 0; ; after = state?.seq ?? 0) {
      const records = await journal.read(stream, after, 1_000);
      for (const record of records) state = evolveOutbox(state, record);
      if (records.length === 0) break;
    }
    if (state === undefined) return;
    // The server ended between the webhook and the session: there never was one.
    const [session] = await journal.read(sessionStream(state.opened.sessionId), 0, 1);
    if (session === undefined) await this.forget(stream).catch(() => undefined);
    else this.run(stream, state);
  }

  /** Writes down where a session's news go. Call before the session itself is written down. */
  async open(
    sessionId: string,
    namespace: NamespaceStateBase,
    settings: SessionRuntimeSettings,
  ): Promise<void> {
    const { sessionEnd, events } = settings.webhooks;
    const base = { type: 'outbox_opened' as const, sessionId, namespace };
    if (sessionEnd != null) {
      await this.begin({
        ...base,
        hook: 'session_end',
        url: sessionEnd.url,
        extended: settings.extendedEndReport,
      });
    }
    if (events != null) {
      await this.begin({
        ...base,
        hook: 'events',
        url: events.url,
        ...(events.types != null && { types: events.types }),
      });
    }
  }

  /** The session could not be written down after all. Never rejects: what is left is in nobody's way. */
  async abandon(sessionId: string): Promise<void> {
    for (const hook of ['session_end', 'events'] as const) {
      const stream = outboxStream(sessionId, hook);
      this.hooks.get(stream)?.close();
      this.hooks.delete(stream);
      await this.forget(stream).catch(() => undefined);
    }
  }

  /** Pending and dead deliveries. */
  list(): readonly Delivery[] {
    return [...this.hooks.values()].flatMap((hook) => hook.list());
  }

  /** Sends a dead delivery again. Throws `unknown_delivery`. */
  async replay(id: string): Promise<void> {
    for (const hook of this.hooks.values()) if (await hook.replay(id)) return;
    throw new Refusal(
      'unknown_delivery',
      `There is no dead delivery ${id}; GET /api/v1/deliveries lists them.`,
    );
  }

  /** Stops trying; everything is taken up at the next start. */
  close(): void {
    for (const hook of this.hooks.values()) hook.close();
  }

  private async begin(opened: Extract<OutboxEvent, { type: 'outbox_opened' }>): Promise<void> {
    const stream = outboxStream(opened.sessionId, opened.hook);
    // Asked for before, by a try to execute the session that could not be written down.
    if (this.hooks.has(stream)) return;
    const { journal, host } = this.world;
    const [session] = await journal.read(sessionStream(opened.sessionId), 0, 1);
    // Written down for a session with the same key, which itself was not: the server ended, or the disk was full.
    if (session === undefined) await this.forget(stream);
    const [record] = await journal.append({
      stream,
      expectedSeq: 0,
      time: host.now(),
      events: [opened],
      header: { kind: 'outbox', id: opened.sessionId, namespace: opened.namespace.name, annotations: {} },
    });
    if (record !== undefined) this.run(stream, evolveOutbox(undefined, record));
  }

  /** Deletes the stream of a webhook whose session never was, if there is one. */
  private async forget(stream: string): Promise<void> {
    const { journal, host } = this.world;
    const records = await journal.read(stream, 0, 1_000);
    const last = records[records.length - 1];
    if (last === undefined) return;
    if (last.event.type !== 'outbox_finished') {
      const events = [{ type: 'outbox_finished' as const }];
      await journal.append({ stream, expectedSeq: last.seq, time: host.now(), events, closes: true });
    }
    await journal.drop(stream);
  }

  private run(stream: string, state: OutboxState): WebhookRunner {
    const { namespace, sessionId } = state.opened;
    const hook = new WebhookRunner(this.world, this.options, stream, state, {
      live: () => this.live(namespace.name, sessionId),
      finished: () => this.hooks.delete(stream),
    });
    this.hooks.set(stream, hook);
    void hook.run();
    return hook;
  }
}
