/**
 * A second opinion on the rules of a session: written from docs/wire.md in the plainest way, with lists and loops and
 * no event in sight. It is told the same commands as the real rules and must come to the same state.
 */
import type { Command } from '../../src/domain/command.ts';
import type { RestartPolicy } from '../../src/domain/definition.ts';
import type { WaitFilter } from '../../src/domain/event.ts';
import type { Ending, StopCause } from '../../src/domain/exit.ts';
import type { AgentPlan } from '../../src/domain/graph.ts';
import type { PersistenceMode } from '../../src/domain/wire/request.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

interface Agent {
  readonly restart: RestartPolicy;
  readonly connectLimit: number;
  life: 'waiting' | 'launching' | 'running' | 'stopping' | 'stopped';
  attempt: number;
  restarts: number;
  retryAt?: number | undefined;
  startedAt?: number | undefined;
  hasHandle: boolean;
  cause?: StopCause | undefined;
  seen: boolean;
  port: number;
  connected: boolean;
  wasConnected: boolean;
  dismissed: boolean;
  waits: string[];
  handed: number[];
  /** What came of each attempt. */
  ends: string[];
}

interface Thread {
  participants: string[];
  closed: boolean;
}

interface Message {
  readonly thread: string;
  readonly sender: string;
  readonly text: string;
  readonly mentions: readonly string[];
  readonly key: string | undefined;
}

type Phase = 'pending' | 'running' | 'stopping' | 'ended' | 'closed';

/** What a command came to. */
export type Outcome = 'refused' | 'taken';

/** The plainest session. Times in ms. */
export class Model {
  phase: Phase = 'pending';
  readonly agents = new Map<string, Agent>();
  readonly threads = new Map<string, Thread>();
  readonly messages: Message[] = [];
  private executedAt = 0;
  private ttl: number | undefined;
  private mode: PersistenceMode = { mode: 'none' };
  private heldUntil: number | undefined;

  constructor(
    plans: readonly AgentPlan[],
    private readonly createdAt: number,
  ) {
    for (const plan of plans) this.join(plan);
  }

  /** Tells the model a command; what it comes to is in the fields afterwards. */
  tell(command: Command, now: number): Outcome {
    if (!this.mayBeAsked(command.type)) return 'refused';
    switch (command.type) {
      case 'execute':
        this.phase = 'running';
        this.executedAt = now;
        this.ttl = command.settings.ttl ?? undefined;
        this.mode = command.settings.persistenceMode;
        return 'taken';
      case 'stop_session':
        if (this.phase === 'pending') this.phase = 'closed';
        else if (this.phase === 'running') this.stopAll(command.cause === 'ttl' ? 'ttl' : 'session_closed');
        return 'taken';
      case 'end_hold':
        if (this.phase === 'ended') this.phase = 'closed';
        return 'taken';
      case 'look':
        this.look(now);
        return 'taken';
      case 'recover':
        this.recover(command, now);
        return 'taken';
      case 'change_ttl':
        this.ttl = command.ttl;
        return 'taken';
      case 'add_agent':
        if (this.agents.has(command.plan.name)) return 'refused';
        this.join(command.plan);
        return 'taken';
      default:
        return this.tellAgent(command, now);
    }
  }

  /** What an agent may be handed, oldest first. */
  unread(name: string, filters: readonly WaitFilter[] = []): number[] {
    const agent = this.agents.get(name);
    const found: number[] = [];
    for (const [index, message] of this.messages.entries()) {
      if (message.sender === name || agent?.handed.includes(index + 1) === true) continue;
      if (this.threads.get(message.thread)?.participants.includes(name) !== true) continue;
      const fits = filters.every((filter) => {
        if (filter.type === 'mentions') return message.mentions.includes(filter.name);
        return filter.type === 'from' ? message.sender === filter.name : message.thread === filter.threadId;
      });
      if (fits) found.push(index + 1);
    }
    return found;
  }

