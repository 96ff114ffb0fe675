/** A built server that is started again whenever it dies, until it is stopped in good order. */
import { join } from 'node:path';
import type { CoralProcess, Project } from '../support/coral-process.ts';

/** The key of every server here. */
export const KEY = 'a-key-of-this-test';

/** One server of one project, over all its lives. */
export class Server {
  /** How often it died. */
  deaths = 0;
  private life: CoralProcess | undefined;
  private listening: Promise<string> | undefined;
  private wanted = true;

  private constructor(
    private readonly project: Project,
    private readonly args: readonly string[],
  ) {}

  /** Resolves once it listens for the first time: on a port that it has over all its lives. */
  static async start(project: Project, args: readonly string[] = []): Promise<Server> {
    for (let port = firstPort(); ; port += 1) {
      const server = new Server(project, [`--network.bind-port=${port}`, ...args]);
      server.live();
      try {
        await server.up();
        return server;
      } catch (error) {
        if (!String(error).includes('is in use')) throw error;
      }
    }
  }

  /** Its URL, as soon as it listens. Rejects when it cannot be started. */
  async up(): Promise<string> {
    for (;;) {
      const listening = this.listening;
      if (listening === undefined) throw new Error('The server was stopped.');
      try {
        return await listening;
      } catch (error) {
        // Killed while it started: the next life is on its way.
        if (this.listening === listening) throw error;
      }
    }
  }

  get pid(): number {
    return this.life?.pid ?? -1;
  }

  /** All it said, in this life. */
  get said(): string {
    return `${this.life?.out}${this.life?.err}`;
  }

  signal(name: NodeJS.Signals): void {
    this.life?.signal(name);
  }

  /** SIGTERM; resolves with its exit code. */
  async stop(): Promise<number | null> {
    await this.up();
    this.wanted = false;
    this.life?.signal('SIGTERM');
    return (await this.life?.finished())?.code ?? null;
  }

  /** Resolves when the life there is now is over. */
  async over(): Promise<void> {
    await this.life?.finished();
  }

  private live(): void {
    const life = this.project.start(['serve', ...this.args]);
    this.life = life;
    this.listening = life.saw(/listens on (http:\S+)/).then(([, url = '']) => url);
    // Whoever asks hears of it.
    this.listening.catch(() => undefined);
    void life.finished().then(({ code }) => {
      if (!this.wanted) return;
      // A start that fails by itself would fail for ever.
      if (code !== null) return;
      this.deaths += 1;
      this.live();
    });
  }
}

/** Below those that the system gives away, so that nobody else gets it while the server is dead. */
function firstPort(): number {
  return 10_000 + ((process.pid * 37) % 20_000);
}

/** The state folder of a project. */
export function stateFolder(project: Project): string {
  return join(project.folder, '.coral');
}
