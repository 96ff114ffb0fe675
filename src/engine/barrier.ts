/** Holds the first connections of blocking agents until all of them have begun to connect. Volatile by design. */
import { barrierPeers } from '../domain/barrier.ts';
import { BARRIER_WAIT } from './world.ts';
import type { SessionRunner } from './session-runner.ts';

/** One per session. */
export class Barrier {
  private readonly begun = new Set<string>();
  private readonly held = new Set<() => void>();

  constructor(private readonly runner: SessionRunner) {}

  /** Resolves when this agent may be let through; at once for one that does not block or was let through before. */
  async pass(agent: string): Promise<void> {
    const { runner } = this;
    if (runner.state.agents.get(agent)?.everConnected !== false) return;
    this.begun.add(agent);
    for (const look of [...this.held]) look();
    if (this.complete(agent)) return;
    await new Promise<void>((resolve) => {
      const { host } = runner.world;
      const through = (): void => {
        cancel();
        unlisten();
        this.held.delete(look);
        resolve();
      };
      const look = (): void => {
        if (this.complete(agent)) through();
      };
      const cancel = host.at(host.now() + BARRIER_WAIT, () => {
        runner.world.log.warn(
          `Agent "${agent}" waited ${BARRIER_WAIT / 1000} s for other blocking agents to connect and goes on without: ${this.missing(agent).join(', ')}.`,
          runner.tags({ agent }),
        );
        through();
      });
      const unlisten = runner.onChange(look);
      this.held.add(look);
    });
  }

  private complete(agent: string): boolean {
    return this.runner.state.phase.type !== 'running' || this.missing(agent).length === 0;
  }

  /** Peers that are still expected: whoever ended for good is not. */
  private missing(agent: string): string[] {
    const { state } = this.runner;
    return [...barrierPeers(state, agent)].filter((name) => {
      const peer = state.agents.get(name);
      return (
        peer !== undefined && !this.begun.has(name) && !peer.everConnected && peer.phase.type !== 'stopped'
      );
    });
  }
}
