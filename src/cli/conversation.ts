/**
 * A session's events as lines for a person: one per message, per thread, per exit. Pure: what comes out depends on
 * the events alone.
 */
import type { WireEvent } from '../domain/wire/event.ts';
import type { ExitFacts } from '../domain/wire/session.ts';
import type { Colors } from './terminal.ts';
import { clock, cut, harmless, oneLine } from './text.ts';

/** How a conversation is shown. */
export interface ConversationOptions {
  readonly colors: Colors;
  /** Columns; undefined: no terminal, lines of any length. */
  readonly width?: number | undefined;
  /** Messages whole, on as many lines as they have. */
  readonly full?: boolean;
  /** Also launches, connections and waits. */
  readonly verbose?: boolean;
}

/** A line that an agent printed. */
export interface OutputLine {
  readonly agent: string;
  readonly io: 'out' | 'error';
  readonly text: string;
  readonly timestamp: string;
}

const PALETTE = ['cyan', 'magenta', 'green', 'blue', 'yellow', 'red'] as const;
/** A message on one line is cut here when no terminal says how wide it is. */
const UNBOUND_WIDTH = 200;
/** A name column wider than this helps nobody. */
const WIDEST_NAME = 16;

/** Turns the events of one session into lines; remembers its threads and the colours of its agents. */
export class Conversation {
  private readonly hues = new Map<string, (typeof PALETTE)[number]>();
  private readonly threads = new Map<string, string>();
  private column = 0;

  constructor(private readonly options: ConversationOptions) {}

  /** Tells the agents' names beforehand, so that columns stand and colours go by the team's order. */
  expect(agents: Iterable<string>): void {
    for (const agent of agents) {
      this.hue(agent);
      this.column = Math.max(this.column, Math.min(agent.length, WIDEST_NAME));
    }
  }

  /** The lines this event is worth: none for what a reader of the conversation need not know. */
  lines(event: WireEvent): string[] {
    const { colors } = this.options;
    switch (event.type) {
      case 'session_opened':
        this.expect(event.agents);
        return this.aside(event, `session opened with ${event.agents.join(', ')}`);
      case 'thread_created': {
        const { thread } = event;
        this.threads.set(thread.id, thread.name);
        const others = thread.participants.filter((name) => name !== thread.creatorName);
        const company =
          others.length === 0 ? '' : ` with ${others.map((name) => this.name(name)).join(', ')}`;
        return [
          this.row(event, thread.creatorName, `${colors.dim('opened')} ${this.thread(thread.id)}${company}`),
        ];
      }
      case 'thread_closed': {
        const summary = event.summary === '' ? '' : ` ${oneLine(event.summary)}`;
        return [
          this.row(event, event.by ?? '', `${colors.dim('closed')} ${this.thread(event.threadId)}${summary}`),
        ];
      }
      case 'thread_participant_added':
        return [
          this.row(event, event.by ?? '', `added ${this.name(event.name)} to ${this.thread(event.threadId)}`),
        ];
      case 'thread_participant_removed':
        return [
          this.row(
            event,
            event.by ?? '',
            `removed ${this.name(event.name)} from ${this.thread(event.threadId)}`,
          ),
        ];
      case 'thread_message_sent':
        return this.message(event);
      case 'runtime_stopped':
        return this.exit(event);
      case 'agent_retry_due':
        return [
          this.row(event, event.name, colors.yellow(`starts again at ${clock(event.at)}: ${event.reason}`)),
        ];
      case 'agent_observed':
        return [
          this.row(
            event,
            event.name,
            colors.yellow(event.seen ? 'can be seen again' : 'cannot be seen for now'),
          ),
        ];
      case 'agent_given_up':
        return [this.row(event, event.name, colors.yellow(`is not started again: ${event.reason}`))];
      case 'agent_added':
        return [this.row(event, event.name, 'joined the session')];
      case 'agent_dismissed':
        return [this.row(event, event.name, 'was dismissed')];
      case 'session_stopping': {
        const reason = event.reason === undefined ? '' : `: ${oneLine(event.reason)}`;
        return event.cause === 'agents_exited'
          ? []
          : [this.row(event, event.by ?? '', why(event.cause) + reason)];
      }
      case 'session_ended':
      case 'session_closed':
      case 'session_executed':
      case 'ttl_changed':
      case 'agent_launching':
      case 'agent_connected':
      case 'agent_disconnected':
      case 'agent_stopping':
      case 'agent_wait_start':
      case 'agent_wait_stop':
      case 'agent_sleep_start':
      case 'agent_sleep_stop':
      case 'runtime_started':
      case 'docker_container_created':
      case 'docker_container_removed':
      case 'wait_ended':
      case 'state_read':
        return this.aside(event, detailOf(event));
    }
  }

  /** One line of an agent's output. */
  output({ agent, text, timestamp, io }: OutputLine): string {
    const { colors } = this.options;
    return this.row({ timestamp }, agent, `${colors.dim(io === 'error' ? '!' : '|')} ${harmless(text)}`);
  }

  private message(event: Extract<WireEvent, { type: 'thread_message_sent' }>): string[] {
    const { message } = event;
    const mentions = message.mentionNames.map((name) => this.name(name, '@')).join(' ');
    const head = [this.thread(message.threadId), mentions].filter((part) => part !== '').join(' ');
    const [first = '', ...rest] = this.options.full
      ? harmless(message.text).trimEnd().split('\n')
      : [oneLine(withoutBlocks(message.text), this.options.width === undefined ? UNBOUND_WIDTH : undefined)];
    const indent = ' '.repeat(clockWidth + this.column + 2);
    return [this.row(event, message.senderName, `${head} ${first}`), ...rest.map((line) => indent + line)];
  }

