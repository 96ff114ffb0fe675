/**
 * What all benchmarks share: how often to repeat and in which order, what to make of the numbers, and processes of
 * their own for those who serve and those who load, so that one's work is never counted as the other's.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundling as options } from '../scripts/bundling.mjs';

/** The folder of this repository. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** One line of the table. */
export interface Row {
  readonly name: string;
  /** Median over the rounds, in `unit`. */
  readonly value: number;
  readonly unit: string;
  /** Lowest and highest of the rounds. */
  readonly low?: number;
  readonly high?: number;
  readonly p99?: number;
  /** Median of the bare thing in the same run, in `unit`. */
  readonly baseline?: number;
  /** Median over the rounds of ours to the bare one that ran beside it. */
  readonly ratio?: number;
  /** What we aim for: a ratio that is at least, or a ratio or value that is at most. */
  readonly bar?: Bar;
  readonly note?: string;
}

/** `of` says whether the row's ratio, its value or its p99 is meant. */
export interface Bar {
  readonly of: 'ratio' | 'value' | 'p99';
  readonly atLeast?: number;
  readonly atMost?: number;
  /** A few rare values decide, or the disk: too unsteady for a machine that is not quiet. */
  readonly unsteady?: true;
}

/** How much is measured. */
export interface Effort {
  /** A few seconds in all, for ratios that are off by a half at worst. */
  readonly quick: boolean;
}

/** One benchmark. */
export interface Bench {
  readonly name: string;
  /** What it measures and what it does not, in a sentence or two. */
  readonly about: string;
  /** It knows a quick way and is part of the guard (`guard.ts`). */
  readonly guarded?: true;
  run(report: (row: Row) => void, effort?: Effort): Promise<void>;
}

/** Whether a row keeps to its bar; undefined without one. */
export function meets(row: Row): boolean | undefined {
  const { bar } = row;
  const given = bar === undefined ? undefined : row[bar.of];
  if (bar === undefined || given === undefined) return undefined;
  return given >= (bar.atLeast ?? -Infinity) && given <= (bar.atMost ?? Infinity);
}

/** The middle of the values. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which the share `q` of the values lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;
}

/**
 * Runs all variants `rounds` times, one after the other within a round, each round beginning with another one, after a
 * round that only warms up. What disturbs the machine for a while disturbs all of them.
 */
export async function interleave<T>(
  rounds: number,
  variants: Readonly<Record<string, () => Promise<T>>>,
): Promise<Readonly<Record<string, readonly T[]>>> {
  const names = Object.keys(variants);
  const results: Record<string, T[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (let place = 0; place < names.length; place += 1) {
      const name = names[(round + place) % names.length] ?? '';
      const result = await variants[name]?.();
      if (round > 0 && result !== undefined) results[name]?.push(result);
    }
  }
  return results;
}

/** Ours against the bare thing, round by round. */
export function ratios(ours: readonly number[], bare: readonly number[]): number {
  return median(ours.map((value, round) => value / (bare[round] ?? NaN)));
}

/** A process of its own that answers questions (the files of `bench/peers`; see `bench/peer.ts`). */
export class Peer {
  private asked = 0;
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();

  private constructor(private readonly child: ChildProcess) {
    child.on('message', (message: { id: number; value?: unknown; error?: string }) => {
      const waiter = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.error === undefined) waiter?.resolve(message.value);
      else waiter?.reject(new Error(message.error));
    });
    child.once('exit', (code, signal) => {
      const error = new Error(`a process of the benchmark ended unasked (${signal ?? code})`);
      for (const waiter of this.waiting.values()) waiter.reject(error);
    });
  }

  /** Starts a file of `bench/peers`. `flags`: for node. */
  static async start(name: string, flags: readonly string[] = []): Promise<Peer> {
    await bundled();
    const child = fork(`${ROOT}/dist/bench/${name}.js`, {
      execArgv: [...flags],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    return new Peer(child);
  }

  /** Asks and waits for the answer. */
  ask<T>(question: string, argument?: unknown): Promise<T> {
    this.asked += 1;
    const id = this.asked;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve, reject });
      this.child.send({ id, question, argument });
    });
  }

  /** Ends it. */
  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const over = new Promise((resolve) => this.child.once('exit', resolve));
    await this.ask('end').catch(() => undefined);
    this.child.disconnect();
    await over;
  }
}

let bundling: Promise<unknown> | undefined;

/** Bundles the peers as the program itself is bundled: a loader at run time would slow down what is measured. */
function bundled(): Promise<unknown> {
  mkdirSync(`${ROOT}/dist/bench`, { recursive: true });
  bundling ??= build({
    ...options,
    absWorkingDir: ROOT,
    entryPoints: [
      'broadcast',
      'containers',
      'echo',
      'fastify',
      'helper',
      'launcher',
      'load',
      'readers',
      'server',
    ].map((name) => `bench/peers/${name}.ts`),
    outdir: `${ROOT}/dist/bench`,
  });
  return bundling;
}