  /** Every duty's key, sorted, and when to look again. */
  owed(now: number): { keys: string[]; alarm: number | undefined } {
    if (this.phase === 'pending') return { keys: [], alarm: undefined };
    if (this.phase === 'closed') return { keys: ['forget'], alarm: undefined };
    if (this.phase === 'ended') {
      const held = this.heldUntil !== undefined && this.heldUntil > now;
      return held ? { keys: [], alarm: this.heldUntil } : { keys: ['look'], alarm: undefined };
    }
    if (this.allStopped()) return { keys: ['look'], alarm: undefined };
    const keys: string[] = [];
    const moments: number[] = [];
    if (this.phase === 'running' && this.ttl !== undefined) moments.push(this.executedAt + this.ttl);
    for (const [name, agent] of this.agents) {
      const { life, attempt, retryAt } = agent;
      if (life === 'waiting' && retryAt !== undefined && retryAt > now) moments.push(retryAt);
      else if (life === 'waiting' && this.phase === 'running') keys.push(`launch/${attempt + 1}/${name}`);
      if (life === 'launching') keys.push(`launch/${attempt}/${name}`);
      if (life === 'running' || (life === 'stopping' && agent.hasHandle))
        keys.push(`watch/${attempt}/${name}`);
      if (life === 'stopping' && agent.hasHandle) keys.push(`stop/${attempt}/${name}`);
      const deadline = this.connectDeadline(agent);
      if (deadline !== undefined) moments.push(deadline);
    }
    const next = moments.length === 0 ? undefined : Math.min(...moments);
    if (next !== undefined && next <= now) keys.push('look');
    return { keys: keys.sort(), alarm: next !== undefined && next > now ? next : undefined };
  }

  /** Everything that can be compared. */
  summary(): object {
    const { phase, heldUntil } = this;
    return {
      phase,
      heldUntil: phase === 'ended' ? heldUntil : undefined,
      agents: [...this.agents].map(([name, agent]) => ({
        name,
        life: agent.life,
        attempt: agent.attempt,
        restarts: agent.restarts,
        retryAt: agent.life === 'waiting' ? agent.retryAt : undefined,
        hasHandle: (agent.life === 'running' || agent.life === 'stopping') && agent.hasHandle,
        seen: agent.life === 'running' || agent.life === 'stopping' ? agent.seen : true,
        connected: agent.connected,
        dismissed: agent.dismissed,
        waits: [...agent.waits].sort(),
        unread: this.unread(name),
        ends: agent.ends.slice(-5),
      })),
      threads: [...this.threads].map(([id, thread]) => ({
        id,
        participants: [...thread.participants].sort(),
        closed: thread.closed,
        messages: thread.closed
          ? []
          : this.messages.flatMap((message, index) => (message.thread === id ? [index + 1] : [])),
      })),
      messages: this.messages.map(({ sender, text, mentions }) => ({ sender, text, mentions })),
    };
  }

  private mayBeAsked(type: Command['type']): boolean {
    if (['stop_session', 'end_hold', 'look', 'recover'].includes(type)) return this.phase !== 'closed';
    if (type === 'execute') return this.phase === 'pending';
    if (['change_ttl', 'add_agent', 'dismiss_agent', 'begin_launch', 'start_wait'].includes(type))
      return this.phase === 'running';
    if (['end_wait', 'report_container'].includes(type) && this.phase === 'ended') return true;
    return this.phase === 'running' || this.phase === 'stopping';
  }

  private join(plan: AgentPlan): void {
    this.agents.set(plan.name, {
      restart: plan.restart,
      connectLimit: plan.timeouts.connect,
      life: 'waiting',
      attempt: 0,
      restarts: 0,
      hasHandle: false,
      seen: true,
      port: 0,
      connected: false,
      wasConnected: false,
      dismissed: false,
      waits: [],
      handed: [],
      ends: [],
    });
  }

