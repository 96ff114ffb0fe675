/**
 * A server's line to its keeper. L1: there is at most one connection; whoever needs one while there is none waits for
 * the same attempt, which finds the living keeper or starts one. L2: every question has a deadline. L3: a connection
 * that is lost answers every open question with `KeeperLost`; nothing is asked again here. L4: a keeper that is there and
 * does not answer (it may be frozen) is out of sight until it does.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Ending } from '../../../domain/exit.ts';
import { reasonOf } from '../../../domain/reason.ts';
import { LaunchFailure } from '../../../ports/runtime.ts';
import { livingKeeper, strangeness, type Look } from './living.ts';
import { JsonLines, line, LOG_FILE } from './protocol.ts';
import type { Answer, CallName, Calls, KeeperArguments, KeeperFile, News, Question } from './protocol.ts';

/** The keeper could not be reached, or was lost while it worked on an answer. */
export class KeeperLost extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'KeeperLost';
  }
}

/** Where the keeper is and how it is started. */
export interface LinkOptions extends KeeperArguments {
  /** The keeper's program, a JavaScript file. Absolute. */
  readonly entry: string;
  readonly isAlive: Look;
  /** How often it is asked whether it still answers, and how long that may take, ms. Default 5,000. */
  readonly heartbeat?: number;
}

/** Until a keeper says it is ready, ms. */
const STARTING = 30_000;
/** For answers that need no waiting, ms. */
const SOON = 15_000;
const HEARTBEAT = 5_000;
/** For what the keeper says after a goodbye, and its end, ms. */
const FAREWELL = 2_000;

interface Open {
  readonly socket: Socket;
  readonly lost: Promise<void>;
  readonly questions: Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void; timer: NodeJS.Timeout }
  >;
}

/** What comes of a question beyond its answer. */
export interface CallOptions {
  /** ms. Default 15,000. */
  readonly deadline?: number;
  /** Of a launch: gives it up; the answer tells what came of it. */
  readonly signal?: AbortSignal;
}

/** One server's connection to its keeper (L1 to L3). */
export class KeeperLink {
  private open: Open | undefined;
  private opening: Promise<Open> | undefined;
  private asked = 0;
  private closed = false;
  private readonly hearers = new Map<string, (ending: Ending | undefined) => void>();

  private readonly watchers = new Set<(seen: boolean) => void>();
  private seen = true;

  constructor(private readonly options: LinkOptions) {}

