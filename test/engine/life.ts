/**
 * One life of a server on a machine that outlives it. It can be killed at any moment, also in the middle of what it
 * does: between any two things that it does to the world, before or after the second. What is dead does nothing any
 * more and hears nothing any more.
 */
import type { Coral } from '../../src/engine/coral.ts';
import { createCoral } from '../../src/engine/create-coral.ts';
import { DEFAULT_LIMITS } from '../../src/domain/limits.ts';
import type { Host } from '../../src/ports/host.ts';
import type { Journal } from '../../src/ports/journal.ts';
import { SILENT } from '../../src/ports/log.ts';
import type { Registry } from '../../src/ports/registry.ts';
import type { Runtime } from '../../src/ports/runtime.ts';
import type { Vault } from '../../src/ports/vault.ts';
import type { Machine } from './machine.ts';

const NEVER = new Promise<never>(() => undefined);

export class Life {
  /** Once it has started. */
  coral: Coral | undefined;
  /** Resolves when it is killed. */
  readonly death: Promise<void>;
  isDead = false;
  private die: () => void = () => undefined;
  /** Moments until it is killed; undefined: it is not. Each thing done to the world is two: right before, right after. */
  private fuse: number | undefined;
  private alarms = 0;

  constructor(
    private readonly machine: Machine,
    private readonly registry: Registry,
  ) {
    this.death = new Promise((resolve) => (this.die = resolve));
  }

  /** Alarms that it has set. */
  get pending(): number {
    return this.alarms;
  }

  get isDoomed(): boolean {
    return this.fuse !== undefined;
  }

  kill(): void {
    this.isDead = true;
    this.die();
  }

  killIn(moments: number): void {
    this.fuse = moments;
  }

  spare(): void {
    this.fuse = undefined;
  }

  /** Resolves when it serves, or is dead. */
  async start(): Promise<void> {
    const { machine, registry } = this;
    const { output } = machine;
    const host = this.host();
    const coral = createCoral({
      host,
      journal: this.journal(),
      vault: this.vault(),
      output,
      registry,
      runtimes: new Map([['scripted', this.runtime()]]),
      instance: 'the-instance-of-this-story',
      settings: {
        defaultWaitMs: 30_000,
        stateMessageLimit: 500,
        limits: { ...DEFAULT_LIMITS, launchesAtOnce: 2 },
      },
      log: SILENT,
      agentPort: () => 5555,
      webhooks: {
        sender: {
          post: ({ headers, body }) =>
            this.does(async () => ({ status: machine.post(headers['X-Coral-Delivery']!, body), body: '' })),
          close: async () => undefined,
        },
        sign: () => '',
        signDelivery: () => '',
      },
    });
    await Promise.race([coral.then((made) => (this.coral = made)), this.death]);
  }

  /** One thing done to the world. */
  private async does<T>(act: () => Promise<T>): Promise<T> {
    if (this.isOver()) return NEVER;
    try {
      const result = await act();
      return this.isOver() ? NEVER : result;
    } catch (error) {
      if (this.isOver()) return NEVER;
      throw error;
    }
  }

  private isOver(): boolean {
    if (this.fuse !== undefined && !this.isDead) {
      this.fuse -= 1;
      if (this.fuse < 0) this.kill();
    }
    return this.isDead;
  }

  private host(): Host {
    const { clock } = this.machine;
    return {
      now: clock.now,
      uuid: () => clock.uuid(),
      secret: () => clock.secret(),
      random: () => clock.random(),
      at: (time, wake) => {
        if (this.isDead) return () => undefined;
        this.alarms += 1;
        let isSet = true;
        const over = (): boolean => {
          if (!isSet) return false;
          isSet = false;
          this.alarms -= 1;
          return true;
        };
        const cancel = clock.at(time, () => {
          if (over() && !this.isDead) wake();
        });
        void this.death.then(cancel);
        return () => {
          over();
          cancel();
        };
      },
    };
  }

  private journal(): Journal {
    const { machine } = this;
    const { journal } = machine;
    return {
      append: (append) =>
        this.does(async () => {
          machine.write();
          return journal.append(append);
        }),
      read: (...args) => this.does(() => journal.read(...args)),
      readTypes: (...args) => this.does(() => journal.readTypes(...args)),
      lastPosition: () => this.does(() => journal.lastPosition()),
      streams: (query) => this.does(() => journal.streams(query)),
      drop: (stream) => this.does(() => journal.drop(stream)),
      probe: async () => machine.write(),
      close: async () => undefined,
    };
  }

  private vault(): Vault {
    const { machine } = this;
    const { vault } = machine;
    return {
      seal: (...args) =>
        this.does(async () => {
          machine.write();
          return vault.seal(...args);
        }),
      open: (stream) => this.does(() => vault.open(stream)),
      erase: (stream) => this.does(() => vault.erase(stream)),
      streams: () => this.does(() => vault.streams()),
      close: async () => undefined,
    };
  }

  private runtime(): Runtime {
    const { machine } = this;
    const { things } = machine;
    return {
      kind: 'scripted',
      unavailable: async () => undefined,
      launch: (spec, signal) => this.does(() => machine.launch(spec, signal)),
      attach: ({ id }, observer) => {
        const thing = things.get(id)!;
        thing.watchers.add(observer);
        const forget = (): void => void thing.watchers.delete(observer);
        void this.death.then(forget);
        return {
          ended: thing.ended.then((ending) => {
            forget();
            return this.isDead ? NEVER : ending;
          }),
          detach: forget,
        };
      },
      stop: ({ id }, graceMs) =>
        this.does(async () => {
          const thing = things.get(id);
          return thing === undefined ? { gone: true, left: [] } : machine.stop(thing, graceMs);
        }),
      list: () => this.does(() => machine.list()),
      ended: () => this.does(async () => [...things.values()].filter(({ ending }) => ending !== undefined)),
      release: ({ id }) => this.does(async () => void things.delete(id)),
      addressOf: (port) => `127.0.0.1:${port}`,
      close: async () => undefined,
    };
  }
}