  private tellAgent(
    command: Exclude<
      Command,
      Of<'execute' | 'stop_session' | 'end_hold' | 'look' | 'recover' | 'change_ttl' | 'add_agent'>
    >,
    now: number,
  ): Outcome {
    const name = 'by' in command ? command.by : command.agent;
    const agent = this.agents.get(name);
    if (agent === undefined) return 'refused';
    const current = 'attempt' in command && command.attempt === agent.attempt;
    const isUp = agent.life === 'running' || agent.life === 'stopping';
    switch (command.type) {
      case 'begin_launch':
        if (agent.life !== 'waiting' || command.attempt !== agent.attempt + 1) return 'refused';
        Object.assign(agent, { life: 'launching', attempt: command.attempt, port: command.port });
        Object.assign(agent, { hasHandle: false, seen: true, connected: false, wasConnected: false });
        return 'taken';
      case 'report_started':
        if (!current || !(agent.life === 'launching' || (agent.life === 'stopping' && !agent.hasHandle)))
          return 'refused';
        if (agent.life === 'launching') agent.life = 'running';
        Object.assign(agent, { hasHandle: true, startedAt: now });
        return 'taken';
      case 'report_exit':
        if (!current || !(isUp || agent.life === 'launching')) return 'refused';
        this.exit(agent, command.ending, now, command.jitter);
        return 'taken';
      case 'report_observed':
        if (!current || !isUp) return 'refused';
        agent.seen = command.seen;
        return 'taken';
      case 'report_container':
        return 'taken';
      case 'stop_agent':
        this.stop(agent, command.cause);
        return 'taken';
      case 'dismiss_agent':
        if (agent.dismissed) return 'taken';
        agent.dismissed = true;
        for (const thread of this.threads.values())
          if (!thread.closed) thread.participants = thread.participants.filter((other) => other !== name);
        this.stop(agent, 'requested');
        return 'taken';
      case 'connect':
        Object.assign(agent, { connected: true, wasConnected: true });
        return 'taken';
      case 'disconnect':
        agent.connected = false;
        return 'taken';
      case 'start_wait':
        if (agent.waits.length >= 64) return 'refused';
        agent.waits.push(command.waitId);
        return 'taken';
      case 'end_wait':
        agent.waits = agent.waits.filter((wait) => wait !== command.waitId);
        if (command.outcome === 'message' && command.ordinal !== undefined)
          agent.handed.push(command.ordinal);
        return 'taken';
      case 'read_state':
        for (const ordinal of this.unread(name)) {
          const isMentioned = this.messages[ordinal - 1]?.mentions.includes(name) === true;
          if (ordinal <= command.upTo && !isMentioned) agent.handed.push(ordinal);
        }
        return 'taken';
      default:
        return this.talk(command);
    }
  }

  private talk(
    command: Of<'create_thread' | 'close_thread' | 'add_participant' | 'remove_participant' | 'send_message'>,
  ): Outcome {
    if (command.type === 'create_thread') {
      if (command.participants.some((name) => !this.agents.has(name))) return 'refused';
      const participants = [...new Set([command.by, ...command.participants])];
      this.threads.set(command.threadId, { participants, closed: false });
      return 'taken';
    }
    if (command.type === 'send_message' && command.key !== undefined) {
      const before = this.messages.find(({ sender, key }) => sender === command.by && key === command.key);
      if (before !== undefined)
        return before.thread === command.threadId && before.text === command.text ? 'taken' : 'refused';
    }
    const thread = this.threads.get(command.threadId);
    if (thread?.closed !== false || !thread.participants.includes(command.by)) return 'refused';
    switch (command.type) {
      case 'close_thread':
        thread.closed = true;
        return 'taken';
      case 'add_participant':
        if (!this.agents.has(command.name) || thread.participants.includes(command.name)) return 'refused';
        thread.participants.push(command.name);
        return 'taken';
      case 'remove_participant':
        if (!thread.participants.includes(command.name)) return 'refused';
        thread.participants = thread.participants.filter((name) => name !== command.name);
        return 'taken';
      case 'send_message': {
        const { by: sender, text, key } = command;
        const mentions = [...new Set(command.mentions)];
        if (mentions.some((name) => name === sender || !thread.participants.includes(name))) return 'refused';
        this.messages.push({ thread: command.threadId, sender, text, mentions, key });
        return 'taken';
      }
    }
  }