  private exit(event: Extract<WireEvent, { type: 'runtime_stopped' }>): string[] {
    const { colors } = this.options;
    const { exit } = event;
    if (exit === undefined) return [this.row(event, event.name, colors.dim('stopped'))];
    const line = this.row(event, event.name, describeExit(exit, colors));
    if (!isFailure(exit)) return [line];
    const indent = ' '.repeat(clockWidth + this.column + 2);
    return [line, ...(exit.lastLines ?? []).map((last) => indent + colors.dim(`| ${harmless(last)}`))];
  }

  private aside(event: Stamped & { readonly name?: string | undefined }, text: string): string[] {
    return this.options.verbose ? [this.row(event, event.name ?? '', this.options.colors.dim(text))] : [];
  }

  private row(event: Stamped, agent: string, text: string): string {
    const { colors, width, full } = this.options;
    const blank = ' '.repeat(Math.max(0, this.column - [...cut(agent, WIDEST_NAME)].length));
    const start = `${colors.dim(clock(event.timestamp))}  ${this.name(cut(agent, WIDEST_NAME), '', agent)}${blank}  `;
    return width === undefined || full ? start + text : cutVisible(start + text, width, colors);
  }

  private thread(id: string): string {
    return this.options.colors.dim(`#${oneLine(this.threads.get(id) ?? id)}`);
  }

  private name(shown: string, sign = '', agent = shown): string {
    return agent === '' ? '' : this.options.colors[this.hue(agent)](sign + harmless(shown));
  }

  private hue(agent: string): (typeof PALETTE)[number] {
    let hue = this.hues.get(agent);
    if (hue === undefined) {
      hue = PALETTE[this.hues.size % PALETTE.length] ?? 'cyan';
      this.hues.set(agent, hue);
    }
    return hue;
  }
}

/** Blocks fenced for machines are not for reading on one line. */
function withoutBlocks(text: string): string {
  return text.replace(/^```[^\n]*\n[\s\S]*?^```[ \t]*$/gm, '{…}');
}

interface Stamped {
  readonly timestamp: string;
}

/** `HH:MM:SS` and two blanks. */
const clockWidth = 10;

/** True when the agent did not end as it should: stopped at our request is no failure. */
export function isFailure(exit: Pick<ExitFacts, 'reason'>): boolean {
  return exit.reason !== 'completed' && exit.reason !== 'stopped';
}

/** `completed`, `failed (exit code 3): …`. */
export function describeExit(exit: ExitFacts, colors: Colors): string {
  if (exit.reason === 'completed') return colors.green('✓ completed');
  if (exit.reason === 'stopped') {
    return colors.dim(`■ stopped${exit.cause === undefined ? '' : ` (${exit.cause.replaceAll('_', ' ')})`}`);
  }
  const how =
    exit.exitCode !== undefined
      ? ` (exit code ${exit.exitCode})`
      : exit.signal !== undefined
        ? ` (${exit.signal})`
        : '';
  const detail = oneLine(exit.detail);
  return `${colors.red(`✗ ${exit.reason.replaceAll('_', ' ')}${how}`)}${detail === '' ? '' : `: ${detail}`}`;
}

/** Why a session ended, as a phrase. */
export function why(cause: string): string {
  switch (cause) {
    case 'agents_exited':
      return 'every agent has ended';
    case 'agent_request':
      return 'closed the session';
    case 'requested':
      return 'the session was stopped by request';
    case 'ttl':
      return 'the session’s time (ttl) was up';
    case 'shutdown':
      return 'the server was shut down';
    default:
      return 'the server was lost while the session ran';
  }
}

function detailOf(event: WireEvent): string {
  switch (event.type) {
    case 'agent_wait_start':
      return `waits${event.filters.map((filter) => ` (${'name' in filter ? `${filter.type} ${filter.name}` : filter.type})`).join('')}`;
    case 'wait_ended':
      return `wait ended: ${event.outcome.replaceAll('_', ' ')}`;
    case 'agent_stopping':
      return `is asked to stop (${event.cause.replaceAll('_', ' ')})`;
    case 'agent_launching':
      return event.attempt > 1 ? `is launched (attempt ${event.attempt})` : 'is launched';
    case 'docker_container_created':
    case 'docker_container_removed':
      return `${event.type.replaceAll('_', ' ')} ${event.containerId.slice(0, 12)}`;
    case 'session_ended':
      return `session ended: ${why(event.cause)}`;
    default:
      return event.type.replace(/^agent_/, '').replaceAll('_', ' ');
  }
}

const COLOUR = /\u001b\[\d+m/y;

/** At most `width` visible characters; colours count for nothing and are closed. */
function cutVisible(text: string, width: number, colors: Colors): string {
  let visible = 0;
  let at = 0;
  let lastFit = 0;
  while (at < text.length) {
    COLOUR.lastIndex = at;
    const colour = COLOUR.exec(text);
    if (colour !== null) {
      at += colour[0].length;
      continue;
    }
    visible++;
    const character = String.fromCodePoint(text.codePointAt(at) ?? 32);
    if (visible <= width - 1) lastFit = at + character.length;
    at += character.length;
  }
  return visible <= width ? text : colors.reset(`${text.slice(0, lastFit)}…`);
}
