/**
 * A team in memory behind the `Participant` face, for tests of the doors alone: it records what they did to it.
 * Messages are handed over as the real engine does it; there are no rules beyond that.
 */
import { EventEmitter } from 'node:events';
import type { WaitFilter } from '../../src/domain/event.ts';
import { foldSession, type SessionState } from '../../src/domain/state.ts';
import { Refusal } from '../../src/domain/refusal.ts';
import type { AgentPlan } from '../../src/domain/graph.ts';
import type { CustomTool } from '../../src/domain/wire/request.ts';
import type { Message, Thread } from '../../src/domain/wire/session.ts';
import type { Delivery, Participant, WaitRequest } from '../../src/engine/participant.ts';
import { agentPlan } from './plans.ts';

type Change = 'changed';

export class FakeTeam {
  readonly threads = new Map<string, Thread>();
  readonly messages: Message[] = [];
  readonly changes = new EventEmitter<Record<Change, []>>();
  private readonly bySecret = new Map<string, FakeParticipant>();

  constructor(agents: Record<string, Partial<AgentPlan>>) {
    this.changes.setMaxListeners(0);
    for (const [name, plan] of Object.entries(agents)) {
      this.bySecret.set(`secret-${name}`, new FakeParticipant(this, agentPlan(name, plan)));
    }
  }

  readonly authenticate = (secret: string): FakeParticipant | undefined => this.bySecret.get(secret);

  agent(name: string): FakeParticipant {
    const found = this.bySecret.get(`secret-${name}`);
    if (found === undefined) throw new Error(`no agent ${name}`);
    return found;
  }

  post(threadId: string, sender: string, text: string, mentions: readonly string[] = []): Message {
    const message: Message = {
      id: `m${this.messages.length + 1}`,
      threadId,
      text,
      senderName: sender,
      mentionNames: [...mentions],
      timestamp: new Date(0).toISOString(),
    };
    this.messages.push(message);
    this.changes.emit('changed');
    return message;
  }
}

export class FakeParticipant implements Participant {
  readonly key = { namespace: 'lab', sessionId: 's1' };
  customTools: Readonly<Record<string, CustomTool>> = {};
  valid = true;
  /** What `connect` waits for. */
  barrier: Promise<void> = Promise.resolve();
  connects = 0;
  disconnects = 0;
  waits: WaitRequest[] = [];
  /** How every delivery was settled, in order. */
  readonly settled: { readonly what: string; readonly delivered: boolean }[] = [];
  readonly events = new EventEmitter<{ waiting: []; settled: []; connecting: []; disconnected: [] }>();
  closed: { reason: string; result?: unknown } | undefined;
  private readonly handedOver = new Set<string>();
  private readonly reserved = new Set<string>();

  constructor(
    private readonly team: FakeTeam,
    readonly plan: AgentPlan,
  ) {
    this.events.setMaxListeners(0);
  }

  get agent(): string {
    return this.plan.name;
  }

  get state(): SessionState {
    const state = foldSession([]);
    if (state === undefined) throw new Error('a fake has no state');
    return state;
  }

  get watched(): number {
    return this.team.changes.listenerCount('changed');
  }

  active(): void {}

  async connect(): Promise<void> {
    this.connects += 1;
    this.events.emit('connecting');
    await this.barrier;
  }

  async read(): Promise<readonly Message[]> {
    return [];
  }

  async stop(): Promise<void> {
    this.valid = false;
  }

  disconnected(): void {
    this.disconnects += 1;
    this.events.emit('disconnected');
  }

  async createThread(name: string, participants: readonly string[]): Promise<Thread> {
    const thread: Thread = {
      id: `t${this.team.threads.size + 1}`,
      name,
      creatorName: this.agent,
      participants: [this.agent, ...participants],
      messages: [],
      state: { state: 'open' },
      timestamp: new Date(0).toISOString(),
    };
    this.team.threads.set(thread.id, thread);
    this.team.changes.emit('changed');
    return thread;
  }

  async closeThread(threadId: string): Promise<void> {
    this.thread(threadId);
  }

  async addParticipant(threadId: string, name: string): Promise<void> {
    this.thread(threadId).participants.push(name);
  }

  async removeParticipant(threadId: string, name: string): Promise<void> {
    const thread = this.thread(threadId);
    thread.participants = thread.participants.filter((other) => other !== name);
  }

  async sendMessage(threadId: string, text: string, mentions: readonly string[]): Promise<Message> {
    this.thread(threadId);
    return this.team.post(threadId, this.agent, text, mentions);
  }

  wait(request: WaitRequest): Promise<Delivery<Message | undefined>> {
    this.waits.push(request);
    return new Promise((resolve) => {
      const look = (): void => {
        const message = this.next(request.filters);
        if (message === undefined) return;
        this.reserved.add(message.id);
        finish({
          value: message,
          settle: (delivered) => {
            this.reserved.delete(message.id);
            if (delivered) this.handedOver.add(message.id);
            this.settle(message.text, delivered);
            if (!delivered) this.team.changes.emit('changed');
          },
        });
      };
      const nothing = (): void => finish({ value: undefined, settle: () => {} });
      const finish = (delivery: Delivery<Message | undefined>): void => {
        clearTimeout(timer);
        this.team.changes.off('changed', look);
        request.signal?.removeEventListener('abort', nothing);
        resolve(delivery);
      };
      const timer = setTimeout(nothing, request.maxWaitMs);
      this.team.changes.on('changed', look);
      request.signal?.addEventListener('abort', nothing);
      look();
      this.events.emit('waiting');
    });
  }

  readState(): Delivery<string> {
    return {
      value: `# General\n\nagent ${this.agent}, ${this.team.messages.length} messages\n`,
      settle: (delivered) => this.settle('state', delivered),
    };
  }

  async closeSession(reason: string, result?: unknown): Promise<void> {
    this.closed = { reason, ...(result !== undefined && { result }) };
  }

  onStateChange(changed: () => void): () => void {
    this.team.changes.on('changed', changed);
    return () => this.team.changes.off('changed', changed);
  }

  private settle(what: string, delivered: boolean): void {
    this.settled.push({ what, delivered });
    this.events.emit('settled');
  }

  private next(filters: readonly WaitFilter[]): Message | undefined {
    return this.team.messages.find(
      (message) =>
        message.senderName !== this.agent &&
        !this.handedOver.has(message.id) &&
        !this.reserved.has(message.id) &&
        this.thread(message.threadId).participants.includes(this.agent) &&
        filters.every((filter) =>
          filter.type === 'mentions'
            ? message.mentionNames.includes(filter.name)
            : filter.type === 'from'
              ? message.senderName === filter.name
              : message.threadId === filter.threadId,
        ),
    );
  }

  private thread(id: string): Thread {
    const thread = this.team.threads.get(id);
    if (thread === undefined) throw new Refusal('unknown_thread', `There is no thread ${id}.`);
    return thread;
  }
}