  private allStopped(): boolean {
    return [...this.agents.values()].every(({ life }) => life === 'stopped');
  }

  private connectDeadline(agent: Agent): number | undefined {
    if (agent.connectLimit === 0 || agent.life !== 'running' || agent.wasConnected) return undefined;
    return (agent.startedAt ?? 0) + agent.connectLimit;
  }

  private stopAll(cause: StopCause): void {
    this.phase = 'stopping';
    for (const agent of this.agents.values()) this.stop(agent, cause);
  }

  private stop(agent: Agent, cause: StopCause): void {
    if (agent.life === 'waiting') {
      this.gone(agent, 'stopped');
    } else if (agent.life === 'launching' || agent.life === 'running') {
      Object.assign(agent, { life: 'stopping', cause });
    }
  }

  private gone(agent: Agent, end: string): void {
    Object.assign(agent, {
      life: 'stopped',
      connected: false,
      waits: [],
      retryAt: undefined,
      cause: undefined,
    });
    agent.ends.push(end);
  }

  private exit(agent: Agent, ending: Ending, now: number, jitter: number): void {
    const { life, cause, restart } = agent;
    const ranFor = life === 'running' ? (ending.time ?? now) - (agent.startedAt ?? 0) : 0;
    const asked = life === 'stopping' ? cause : undefined;
    const end = this.meaningOf(ending, asked);
    this.gone(agent, end);
    if (this.phase !== 'running' || agent.dismissed) return;
    const restarts = ranFor >= restart.stableAfter ? 0 : agent.restarts;
    if (end === 'stopped' && asked !== 'watchdog') return;
    if (restart.policy === 'never' || (restart.policy === 'on_failure' && end === 'completed')) return;
    if (ending.exitCode !== undefined && restart.permanentExitCodes.includes(ending.exitCode)) return;
    if (restarts >= restart.maxRestarts) return;
    const delay = Math.min(restart.maxDelay, restart.delay * 2 ** restarts);
    agent.life = 'waiting';
    agent.retryAt = now + Math.round(delay + delay * 0.1 * jitter);
    agent.restarts = restarts + 1;
  }

  private meaningOf(ending: Ending, asked: StopCause | undefined): string {
    if (ending.kind === 'lost') return 'lost';
    if (asked !== undefined) return asked === 'connect_timeout' ? 'connect_timeout' : 'stopped';
    if (ending.kind === 'exited') return ending.exitCode === 0 ? 'completed' : 'failed';
    if (ending.kind === 'could_not_start') return 'launch_failed';
    return ending.kind === 'out_of_memory' ? 'oom_killed' : 'killed';
  }

  private look(now: number): void {
    if (this.phase === 'ended') {
      if (this.heldUntil === undefined || this.heldUntil <= now) this.phase = 'closed';
    } else if ((this.phase === 'running' || this.phase === 'stopping') && this.allStopped()) {
      this.phase = 'ended';
      const { mode } = this;
      const until =
        mode.mode === 'minimum_time'
          ? this.createdAt + mode.time
          : mode.mode === 'hold_after_exit'
            ? now + mode.duration
            : now;
      if (until > now) this.heldUntil = until;
      else this.phase = 'closed';
    } else if (this.phase === 'running') {
      if (this.ttl !== undefined && this.executedAt + this.ttl <= now) return this.stopAll('ttl');
      for (const agent of this.agents.values())
        if ((this.connectDeadline(agent) ?? Infinity) <= now) this.stop(agent, 'connect_timeout');
    }
  }

  private recover({ port, jitter }: Of<'recover'>, now: number): void {
    if (this.phase !== 'running' && this.phase !== 'stopping') return;
    for (const agent of this.agents.values()) {
      const away = agent.life === 'running' && port !== undefined && port !== agent.port;
      if (away) this.exit(agent, { kind: 'lost', detail: '' }, now, jitter);
      Object.assign(agent, { waits: [], connected: false });
    }
  }
}
