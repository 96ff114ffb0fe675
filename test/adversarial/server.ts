/** A built server that is started again whenever it dies, until it is stopped in good order. */
import { join } from 'node:path';
import type { CoralProcess, Project } from '../support/coral-process.ts';

/** The key of every server here. */
export const KEY = 'a-key-of-this-test';

/** Pause before a start that failed is tried again, ms, and how often in a row it is. */
const AGAIN = 250;
const PATIENCE = 60;

/** One server of one project, over all its lives. */
export class Server {
  /** How often it died. */
  deaths = 0;
  private life: CoralProcess | undefined;
  private listening: Promise<string> | undefined;
  private wanted = true;
  /** Starts that failed, one after the other. */
  private failures = 0;
  /** What each life that is over has said. */
  readonly log: string[] = [];

  private constructor(
    private readonly project: Project,
    private readonly args: readonly string[],
    private readonly isPatient: boolean,
  ) {}

  /**
   * Resolves once it listens for the first time: on a port that it has over all its lives. `isPatient`: a start that fails
   * is tried again.
   */
  static async start(project: Project, { isPatient = false } = {}): Promise<Server> {
    for (let port = firstPort(); ; port += 1) {
      const server = new Server(project, [`--network.bind-port=${port}`], isPatient);
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

  /** False when it does not live. */
  signal(name: NodeJS.Signals): boolean {
    return this.life?.signal(name) ?? false;
  }

  /** It dies and is not started again: for the end of a test, whatever became of it. */
  abandon(): void {
    this.wanted = false;
    this.signal('SIGKILL');
  }

  /** Starts it again after `stop`. */
  async again(): Promise<void> {
    this.wanted = true;
    this.live();
    await this.up();
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
    this.listening = life.saw(/listens on (http:\S+)/).then(([, url = '']) => {
      this.failures = 0;
      return url;
    });
    // Whoever asks hears of it.
    this.listening.catch(() => undefined);
    void life.finished().then(({ code, out, err }) => {
      this.log.push(`${out}${err}`);
      if (!this.wanted) return;
      if (code === null) {
        this.deaths += 1;
        this.live();
      } else this.failed();
    });
  }

  /** A start that fails for ever is told of; one that fails while a disk is full is tried again, as any supervisor does. */
  private failed(): void {
    if (!this.isPatient || this.failures >= PATIENCE) return;
    this.failures += 1;
    setTimeout(() => {
      if (this.wanted) this.live();
    }, AGAIN);
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
