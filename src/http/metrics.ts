/**
 * Numbers for the operator, as Prometheus reads them. What can be counted when it is asked for is counted then; the
 * rest is seen at the journal, where everything passes. Source: docs/wire.md, "Metrics".
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Coral } from '../engine/coral.ts';
import type { Append, Journal } from '../ports/journal.ts';

/** What is open at the door. */
export interface Followers {
  readonly sockets: number;
  readonly streams: number;
}

/** All metrics of one server. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly launches = this.counter('coral_agent_launches_total', 'Launches of agents begun');
  private readonly exits = new Counter({
    name: 'coral_agent_exits_total',
    help: 'Agents that ended, by reason',
    labelNames: ['reason'],
    registers: [this.registry],
  });
  private readonly messages = this.counter('coral_messages_total', 'Messages sent');
  private readonly events = this.counter('coral_journal_events_total', 'Facts written to the journal');
  private readonly failures = this.counter(
    'coral_journal_failures_total',
    'Appends that could not be written',
  );
  private readonly appends = new Histogram({
    name: 'coral_journal_append_seconds',
    help: 'Time from an append to its being durable; the count is that of appends',
    buckets: [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers: [this.registry],
  });

  /** `process`: with memory, CPU, garbage collection and event-loop delay of this process. */
  constructor({ process = false }: { readonly process?: boolean } = {}) {
    if (process) collectDefaultMetrics({ register: this.registry });
  }

  /** The same journal, watched. */
  watch(journal: Journal): Journal {
    return {
      append: async (append) => {
        const began = performance.now();
        try {
          const records = await journal.append(append);
          this.appends.observe((performance.now() - began) / 1_000);
          this.see(append);
          return records;
        } catch (error) {
          this.failures.inc();
          throw error;
        }
      },
      read: (stream, after, limit) => journal.read(stream, after, limit),
      readTypes: (types, after, limit) => journal.readTypes(types, after, limit),
      lastPosition: () => journal.lastPosition(),
      streams: (query) => journal.streams(query),
      drop: (stream) => journal.drop(stream),
      probe: () => journal.probe(),
      close: () => journal.close(),
    };
  }

  /** Begins to report what is there. Call once. */
  report(coral: Coral, followers: () => Followers): void {
    this.gauge('coral_sessions', 'Live sessions, by phase', ['phase'], (gauge) => {
      for (const phase of ['pending', 'running', 'stopping', 'ended']) gauge.set({ phase }, 0);
      gauge.set({ phase: 'quarantined' }, coral.quarantined().length);
      for (const { phase } of coral.sessions()) gauge.inc({ phase: phase.type });
    });
    this.gauge(
      'coral_agents',
      'Agents of live sessions, by runtime and phase',
      ['runtime', 'phase'],
      (gauge) => {
        for (const session of coral.sessions())
          for (const { plan, phase } of session.agents.values())
            gauge.inc({ runtime: plan.runtime.kind, phase: phase.type });
      },
    );
    this.gauge('coral_waits', 'Waits of agents that are open', [], (gauge) => {
      gauge.set(0);
      for (const session of coral.sessions())
        for (const { waits } of session.agents.values()) if (waits.size > 0) gauge.inc(waits.size);
    });
    this.gauge(
      'coral_deliveries',
      'Webhook deliveries that are owed or were given up',
      ['state'],
      (gauge) => {
        for (const state of ['pending', 'dead']) gauge.set({ state }, 0);
        for (const { state } of coral.deliveries()) gauge.inc({ state });
      },
    );
    this.gauge('coral_followers', 'Readers that follow over sockets and event streams', ['over'], (gauge) => {
      const { sockets, streams } = followers();
      gauge.set({ over: 'socket' }, sockets);
      gauge.set({ over: 'stream' }, streams);
    });
  }

  /** The text and its media type. */
  async read(): Promise<{ readonly text: string; readonly type: string }> {
    return { text: await this.registry.metrics(), type: this.registry.contentType };
  }

  private see({ events }: Append): void {
    this.events.inc(events.length);
    for (const event of events) {
      if (event.type === 'message_sent') this.messages.inc();
      else if (event.type === 'agent_launching') this.launches.inc();
      else if (event.type === 'agent_exited') this.exits.inc({ reason: event.exit.reason });
    }
  }

  private counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.registry] });
  }

  private gauge<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[],
    collect: (gauge: Gauge<T>) => void,
  ): void {
    const gauge: Gauge<T> = new Gauge({
      name,
      help,
      labelNames,
      registers: [this.registry],
      collect() {
        gauge.reset();
        collect(gauge);
      },
    });
  }
}
