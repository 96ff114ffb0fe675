/** The built program as a real process, in a project folder of its own. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';

export const PROGRAM = new URL('../../dist/main.js', import.meta.url).pathname;

export interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** One command that runs. */
export class CoralProcess {
  out = '';
  err = '';
  private readonly child: ChildProcessByStdio<null, Readable, Readable>;
  private readonly exit: Promise<number | null>;
  private ended = false;
  private tellNews: () => void = () => undefined;
  private news = this.nextNews();

  constructor(
    args: readonly string[],
    cwd: string,
    environment: Readonly<Record<string, string>>,
    program = PROGRAM,
    /** A command that starts it, as `setpriv` does. */
    through: readonly string[] = [],
  ) {
    const [command = '', ...words] = [...through, process.execPath, program, ...args];
    this.child = spawn(command, words, {
      cwd,
      env: { PATH: process.env['PATH'] ?? '', HOME: cwd, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
      this.tellNews();
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.err += text;
      this.tellNews();
    });
    this.exit = once(this.child, 'close').then(([code]) => {
      this.ended = true;
      this.tellNews();
      return code as number | null;
    });
  }

  /** Resolves when there is more output, or none will come. */
  private nextNews(): Promise<void> {
    return new Promise((resolve) => {
      this.tellNews = () => {
        this.news = this.nextNews();
        resolve();
      };
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** Resolves with the match once the output holds it; rejects when the command ends without. */
  async saw(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.out + this.err);
      if (match !== null) return match;
      if (this.ended) throw new Error(`ended without ${pattern}:\n${this.out}\n${this.err}`);
      await this.news;
    }
  }

  /** False when it has ended. */
  signal(name: NodeJS.Signals): boolean {
    return this.child.kill(name);
  }

  async finished(): Promise<Finished> {
    const code = await this.exit;
    return { code, out: this.out, err: this.err };
  }

  /** For the end of a test, whatever became of it. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exit;
  }
}

/** A folder with a configuration, agents and teams, and the commands called in it. */
export class Project {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'coral-project-')));
  private readonly started: CoralProcess[] = [];

  constructor(
    files: Readonly<Record<string, string>> = {},
    private readonly program = PROGRAM,
  ) {
    for (const [path, text] of Object.entries(files)) this.write(path, text);
  }

  write(path: string, text: string): void {
    const file = join(this.folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): CoralProcess {
    const command = new CoralProcess(args, this.folder, environment, this.program);
    this.started.push(command);
    return command;
  }

  /** A command run to its end. */
  coral(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Finished> {
    return this.start(args, environment).finished();
  }

  /** A server of this project that listens; its URL. */
  async serve(args: readonly string[] = []): Promise<{ server: CoralProcess; url: string }> {
    const server = this.start(['serve', '--network.bind-port=0', ...args]);
    const [, url = ''] = await server.saw(/listens on (http:\S+)/);
    return { server, url };
  }

  /** Ends the commands that still run. */
  async end(): Promise<void> {
    await Promise.all(this.started.map((command) => command.kill()));
  }

  async remove(): Promise<void> {
    await this.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const CONFIG = `
registry: {localAgents: [agents/*.yaml], includeCoralHomeAgents: false}
teams: [teams/*.yaml]
`;

/** A definition with the given runtimes (YAML flow text) and options. */
export function definition(name: string, runtimes: string, options = '{}'): string {
  return `
edition: 4
agent: {name: ${name}, version: 1.0.0, description: For a test., summary: Test., readme: Test., license: {type: spdx, expression: MIT}}
runtimes: ${runtimes}
options: ${options}
`;
}
