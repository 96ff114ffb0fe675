/**
 * How the members of the report team work together: they wait for what another one promised, notice when that one
 * has gone, and say why when they cannot go on themselves.
 */
import type { Agent, Message } from 'coral/agent';
import { factsIn, letter } from './facts.ts';
import type { Facts, FactsOf } from './facts.ts';

export const TEAM = ['scout', 'historian', 'analyst', 'writer'] as const;
export type Member = (typeof TEAM)[number];

/** How long a colleague may take to appear at all, ms. */
const PATIENCE = 30_000;
/** How often to look whether the others are still there, ms. */
const LOOK = 2_000;

/** Another member of the team cannot go on: there is nothing left to do. */
export class GaveUp extends Error {}

export class Colleague {
  readonly #agent: Agent;
  /** Heard, but not asked for yet. */
  readonly #kept: { readonly message: Message; readonly facts: Facts }[] = [];
  readonly #missed = new Set<string>();
  /** The team's thread, once there is one. */
  threadId: string | undefined;

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  /** Everybody but oneself. */
  get others(): Member[] {
    return TEAM.filter((name) => name !== this.#agent.name);
  }

  /** Opens the team's thread. */
  async gather(name: string): Promise<void> {
    this.threadId = (await this.#agent.createThread(name, this.others)).id;
  }

  /** Says something to some (default: all), with data where there is some. */
  async say(sentences: string, facts?: Facts, to: readonly string[] = this.others): Promise<void> {
    if (this.threadId === undefined) throw new Error('There is no thread to speak in yet.');
    await this.#agent.send(this.threadId, letter(sentences, facts), to);
  }

  /**
   * The next message to oneself with facts of this kind. Rejects with GaveUp when somebody said that there will be
   * none, and with an Error when `from` ends without a word or never appears.
   */
  async hear<K extends Facts['kind']>(kind: K, from: Member): Promise<FactsOf<K>> {
    const started = performance.now();
    for (;;) {
      const at = this.#kept.findIndex(
        ({ message, facts }) => facts.kind === kind && message.senderName === from,
      );
      if (at >= 0) return this.#kept.splice(at, 1)[0]?.facts as FactsOf<K>;
      const message = await this.#agent.waitForMessage({ mention: true, timeoutMs: LOOK });
      if (message === undefined) {
        await this.#lookFor(from, performance.now() - started);
        continue;
      }
      this.threadId ??= message.threadId;
      const facts = factsIn(message.text);
      if (facts?.kind === 'failed') throw new GaveUp(`${message.senderName} gave up: ${facts.reason}`);
      if (facts !== undefined) this.#kept.push({ message, facts });
    }
  }

  /** Tells the others why one cannot go on, as far as that is possible. */
  async giveUp(error: unknown): Promise<void> {
    if (error instanceof GaveUp || this.#agent.signal.aborted) return;
    const reason = error instanceof Error ? error.message : String(error);
    try {
      if (this.threadId === undefined) await this.gather('trouble');
      await this.say(`I have to give up: ${reason}`, { kind: 'failed', reason });
    } catch {
      // Nobody can be told: the error itself is what counts, and it ends this agent.
    }
  }

  /** Whether these have all ended. */
  async haveLeft(names: readonly string[]): Promise<boolean> {
    const { agents } = await this.#agent.state();
    return names.every((name) => agents.find((peer) => peer.agentName === name)?.agentRunning !== true);
  }

  async #lookFor(name: Member, waited: number): Promise<void> {
    const peer = (await this.#agent.state()).agents.find(({ agentName }) => agentName === name);
    if (peer === undefined) throw new Error(`There is no agent named ${name} in this session.`);
    if (peer.agentRunning) return;
    if (peer.agentStartTime !== undefined) {
      // Its last words may have come between the wait and this look: listen once more.
      if (this.#missed.has(name)) throw new Error(`${name} has ended without a word.`);
      this.#missed.add(name);
    } else if (waited > PATIENCE) {
      throw new Error(`${name} did not appear within ${PATIENCE / 1_000} s.`);
    }
  }
}
