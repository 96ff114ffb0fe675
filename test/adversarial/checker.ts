/**
 * Holds a history against what docs/reliability.md promises. Pure. Every rule is named; what breaks one is said in a
 * sentence that names what it is about.
 */
import type { JournalEvent, SessionEvent } from '../../src/domain/event.ts';
import type { JournalRecord } from '../../src/ports/journal.ts';
import type { History, Send } from './history.ts';

/** A promise that was not kept. */
export interface Violation {
  readonly rule: Rule;
  readonly what: string;
}

/** The server's clock is not read when a thing happens, ms. */
const CLOCKS = 1_000;

type Facts<E extends JournalEvent> = readonly (Omit<JournalRecord, 'event'> & { readonly event: E })[];

/** The journal by streams. */
interface Streams {
  readonly all: ReadonlyMap<string, readonly JournalRecord[]>;
  /** By session id. */
  readonly sessions: ReadonlyMap<string, Facts<SessionEvent>>;
}

type Check = (history: History, streams: Streams) => Iterable<string>;

const RULES = {
  /** Every stream counts 1, 2, 3 …; the journal's positions grow. */
  'no gap': function* ({ journal }, { all }) {
    for (const [stream, records] of all) {
      const gap = records.findIndex(({ seq }, index) => seq !== index + 1);
      if (gap >= 0) yield `${stream} has ${records[gap]!.seq} where ${gap + 1} should be`;
    }
    for (const [index, { position }] of journal.entries()) {
      if (index > 0 && position <= journal[index - 1]!.position) yield `position ${position} comes twice`;
    }
  },

  /** A session that was acknowledged is there, once for its key; one that nobody asked for is not. */
  'acknowledged sessions': function* ({ operations }, { sessions }) {
    const opens = operations.filter((operation) => operation.kind === 'open');
    const byKey = new Map<string, Set<string>>();
    for (const { key, session, outcome } of opens) {
      const of = byKey.get(key) ?? new Set();
      byKey.set(key, of);
      if (outcome !== 'ok' || session === undefined) continue;
      of.add(session);
      if (sessions.get(session)?.[0]?.event.type !== 'session_opened')
        yield `session ${session} was acknowledged and is not there`;
    }
    for (const [key, of] of byKey) if (of.size > 1) yield `key ${key} gave sessions ${[...of].join(', ')}`;
    if (sessions.size > byKey.size) yield `${byKey.size} sessions were asked for, ${sessions.size} are there`;
  },

  /** A message that was acknowledged is there, once and as it was sent; one that nobody sent is not. */
  'acknowledged messages': function* ({ operations }, { sessions }) {
    const sends = groupBy(
      operations.filter((operation) => operation.kind === 'send'),
      ({ session, key }) => `${session} ${key}`,
    );
    const recorded = new Map([...sessions].map(([session, facts]) => [session, messagesOf(facts)]));
    for (const tries of sends.values()) {
      const { session, text, thread, agent } = tries[0]!;
      const found = (recorded.get(session) ?? []).filter(({ event }) => event.text === text);
      const acknowledged = new Set(
        tries.flatMap(({ outcome, message }) => (outcome === 'ok' ? [message] : [])),
      );
      const what = `message "${text}" of ${agent} in session ${session}`;
      if (acknowledged.size > 1) yield `${what} was acknowledged as ${[...acknowledged].join(' and ')}`;
      if (acknowledged.size > 0 && found.length === 0) yield `${what} was acknowledged and is not there`;
      if (found.length > 1) yield `${what} is there ${found.length} times`;
      if (found.length > 0 && tries.every(({ outcome }) => outcome === 'refused'))
        yield `${what} was refused and is there`;
      for (const { event } of found) {
        if (acknowledged.size > 0 && !acknowledged.has(event.messageId))
          yield `${what} was acknowledged under another id than it has`;
        if (event.sender !== agent || event.threadId !== thread) yield `${what} is there as somebody else’s`;
      }
    }
    const sent = new Set([...sends.values()].map(([first]) => `${first!.session} ${first!.text}`));
    for (const [session, messages] of recorded) {
      for (const { event } of messages)
        if (!sent.has(`${session} ${event.text}`)) yield `nobody sent "${event.text}" in session ${session}`;
    }
  },

  /** What was acknowledged before the next was sent stands before it. */
  'order of messages': function* ({ operations }, { sessions }) {
    const place = new Map(
      [...sessions.values()].flatMap((facts) =>
        messagesOf(facts).map(({ event, seq }) => [event.messageId, seq]),
      ),
    );
    const sends = operations.filter((operation) => operation.kind === 'send');
    const keyed = groupBy(sends, ({ session, thread, key }) => `${session} ${thread} ${key}`);
    const known = [...keyed.values()].flatMap((tries) => {
      const ok = tries.find(({ outcome }) => outcome === 'ok');
      const seq = ok?.message === undefined ? undefined : place.get(ok.message);
      if (ok === undefined || seq === undefined) return [];
      return [{ ...ok, invoked: Math.min(...tries.map(({ invoked }) => invoked)), seq }];
    });
    for (const of of groupBy(known, ({ session, thread }) => `${session} ${thread}`).values()) {
      for (const one of of) {
        const late = of.find((other) => one.completed < other.invoked && one.seq > other.seq);
        if (late !== undefined)
          yield `"${one.text}" was acknowledged before "${late.text}" was sent and stands behind it`;
      }
    }
  },

  /** Attempts count 1, 2, 3 …; each is launched, perhaps started, and ended before the next. */
  'one attempt at a time': function* (_history, { sessions }) {
    for (const [session, facts] of sessions) {
      const live = new Map<string, { attempt: number; started: boolean } | undefined>();
      const last = new Map<string, number>();
      for (const { event } of facts) {
        if (
          event.type !== 'agent_launching' &&
          event.type !== 'agent_started' &&
          event.type !== 'agent_exited'
        )
          continue;
        const { agent, attempt } = event;
        const what = `attempt ${attempt} of ${agent} in session ${session}`;
        const now = live.get(agent);
        if (event.type === 'agent_launching') {
          if (now !== undefined) yield `${what} was launched while attempt ${now.attempt} had not ended`;
          if (attempt !== (last.get(agent) ?? 0) + 1) yield `${what} follows attempt ${last.get(agent) ?? 0}`;
          live.set(agent, { attempt, started: false });
          last.set(agent, attempt);
        } else if (event.type === 'agent_started') {
          if (now?.attempt !== attempt) yield `${what} was started and not launched`;
          else if (now.started) yield `${what} was started twice`;
          else now.started = true;
        } else {
          // Whoever waits for a start that never comes ends without an attempt.
          if (now === undefined && attempt !== (last.get(agent) ?? 0))
            yield `${what} ended and was not launched`;
          if (now !== undefined && now.attempt !== attempt)
            yield `${what} ended in the place of ${now.attempt}`;
          live.set(agent, undefined);
        }
      }
    }
  },

  /** Nothing ran that is not on record, and no attempt had two lives. */
  'no launch without record': function* ({ lives }, { sessions }) {
    for (const [attempt, of] of groupBy(lives, lifeKey)) {
      const { session, agent, attempt: number } = of[0]!;
      const launched = (sessions.get(session) ?? []).some(
        ({ event }) => event.type === 'agent_launching' && event.agent === agent && event.attempt === number,
      );
      if (!launched) yield `${attempt} ran and is not on record`;
      if (of.length > 1) yield `${attempt} ran ${of.length} times: ${of.map(({ who }) => who).join(', ')}`;
    }
  },

  /** What began has an end: attempts, waits, sessions, namespaces, webhooks. */
  'no record without end': function* (_history, { all, sessions }) {
    for (const [session, facts] of sessions) {
      const open = new Set<string>();
      for (const { event } of facts) {
        if (event.type === 'agent_launching') open.add(`attempt ${event.attempt} of ${event.agent}`);
        if (event.type === 'agent_exited') open.delete(`attempt ${event.attempt} of ${event.agent}`);
        if (event.type === 'wait_started') open.add(`wait ${event.waitId} of ${event.agent}`);
        if (event.type === 'wait_ended') open.delete(`wait ${event.waitId} of ${event.agent}`);
      }
      for (const what of open) yield `${what} in session ${session} has no end`;
      const count = (type: SessionEvent['type']): number =>
        facts.filter(({ event }) => event.type === type).length;
      if (count('session_closed') !== 1)
        yield `session ${session} was closed ${count('session_closed')} times`;
      if (count('session_executed') > 0 && count('session_ended') !== 1)
        yield `session ${session} ended ${count('session_ended')} times`;
      if (facts[facts.length - 1]?.event.type !== 'session_closed')
        yield `session ${session} goes on behind its end`;
    }
    const namespaces = new Set<string>();
    for (const { event } of all.get('namespaces') ?? []) {
      if (event.type === 'namespace_created') namespaces.add(event.name);
      if (event.type === 'namespace_closed') namespaces.delete(event.name);
    }
    for (const name of namespaces) yield `namespace ${name} is still there`;
    for (const [stream, records] of all) {
      if (!stream.startsWith('outbox/')) continue;
      if (records[records.length - 1]?.event.type !== 'outbox_finished') yield `${stream} has no end`;
    }
  },

  /** An executable that ran is lost only when a keeper died in its time, a container only when its engine did. */
  'agents survive the server': function* ({ lives, deaths }, { sessions }) {
    const ran = new Set(lives.map(lifeKey));
    for (const [session, facts] of sessions) {
      const since = new Map<string, number>();
      for (const { event, time } of facts) {
        if (event.type === 'agent_launching') since.set(event.agent, time);
        if (event.type !== 'agent_started' && event.type !== 'agent_exited') continue;
        const { agent, attempt } = event;
        const runtime = runtimeOf(facts, agent);
        const life = lifeKey({ session, agent, attempt });
        if (event.type === 'agent_started') ran.add(life);
        if (event.type !== 'agent_exited' || event.exit.reason !== 'lost' || !ran.has(life)) continue;
        if (runtime !== 'executable' && runtime !== 'docker') continue;
        const begun = since.get(agent) ?? 0;
        const fatal = runtime === 'docker' ? deaths.docker : deaths.keeper;
        if (fatal.some((at) => at >= begun - CLOCKS && at <= time + CLOCKS)) continue;
        yield `${life} ran, is lost, and only the server died (${event.exit.detail})`;
      }
    }
  },

  /** Whoever asked until there was nothing more has been handed every message that was acknowledged before. */
  'handed over': function* ({ operations, deaths }, { sessions }) {
    const waits = operations.filter((operation) => operation.kind === 'wait' && operation.outcome === 'ok');
    for (const of of groupBy(
      waits as readonly WaitAnswered[],
      ({ session, agent }) => `${session} ${agent}`,
    ).values()) {
      const { session, agent } = of[0]!;
      const facts = sessions.get(session) ?? [];
      const seqOf = new Map(visibleTo(facts, agent).map(({ event, seq }) => [event.messageId, seq]));
      const times = new Map<string, number>();
      let newest = 0;
      for (const { message } of of.toSorted((a, b) => a.completed - b.completed)) {
        if (message === undefined) continue;
        const seq = seqOf.get(message);
        if (seq === undefined)
          yield `${agent} in session ${session} was handed ${message}, which is not for it`;
        else if (!times.has(message)) {
          if (seq < newest) yield `${agent} in session ${session} was handed ${message} behind later ones`;
          newest = Math.max(newest, seq);
        }
        times.set(message, (times.get(message) ?? 0) + 1);
      }
      for (const [message, count] of times)
        if (count > 1 + deaths.server)
          yield `${agent} in session ${session} was handed ${message} ${count} times`;
      const emptied = of.filter(({ message }) => message === undefined).at(-1);
      if (emptied === undefined) continue;
      const sends = operations.filter(
        (operation): operation is Send =>
          operation.kind === 'send' && operation.outcome === 'ok' && operation.completed < emptied.invoked,
      );
      for (const { message, text } of sends) {
        if (message !== undefined && seqOf.has(message) && !times.has(message))
          yield `${agent} in session ${session} was never handed "${text}" (${message})`;
      }
    }
  },

  /** The report of an end comes, of sessions that ended only, and is the same each time. */
  'end reports': function* ({ reports }, { all, sessions }) {
    for (const [session, of] of groupBy(reports, (report) => report.session)) {
      const ended = (sessions.get(session) ?? []).some(({ event }) => event.type === 'session_ended');
      if (!ended) yield `the end of session ${session} was reported and is not on record`;
      const said = new Set(of.map(({ delivery, body }) => `${delivery} ${body}`));
      if (said.size > 1) yield `the end of session ${session} was reported in ${said.size} ways`;
    }
    const reported = new Set(reports.map(({ session }) => session));
    for (const records of all.values()) {
      const [first] = records;
      if (first?.event.type !== 'outbox_opened' || first.event.hook !== 'session_end') continue;
      const { sessionId } = first.event;
      const ended = (sessions.get(sessionId) ?? []).some(({ event }) => event.type === 'session_ended');
      const isDead = records.some(({ event }) => event.type === 'delivery_dead');
      if (ended && !isDead && !reported.has(sessionId))
        yield `the end of session ${sessionId} was never reported`;
    }
  },

  /** No process, container, network, socket, file, descriptor or timer. */
  'nothing is left': ({ left }) => left,
} satisfies Record<string, Check>;

