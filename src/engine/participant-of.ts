/** The participant behind one attempt's secret, or (without a digest) behind an agent's name for the puppet API. */
import type { SessionEvent } from '../domain/event.ts';
import type { AgentPlan, CustomToolPlan } from '../domain/graph.ts';
import { sentBefore } from '../domain/messaging.ts';
import { Refusal } from '../domain/refusal.ts';
import type { SessionKey, SessionState } from '../domain/state.ts';
import { stateMarkdown } from '../domain/state-markdown.ts';
import { messageView, threadView } from '../domain/view.ts';
import type { Message, Thread } from '../domain/wire/session.ts';
import type { Delivery, Participant, ReadRequest, WaitRequest } from './participant.ts';
import { readMessages } from './reading.ts';
import type { SessionRunner } from './session-runner.ts';

/** `Participant` on a session's runner. */
export class ParticipantOf implements Participant {
  constructor(
    private readonly runner: SessionRunner,
    readonly agent: string,
    /** Of the attempt this participant stands for; undefined: whoever asks was let in by another door. */
    private readonly secretDigest?: string,
  ) {}

  get key(): SessionKey {
    return this.runner.key;
  }

  get state(): SessionState {
    return this.runner.state;
  }

  get plan(): AgentPlan {
    const agent = this.runner.state.agents.get(this.agent);
    if (agent === undefined) throw new Error(`agent ${this.agent} left session ${this.key.sessionId}`);
    return agent.plan;
  }

  get customTools(): Readonly<Record<string, CustomToolPlan>> {
    const { tools } = this.plan;
    const all = this.runner.state.customTools;
    return Object.fromEntries(tools.flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]])));
  }

  get valid(): boolean {
    return (
      this.secretDigest === undefined ||
      this.runner.state.agents.get(this.agent)?.secretDigest === this.secretDigest
    );
  }

  active(): void {
    this.runner.active(this.agent);
  }

  async connect(): Promise<void> {
    await this.runner.barrier.pass(this.agent);
    await this.runner.submit({ type: 'connect', agent: this.agent });
  }

  disconnected(): void {
    if (this.valid) void this.runner.report({ type: 'disconnect', agent: this.agent });
  }

  async createThread(name: string, participants: readonly string[]): Promise<Thread> {
    const threadId = this.runner.world.host.uuid();
    await this.runner.submit({ type: 'create_thread', by: this.agent, threadId, name, participants });
    const thread = this.runner.state.threads.get(threadId);
    if (thread === undefined) throw new Error(`thread ${threadId} was recorded but is not in the state`);
    return threadView(thread);
  }

  async closeThread(threadId: string, summary: string): Promise<void> {
    await this.runner.submit({ type: 'close_thread', by: this.agent, threadId, summary });
  }

  async addParticipant(threadId: string, name: string): Promise<void> {
    await this.runner.submit({ type: 'add_participant', by: this.agent, threadId, name });
  }

  async removeParticipant(threadId: string, name: string): Promise<void> {
    await this.runner.submit({ type: 'remove_participant', by: this.agent, threadId, name });
  }

  async sendMessage(
    threadId: string,
    text: string,
    mentions: readonly string[],
    key?: string,
  ): Promise<Message> {
    const messageId = this.runner.world.host.uuid();
    const [record] = await this.runner.submit({
      type: 'send_message',
      by: this.agent,
      threadId,
      messageId,
      text,
      mentions,
      ...(key !== undefined && { key }),
    });
    if (record === undefined && key !== undefined) {
      const before = sentBefore(this.runner.state, this.agent, key);
      if (before !== undefined) return messageView(before);
    }
    const sent = record?.event as Extract<SessionEvent, { type: 'message_sent' }>;
    const time = record?.time ?? 0;
    return messageView({ id: messageId, threadId, sender: this.agent, text, mentions: sent.mentions, time });
  }

  async wait(request: WaitRequest): Promise<Delivery<Message | undefined>> {
    const delivery = await this.runner.waits.wait(this.agent, request);
    const { value } = delivery;
    return {
      value: value === undefined ? undefined : messageView(value),
      settle: (delivered) => delivery.settle(delivered),
    };
  }

  readState(): Delivery<string> {
    const { host, settings } = this.runner.world;
    const upTo = this.runner.state.messages.length;
    const value = stateMarkdown(this.runner.state, this.agent, host.now(), settings.stateMessageLimit);
    return {
      value,
      settle: (delivered) => {
        if (delivered) void this.runner.report({ type: 'read_state', agent: this.agent, upTo });
      },
    };
  }

  async closeSession(reason: string, result?: unknown): Promise<void> {
    if (!this.plan.plugins.includes('close_session_tool')) {
      throw new Refusal(
        'not_supported',
        `Agent "${this.agent}" may not close the session: its request lacks the plugin close_session_tool.`,
      );
    }
    await this.runner.submit({
      type: 'stop_session',
      cause: 'agent_request',
      by: this.agent,
      reason,
      ...(result !== undefined && { result }),
    });
  }

  async read(request: ReadRequest): Promise<readonly Message[]> {
    const messages = await readMessages(this.runner, this.agent, request);
    return messages.map(messageView);
  }

  async stop(): Promise<void> {
    const phase = this.runner.state.agents.get(this.agent)?.phase;
    if (phase?.type === 'stopped') return;
    if (phase?.type === 'waiting' && this.runner.state.agents.get(this.agent)?.attempts === 0) {
      throw new Refusal('agent_not_running', `Agent "${this.agent}" is not launched yet.`);
    }
    await this.runner.submit({ type: 'stop_agent', agent: this.agent, cause: 'requested' });
    await this.runner.untilGone(({ agents }) => {
      const now = agents.get(this.agent);
      return now === undefined || now.phase.type === 'stopped';
    }, this.agent);
  }

  onStateChange(changed: () => void): () => void {
    return this.runner.onChange(changed);
  }
}
