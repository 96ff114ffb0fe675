/** An agent in its session: threads, messages, waits. Made by `connect`. Source: docs/wire.md, "MCP endpoints". */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message, Thread } from '../../domain/wire/session.ts';
import type { Connection, ToolAnswer } from './connection.ts';
import type { AgentEnvironment, LlmProxy } from './environment.ts';
import { AgentClosed, ToolError } from './errors.ts';
import type { Options } from './options.ts';
import { readStateText } from './state-text.ts';
import type { AgentStateView } from './state-text.ts';

export type { Message, Thread };

/** The longest single wait a server holds, ms; longer ones are made of several. */
const LONGEST_WAIT = 55_000;
/** A wait that says "time is up" this much before its time (ms) was not really held: pause before the next one. */
const TOO_EARLY = 500;
/** How many ids of received messages are remembered to tell repeats after a broken connection. */
const REMEMBERED = 1_000;

/** What to wait for, and for how long. */
export interface WaitOptions {
  /** Only messages of this agent. */
  readonly from?: string;
  /** Only messages that mention this agent. Default: false. */
  readonly mention?: boolean;
  /** ms; default: for as long as it takes. */
  readonly timeoutMs?: number;
  /** Id of a message: the oldest matching one after it, whether it was handed over before or not. */
  readonly after?: string;
  /** Ends the wait: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How mentions are answered. */
export interface MentionOptions {
  /**
   * What to do when the handler throws. `report` (default): say so in the thread and on stderr, and go on.
   * `throw`: end the loop with that error.
   */
  readonly onError?: 'report' | 'throw';
  /** Ends the loop quietly. */
  readonly signal?: AbortSignal;
}

/** A string is sent to the thread as the answer, mentioning the sender; nothing sends nothing. */
export type MentionHandler = (
  message: Message,
) => Promise<string | undefined | null | void> | string | undefined | null | void;

type WaitTool = 'coral_wait_for_message' | 'coral_wait_for_mention' | 'coral_wait_for_agent';

/** One agent of a session, connected. Its methods reject with ToolError, AgentClosed or ConnectionLost. */
export class Agent {
  /** This agent's name in its session. */
  readonly name: string;
  readonly sessionId: string;
  /** Base URL of the server's API, where it was given. */
  readonly apiUrl: string | undefined;
  /** The session request's system prompt for this agent, where there is one. */
  readonly systemPrompt: string | undefined;
  /** The LLMs this agent may use, by name. */
  readonly proxies: Readonly<Record<string, LlmProxy>>;
  /** This agent's options, typed. */
  readonly options: Options;
  /** Aborts with an AgentClosed when the agent is no longer part of its session: closed, asked to stop, revoked. */
  readonly signal: AbortSignal;

  readonly #connection: Connection;
  readonly #closing: AbortController;
  readonly #log: (text: string) => void;
  /** Last message received by each kind of wait: from where to go on when a connection broke. */
  readonly #last = new Map<string, string>();
  readonly #seen = new Set<string>();

  /** @internal Use `connect`. */
  constructor(parts: {
    environment: AgentEnvironment;
    options: Options;
    connection: Connection;
    closing: AbortController;
    log: (text: string) => void;
  }) {
    this.name = parts.environment.agentId;
    this.sessionId = parts.environment.sessionId;
    this.apiUrl = parts.environment.apiUrl;
    this.systemPrompt = parts.environment.systemPrompt;
    this.proxies = parts.environment.proxies;
    this.options = parts.options;
    this.signal = parts.closing.signal;
    this.#connection = parts.connection;
    this.#closing = parts.closing;
    this.#log = parts.log;
  }