  /** Hears when the keeper gets out of sight and when it is back (L4). Returns what ends that. */
  watch(watcher: (seen: boolean) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /** Hears news of one agent; `ending` once it has ended. Returns what ends the hearing. */
  hear(key: string, hearer: (ending: Ending | undefined) => void): () => void {
    this.hearers.set(key, hearer);
    return () => {
      if (this.hearers.get(key) === hearer) this.hearers.delete(key);
    };
  }

  /** Asks, starting a keeper if none lives. Rejects with KeeperLost, or with what the keeper answered (a LaunchFailure too). */
  async call<K extends CallName>(
    call: K,
    ask: Calls[K]['ask'],
    options: CallOptions = {},
  ): Promise<Calls[K]['answer']> {
    return this.ask(await this.connected(), call, ask, options);
  }

  /** Asks only if a keeper lives already; resolves with nothing otherwise. */
  async callIfAlive<K extends CallName>(
    call: K,
    ask: Calls[K]['ask'],
    options: CallOptions = {},
  ): Promise<Calls[K]['answer'] | undefined> {
    if (this.open === undefined && this.opening === undefined && this.living() === undefined)
      return undefined;
    return this.call(call, ask, options);
  }

  /** Resolves when the connection there is now is lost; at once when there is none. */
  async lost(): Promise<void> {
    await this.open?.lost;
  }

  /** Says goodbye and hangs up; resolves when a keeper that has no agents any more is gone. Never rejects. */
  async close(): Promise<void> {
    try {
      const answer = await this.callIfAlive('bye', {}, { deadline: FAREWELL });
      if (answer?.ends === true) await within(FAREWELL, this.lost());
    } catch {
      // It is not there to be told.
    }
    this.closed = true;
    this.open?.socket.destroy();
    await this.open?.lost;
  }

  private connected(): Promise<Open> {
    if (this.closed) return Promise.reject(new KeeperLost('The server is ending.'));
    if (this.open !== undefined) return Promise.resolve(this.open);
    this.opening ??= this.connect().finally(() => (this.opening = undefined));
    return this.opening;
  }

  private async connect(): Promise<Open> {
    let keeper = this.living();
    if (keeper === undefined) {
      await this.start();
      keeper = this.living();
    }
    if (keeper === undefined) throw new KeeperLost(`The keeper of agents ended at once; see ${this.log}.`);
    // Out of sight, then, and its agents with it (L4): whoever speaks with it again finds them as they are.
    const strange = strangeness(keeper);
    if (strange !== undefined) throw new KeeperLost(strange);
    const socket = connect(keeper.socket);
    try {
      await within(SOON, once(socket, 'connect'));
    } catch (error) {
      socket.destroy();
      throw new KeeperLost(`The keeper of agents (pid ${keeper.pid}) does not answer on ${keeper.socket}.`, {
        cause: error,
      });
    }
    const open: Open = {
      socket,
      lost: new Promise((resolve) => socket.once('close', () => resolve())),
      questions: new Map(),
    };
    const lines = new JsonLines((message) => this.take(open, message as Answer | News));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => lines.push(chunk));
    void open.lost.then(() => {
      if (this.open === open) this.open = undefined;
      for (const { reject, timer } of open.questions.values()) {
        clearTimeout(timer);
        reject(new KeeperLost('The keeper of agents ended before it answered.'));
      }
      open.questions.clear();
    });
    this.open = open;
    this.keepAsking(open);
    try {
      await this.ask(open, 'hello', { instance: this.options.instance }, {});
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return open;
  }

  /** L4. */
  private keepAsking(open: Open): void {
    const { heartbeat = HEARTBEAT } = this.options;
    let asking = false;
    const beat = setInterval(() => {
      if (asking) return;
      asking = true;
      const late = setTimeout(() => this.sight(false), heartbeat).unref();
      this.ask(open, 'usage', {}, {})
        .then(() => this.sight(true))
        .catch(() => undefined)
        .finally(() => {
          clearTimeout(late);
          asking = false;
        });
    }, heartbeat).unref();
    void open.lost.then(() => clearInterval(beat));
  }

  private sight(seen: boolean): void {
    if (this.seen === seen) return;
    this.seen = seen;
    for (const watcher of this.watchers) watcher(seen);
  }

  private ask<K extends CallName>(
    open: Open,
    call: K,
    ask: Calls[K]['ask'],
    { deadline = SOON, signal }: CallOptions,
  ): Promise<Calls[K]['answer']> {
    this.asked += 1;
    const id = this.asked;
    return new Promise<unknown>((resolve, reject) => {
      const expire = (): void => {
        open.questions.delete(id);
        if (call === 'launch') this.giveUp(open, id);
        reject(new KeeperLost(`The keeper of agents did not answer within ${deadline} ms.`));
      };
      const timer = setTimeout(expire, deadline);
      open.questions.set(id, { resolve, reject, timer });
      signal?.addEventListener('abort', () => this.giveUp(open, id), { once: true });
      // Also for one that is on its way out: its `close` answers (L3).
      open.socket.write(line({ id, call, ask } as Question));
      if (signal?.aborted === true) this.giveUp(open, id);
    }) as Promise<Calls[K]['answer']>;
  }

  private giveUp(open: Open, launch: number): void {
    void this.ask(open, 'abort', { launch }, {}).catch(() => undefined);
  }

  private take(open: Open, message: Answer | News): void {
    if ('news' in message) {
      this.hearers.get(message.key)?.(message.news === 'ended' ? message.ending : undefined);
      return;
    }
    const question = open.questions.get(message.id);
    if (question === undefined) return;
    open.questions.delete(message.id);
    clearTimeout(question.timer);
    if ('answer' in message) question.resolve(message.answer);
    else if (message.error.launch === true)
      question.reject(new LaunchFailure(message.error.message, message.error.retry));
    else question.reject(new Error(message.error.message));
  }

  private living(): KeeperFile | undefined {
    return livingKeeper(this.options.folder, this.options.isAlive);
  }

  private get log(): string {
    return join(this.options.folder, LOG_FILE);
  }

  private async start(): Promise<void> {
    const { entry, folder, instance, temporaryFolder, orphanTimeout } = this.options;
    const given: KeeperArguments = {
      folder,
      instance,
      temporaryFolder,
      ...(orphanTimeout !== undefined && { orphanTimeout }),
    };
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const log = openSync(this.log, 'w', 0o600);
    try {
      const child = spawn(process.execPath, [...FLAGS, entry, JSON.stringify(given)], {
        cwd: '/', // so that it keeps no file system from being unmounted
        detached: true,
        env: {}, // nothing of the server's may pass to agents by way of the keeper
        stdio: ['ignore', 'pipe', log],
      });
      const failed = new Promise<never>((_, reject) => {
        child.once('error', reject);
        child.once('exit', () => reject(new Error('it ended')));
      });
      failed.catch(() => undefined);
      const out = child.stdout!;
      try {
        await within(STARTING, Promise.race([once(out, 'data'), failed]));
      } catch (error) {
        child.kill('SIGKILL');
        throw new KeeperLost(
          `The keeper of agents could not be started (${reasonOf(error)}); see ${this.log}.`,
          { cause: error },
        );
      }
      out.destroy();
      child.unref();
    } finally {
      closeSync(log);
    }
  }
}

/** Small, and the same whatever options the server itself runs with. */
const FLAGS = ['--max-old-space-size=128', '--max-semi-space-size=1'] as const;

/** Rejects when a promise takes longer than that, ms. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
