/** A Docker Engine of a test's own, without a bridge of its own making, which may be stopped, killed and frozen. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '../../src/runtimes/docker/engine.ts';
import { hasOwnNetwork } from './own-network.ts';

export class OwnEngine {
  readonly endpoint: string;
  private process: ChildProcess | undefined;
  /** A child of dockerd's own would die with it. */
  private containerd: ChildProcess | undefined;

  private constructor(
    private readonly folder: string,
    private readonly liveRestore: boolean,
  ) {
    this.endpoint = join(folder, 'd.sock');
  }

  static async begin(options: { liveRestore: boolean }): Promise<OwnEngine> {
    const own = new OwnEngine(await mkdtemp(join(tmpdir(), 'coral-dockerd-')), options.liveRestore);
    try {
      await own.start();
      return own;
    } catch (error) {
      await own.end();
      throw error;
    }
  }

  /** Of the engine's own process. */
  get pid(): number {
    return this.process?.pid ?? -1;
  }

  async start(): Promise<void> {
    try {
      await this.launch();
    } catch (error) {
      // An engine that was killed over making a network may never start again (moby/libnetwork, reservePools): its
      // operator removes what it knows of networks.
      if (!readFileSync(join(this.folder, 'log'), 'utf8').includes('reservePools')) throw error;
      await rm(join(this.folder, 'data', 'network'), { recursive: true, force: true });
      await this.launch();
    }
  }

  private async launch(): Promise<void> {
    const log = await open(join(this.folder, 'log'), 'a');
    const containerd = join(this.folder, 'c.sock');
    if (this.containerd === undefined) {
      const state = ['--root', join(this.folder, 'c-root'), '--state', join(this.folder, 'c-state')];
      this.containerd = spawn('containerd', ['--address', containerd, ...state], {
        stdio: ['ignore', log.fd, log.fd],
      });
      while (!existsSync(containerd)) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    // In a network namespace of its own: an engine without a bridge removes the machine's docker0. Where we are in one, in
    // ours: so we reach the networks that it makes.
    const [command, ...before] = hasOwnNetwork() ? ['dockerd'] : ['unshare', '--net', 'dockerd'];
    this.process = spawn(
      command,
      [
        ...before,
        ...[
          '-H',
          `unix://${this.endpoint}`,
          '--data-root',
          join(this.folder, 'data'),
          '--exec-root',
          join(this.folder, 'exec'),
        ],
        ...['--containerd', containerd],
        ...[
          '--pidfile',
          join(this.folder, 'pid'),
          '--bridge=none',
          '--iptables=false',
          '--ip6tables=false',
          '--shutdown-timeout=5',
        ],
        ...(this.liveRestore ? ['--live-restore'] : []),
      ],
      { stdio: ['ignore', log.fd, log.fd] },
    );
    await log.close();
    const engine = new Engine({ endpoint: this.endpoint, pingTimeoutMs: 1_000 });
    try {
      for (let tries = 0; ; tries += 1) {
        try {
          await engine.ping();
          return;
        } catch (error) {
          if (tries === 300 || this.process.exitCode !== null) throw error;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }
    } finally {
      engine.close();
    }
  }

  /** Sends a signal to this engine's own process alone; resolves when it has ended, where it ends by it. */
  async signal(name: NodeJS.Signals): Promise<void> {
    const ended = new Promise((resolve) => this.process!.once('exit', resolve));
    this.process!.kill(name);
    if (name === 'SIGTERM' || name === 'SIGKILL') await ended;
  }

  async end(): Promise<void> {
    // They would outlive an engine that restores them.
    await this.removeContainers().catch(() => undefined);
    if (this.process?.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGCONT');
      await this.signal('SIGTERM');
    }
    if (this.containerd !== undefined) {
      const ended = new Promise((resolve) => this.containerd!.once('exit', resolve));
      this.containerd.kill('SIGTERM');
      await ended;
    }
    endAllThatName(this.folder);
    // A killed engine leaves its mounts.
    const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
    for (const path of mounts.map((line) => line.split(' ')[1] ?? '').reverse()) {
      if (path.startsWith(`${this.folder}/`)) spawnSync('umount', ['-l', path]);
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  private async removeContainers(): Promise<void> {
    const engine = new Engine({ endpoint: this.endpoint, pingTimeoutMs: 1_000 });
    try {
      const all = await engine.json<{ Id: string }[]>({ path: '/containers/json', query: { all: 1 } });
      for (const { Id } of all)
        await engine.text({ method: 'DELETE', path: `/containers/${Id}`, query: { force: 1 } });
    } finally {
      engine.close();
    }
  }
}

/** Kills what names the folder in its command, with its children: containers that the engine forgot, and who watches them. */
function endAllThatName(folder: string): void {
  const read = (file: string): string => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return ''; // it has ended
    }
  };
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => ({
      pid,
      parent: /\) . (\d+)/.exec(read(`/proc/${pid}/stat`))?.[1],
      isNamed: read(`/proc/${pid}/cmdline`).includes(`${folder}/`),
    }));
  const named = new Set(all.filter(({ isNamed }) => isNamed).map(({ pid }) => pid));
  for (const { pid, parent } of all)
    if (named.has(pid) || named.has(parent ?? '')) spawnSync('kill', ['-KILL', pid]);
}