  /** Opens a thread with these agents and oneself. */
  async createThread(name: string, participants: readonly string[]): Promise<Thread> {
    const answer = await this.#call('coral_create_thread', {
      threadName: name,
      participantNames: participants,
    });
    return part<Thread>(answer, 'coral_create_thread', 'thread');
  }

  /** Closes a thread with a summary that stays; its messages leave the live view. */
  async closeThread(threadId: string, summary: string): Promise<void> {
    await this.#call('coral_close_thread', { threadId, summary });
  }

  async addParticipant(threadId: string, name: string): Promise<void> {
    await this.#call('coral_add_participant', { threadId, participantName: name });
  }

  async removeParticipant(threadId: string, name: string): Promise<void> {
    await this.#call('coral_remove_participant', { threadId, participantName: name });
  }

  /**
   * Sends a message into a thread. It carries a key of its own, so that it is sent again when the connection breaks
   * and still arrives once.
   */
  async send(threadId: string, text: string, mentions: readonly string[] = []): Promise<Message> {
    const answer = await this.#connection.callTool(
      'coral_send_message',
      { threadId, content: text, mentions, idempotencyKey: randomUUID() },
      { repeatable: true },
    );
    return part<Message>(answer, 'coral_send_message', 'message');
  }

  /**
   * The oldest matching message that was not handed over yet, else the next to come; undefined when the time is up.
   * With both `from` and `mention`, messages of that agent without a mention are taken and skipped. Rejects with
   * AgentClosed when this agent's part is over, with ToolError when the server refuses.
   */
  async waitForMessage(options: WaitOptions = {}): Promise<Message | undefined> {
    const tool: WaitTool =
      options.from !== undefined
        ? 'coral_wait_for_agent'
        : options.mention === true
          ? 'coral_wait_for_mention'
          : 'coral_wait_for_message';
    const until = options.timeoutMs === undefined ? Infinity : performance.now() + options.timeoutMs;
    let after = options.after;
    for (;;) {
      const left = until - performance.now();
      const message = await this.#waitOnce(tool, options, after, Math.max(1, Math.min(left, LONGEST_WAIT)));
      if (message !== undefined) {
        if (options.from === undefined || options.mention !== true) return message;
        if (message.mentionNames.includes(this.name)) return message;
        if (after !== undefined) after = message.id;
      }
      if (performance.now() >= until) return undefined;
    }
  }

  /**
   * Answers every message that mentions this agent, one after the other, until its part in the session is over or
   * `signal` aborts; resolves then. Messages that came before are answered first.
   */
  async onMention(handler: MentionHandler, options: MentionOptions = {}): Promise<void> {
    const ended = (): boolean => this.signal.aborted || options.signal?.aborted === true;
    while (!ended()) {
      let message: Message | undefined;
      try {
        message = await this.waitForMessage({
          mention: true,
          ...(options.signal && { signal: options.signal }),
        });
      } catch (error) {
        if (ended()) return;
        throw error;
      }
      if (message === undefined) continue;
      try {
        const reply = await handler(message);
        if (typeof reply === 'string') await this.send(message.threadId, reply, [message.senderName]);
      } catch (error) {
        if (ended()) return;
        if (options.onError === 'throw') throw error;
        await this.#report(message, error);
      }
    }
  }

  /** What the agent sees of its session. Reading it hands over every message it shows that does not mention this agent. */
  async state(): Promise<AgentStateView> {
    return readStateText(await this.#connection.readResource('coral://state'));
  }

  /** How Coral works, in markdown, for an LLM's prompt. */
  async instruction(): Promise<string> {
    return await this.#connection.readResource('coral://instruction');
  }

  /** Ends the session with its outcome; needs the plugin `close_session_tool`. Every agent is stopped then, this one too. */
  async closeSession(reason: string, result?: unknown): Promise<void> {
    await this.#call('coral_close_session', { reason, ...(result !== undefined && { result }) });
  }

  /** Calls any tool by name: custom tools, too. `repeatable`: calling it twice does no harm. Default: false. */
  async callTool(
    name: string,
    args: Record<string, unknown> = {},
    options: { readonly repeatable?: boolean; readonly timeoutMs?: number } = {},
  ): Promise<ToolAnswer> {
    return await this.#connection.callTool(name, args, {
      ...(options.repeatable !== undefined && { repeatable: options.repeatable }),
      ...(options.timeoutMs !== undefined && { heldFor: options.timeoutMs }),
    });
  }

  /** Leaves: ends every wait (they reject with AgentClosed) and tells the server goodbye. Again: does nothing. */
  async close(why = new AgentClosed('closed', 'The agent has left its session.')): Promise<void> {
    if (!this.#closing.signal.aborted) this.#closing.abort(why);
    await this.#connection.close(why);
  }

  async #call(tool: string, args: Record<string, unknown>): Promise<ToolAnswer> {
    return await this.#connection.callTool(tool, args);
  }

  /**
   * One wait on the server. The server remembers what it handed over, so a wait is simply asked again when the
   * connection breaks; but what was on its way just then counts as handed over, so that the repeat asks by cursor
   * and leaves out what has arrived by another kind of wait.
   */
  async #waitOnce(
    tool: WaitTool,
    options: WaitOptions,
    after: string | undefined,
    maxWaitMs: number,
  ): Promise<Message | undefined> {
    const kind = `${tool} ${options.from ?? ''}`;
    const args = (cursor: string | undefined): Record<string, unknown> => ({
      maxWaitMs: Math.round(maxWaitMs),
      ...(options.from !== undefined && { agentName: options.from }),
      ...(cursor !== undefined && { afterMessageId: cursor }),
    });
    for (let cursor = after; ;) {
      const started = performance.now();
      const answer = await this.#connection.callTool(tool, args(cursor), {
        heldFor: maxWaitMs,
        repeatable: true,
        afterBreak: args(cursor ?? this.#last.get(kind)),
        ...(options.signal && { signal: options.signal }),
      });
      const message = answer.structured?.['message'] as Message | undefined;
      if (message === undefined) {
        if (performance.now() - started < maxWaitMs - TOO_EARLY) await this.#breathe(options.signal);
        return undefined;
      }
      const repeat = after === undefined && (answer.repeated === true || cursor !== undefined);
      if (repeat && this.#seen.has(message.id)) {
        cursor = message.id;
        continue;
      }
      if (after === undefined) this.#last.set(kind, message.id);
      this.#seen.add(message.id);
      if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value ?? '');
      return message;
    }
  }

  /** A session that is ending answers waits at once: do not ask in a tight loop until the stop arrives. */
  async #breathe(signal?: AbortSignal): Promise<void> {
    const until = signal === undefined ? this.signal : AbortSignal.any([this.signal, signal]);
    await sleep(TOO_EARLY, undefined, { signal: until }).catch(() => undefined);
  }

  async #report(message: Message, error: unknown): Promise<void> {
    const sentence = error instanceof Error ? error.message : String(error);
    this.#log(`could not answer ${message.senderName}: ${sentence}`);
    if (error instanceof ToolError && error.tool === 'coral_send_message') return;
    try {
      await this.send(message.threadId, `I could not answer that: ${sentence}`, [message.senderName]);
    } catch (second) {
      this.#log(`and could not say so: ${second instanceof Error ? second.message : String(second)}`);
    }
  }
}

function part<T>(answer: ToolAnswer, tool: string, key: string): T {
  const value = answer.structured?.[key];
  if (value === undefined) throw new ToolError(tool, `${tool} answered without "${key}": ${answer.text}`);
  return value as T;
}