/** The names of the rules. */
export type Rule = keyof typeof RULES;

/** Everything that is wrong with a run; empty: nothing. */
export function violations(history: History): readonly Violation[] {
  const all = groupBy(history.journal, ({ stream }) => stream);
  const sessions = new Map<string, Facts<SessionEvent>>();
  for (const [stream, records] of all) {
    if (stream.startsWith('session/'))
      sessions.set(stream.slice('session/'.length), records as Facts<SessionEvent>);
  }
  return Object.entries<Check>(RULES).flatMap(([rule, check]) =>
    [...check(history, { all, sessions })].map((what) => ({ rule: rule as Rule, what })),
  );
}

type WaitAnswered = Extract<History['operations'][number], { kind: 'wait' }>;
type MessageSent = Extract<SessionEvent, { type: 'message_sent' }>;

function messagesOf(facts: Facts<SessionEvent>): Facts<MessageSent> {
  return facts.filter(({ event }) => event.type === 'message_sent') as unknown as Facts<MessageSent>;
}

/** Messages of others in threads that an agent takes part in from their beginning on. */
function visibleTo(facts: Facts<SessionEvent>, agent: string): Facts<MessageSent> {
  const threads = new Set(
    facts.flatMap(({ event }) =>
      event.type === 'thread_created' && (event.participants.includes(agent) || event.creator === agent)
        ? [event.threadId]
        : [],
    ),
  );
  return messagesOf(facts).filter(({ event }) => event.sender !== agent && threads.has(event.threadId));
}

function runtimeOf(facts: Facts<SessionEvent>, agent: string): string | undefined {
  const [first] = facts;
  if (first?.event.type !== 'session_opened') return undefined;
  return first.event.agents.find(({ name }) => name === agent)?.runtime.kind;
}

function lifeKey({ session, agent, attempt }: { session: string; agent: string; attempt: number }): string {
  return `attempt ${attempt} of ${agent} in session ${session}`;
}

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
