/**
 * Where servers come to a keeper: a Unix socket that only its owner can open. What a server watches it hears of: news
 * of growth are gathered, and wait while the server does not read; nothing is held for it but the fact that there is news.
 */
import { chmodSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Ending } from '../../../domain/exit.ts';
import { reasonOf } from '../../../domain/reason.ts';
import { LaunchFailure } from '../../../ports/runtime.ts';
import type { Keeper } from './keeper.ts';
import { fromWire, JsonLines, line } from './protocol.ts';
import type { Answer, News, Question } from './protocol.ts';
import { spoolKey } from './spool.ts';

/** Pause in which news of one agent's output are gathered, ms. */
const GATHER = 15;

/** Takes the questions of servers to a keeper. */
export class Desk {
  private readonly visitors = new Set<Visitor>();
  private readonly server: Server;

  constructor(
    private readonly keeper: Keeper,
    private readonly instance: string,
    /** The number of servers that are there has changed, or one of them said goodbye. */
    private readonly changed: (saidBye: boolean) => void,
  ) {
    this.server = createServer((socket) => this.welcome(socket));
  }

  get servers(): number {
    return this.visitors.size;
  }

  /** Rejects as the socket's `listen` does. */
  async open(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      // Agents inherit the mask: it is narrowed for the socket alone, which is made before `listen` returns.
      const before = process.umask(0o177);
      this.server.once('error', reject).listen(path, resolve);
      process.umask(before);
    });
    chmodSync(path, 0o600);
  }

  grown(key: string): void {
    for (const visitor of this.visitors) visitor.grown(key);
  }

  ended(key: string, ending: Ending): void {
    for (const visitor of this.visitors) visitor.ended(key, ending);
  }

  /** Takes no more servers; the socket goes. */
  close(): void {
    this.server.close();
    this.hangUp();
  }

  /** Lets go of the servers that are there. */
  hangUp(): void {
    for (const visitor of this.visitors) visitor.leave();
  }

  private welcome(socket: Socket): void {
    const visitor = new Visitor(socket, this.keeper, this.instance, {
      saidBye: () => this.changed(true),
      isAlone: () => this.visitors.size <= 1,
      // A state folder has one server: whoever was here before is dead, and what it asked and is not read yet is void.
      greeted: () => {
        for (const other of this.visitors) if (other !== visitor) other.dismiss();
      },
    });
    this.visitors.add(visitor);
    this.changed(false);
    socket.once('close', () => {
      visitor.left();
      this.visitors.delete(visitor);
      this.changed(false);
    });
  }
}

/** One server's connection. */
class Visitor {
  private readonly watched = new Set<string>();
  private readonly news = new Set<string>();
  private readonly launches = new Map<number, AbortController>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly keeper: Keeper,
    private readonly instance: string,
    private readonly desk: { saidBye(): void; isAlone(): boolean; greeted(): void },
  ) {
    const lines = new JsonLines((message) => void this.answer(message as Question));
    socket.on('error', () => socket.destroy());
    socket.on('drain', () => this.tellNews());
    socket.on('data', (chunk: Buffer) => {
      try {
        lines.push(chunk);
      } catch {
        socket.destroy(); // no server of ours
      }
    });
  }

  grown(key: string): void {
    if (!this.watched.has(key)) return;
    this.news.add(key);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.tellNews();
    }, GATHER);
  }

  ended(key: string, ending: Ending): void {
    if (this.watched.delete(key)) this.say({ news: 'ended', key, ending });
    this.news.delete(key);
  }

  /** The server is gone; what it was launching goes on, and is found by the next one. */
  left(): void {
    clearTimeout(this.timer);
  }

  dismiss(): void {
    this.socket.destroy();
  }

  leave(): void {
    this.socket.end();
  }

  private tellNews(): void {
    if (this.socket.writableNeedDrain || this.timer !== undefined) return;
    const keys = [...this.news];
    this.news.clear();
    for (const key of keys) this.say({ news: 'grown', key });
  }

  private say(message: Answer | News): void {
    if (this.socket.writable) this.socket.write(line(message));
  }

  private async answer(question: Question): Promise<void> {
    const { id } = question;
    try {
      const answer = await this.do(question);
      this.say({ id, answer });
      if (question.call === 'bye') this.desk.saidBye();
    } catch (error) {
      const message = reasonOf(error);
      this.say({
        id,
        error: {
          message,
          ...(error instanceof LaunchFailure && { launch: true as const, retry: error.retry }),
        },
      });
    }
  }

  private async do({ id, call, ask }: Question): Promise<unknown> {
    switch (call) {
      case 'hello':
        if (ask.instance !== this.instance) throw new Error('This keeper belongs to another state folder.');
        this.desk.greeted();
        return {};
      case 'launch': {
        const abort = new AbortController();
        this.launches.set(id, abort);
        try {
          const parts = { server: ask.inherited, debug: ask.debug };
          const handle = await this.keeper.launch(fromWire(ask.spec), parts, abort.signal);
          return { handle };
        } finally {
          this.launches.delete(id);
        }
      }
      case 'abort':
        this.launches.get(ask.launch)?.abort();
        return {};
      case 'watch': {
        const key = spoolKey(ask.handle);
        this.watched.add(key);
        const ending = this.keeper.watch(ask.handle);
        if (ending !== undefined) this.watched.delete(key);
        return ending === undefined ? {} : { ending };
      }
      case 'stop':
        return this.keeper.stop(ask.handle, ask.graceMs);
      case 'list':
        return { handles: await this.keeper.list() };
      case 'bye':
        return { ends: this.keeper.busy === 0 && this.desk.isAlone() };
      case 'usage':
        return { rss: process.memoryUsage.rss(), agents: this.keeper.running };
    }
  }
}
