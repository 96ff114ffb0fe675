/**
 * Runs agents as processes of this machine: each in a process group of its own, with a clean environment, ended with
 * everything it started. Source: docs/wire.md, "Environment of an agent"; the port: ports/runtime.ts.
 */
import { spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Ending } from '../../domain/exit.ts';
import type { AgentPlan } from '../../domain/graph.ts';
import type { Labels, LaunchSpec } from '../../domain/launch.ts';
import { reasonOf } from '../../domain/reason.ts';
import { secretsIn } from '../../domain/sealed.ts';
import { LaunchFailure } from '../../ports/runtime.ts';
import type { Attachment, Found, Handle, Observer, Runtime, StopReceipt } from '../../ports/runtime.ts';
import { lost } from '../ending.ts';
import { labelsIn, markOf } from '../mark.ts';
import { OptionFiles } from '../option-files.ts';
import { Unclaimed, Watch } from '../watch.ts';
import { AdoptedProcesses } from './adopted.ts';
import { Child } from './child.ts';
import type { ChildContext, ChildHandle } from './child.ts';
import { ControlGroups } from './control-groups.ts';
import { environmentOf } from './environment.ts';
import { handleFor, handleOf, readHandle } from './handle.ts';
import type { ProcessHandle } from './handle.ts';
import { outOfMemoryWitness } from './out-of-memory.ts';
import { DEFAULT_OUTPUT_LIMITS } from '../output-gate.ts';
import type { OutputLimits } from '../output-gate.ts';
import { refusalsOf, withinPolicy } from './policy.ts';
import type { ExecutablePolicy } from './policy.ts';
import { ProcTable } from './process-table-proc.ts';
import { psTable } from './process-table-ps.ts';
import type { ProcessTable, Seen } from './process-table.ts';
import { findProgram } from './program.ts';

/** What the executable runtime needs to know of its server. */
export interface ExecutableRuntimeOptions {
  /** The server's instance id: goes into every mark. */
  readonly instance: string;
  /** The server's own environment, of which agents get what their definition lets through. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Wall-clock ms. */
  readonly now: () => number;
  /** Where option files are written, in a folder named after the instance. Absolute. */
  readonly temporaryFolder: string;
  /** The host under which agents reach the server. Default: `127.0.0.1`. */
  readonly address?: string;
  /** The operator's additional variables for every agent; all but CORAL_* win over the agent's own. */
  readonly debugEnvironment?: Readonly<Record<string, string>>;
  /** Of output beyond this the newest is kept. Default: 4 MiB/s, 32 MiB at once. */
  readonly output?: OutputLimits;
  /** Between SIGTERM and SIGKILL for what an agent that ended by itself left running, ms. Default 2,000. */
  readonly leftoverGraceMs?: number;
  /** What the operator lets them use. Default: as much as there is. */
  readonly policy?: ExecutablePolicy;
  /** Default: by platform. */
  readonly table?: ProcessTable;
}

/** Between two looks at the control groups of others, ms. */
const STRANGERS_AFTER = 10_000;
/** Ended agents whose end nobody asked for yet; each may hold two pipes open. */
const MAX_UNCLAIMED = 256;

/** What an agent's environment gets from the server, besides the launch's own variables. */
export interface EnvironmentParts {
  /** What `inheritEnvironment` lets through passes from here. */
  readonly server: Readonly<Record<string, string | undefined>>;
  /** Above everything but CORAL_*. */
  readonly debug: Readonly<Record<string, string>>;
}

/** The runtime, whose launches may also be given their environment one by one. */
export interface ExecutableRuntime extends Runtime {
  /** `launch` with these parts in place of the runtime's own. */
  launchWith(spec: LaunchSpec, parts: EnvironmentParts, signal: AbortSignal): Promise<Handle>;
}

/** A runtime for processes of this machine. It sees what an earlier one with the same instance started. */
export function executableRuntime(options: ExecutableRuntimeOptions): ExecutableRuntime {
  return new DirectRuntime(options);
}

class DirectRuntime implements ExecutableRuntime {
  readonly kind = 'executable';
  private readonly table: ProcessTable;
  private readonly files: OptionFiles;
  private readonly adopted: AdoptedProcesses;
  private readonly children = new Map<string, Child>();
  private readonly unclaimed = new Unclaimed<Child>((child) => child.abandon(), MAX_UNCLAIMED);
  /** Labels of launches under way and of children, whose option files are in use. */
  private readonly inUse = new Set<Labels>();
  private readonly memory = outOfMemoryWitness();
  private readonly groups: ControlGroups;
  private strangers: NodeJS.Timeout | undefined;
  private lastStart: Promise<void> = Promise.resolve();

  constructor(private readonly options: ExecutableRuntimeOptions) {
    this.table = options.table ?? (process.platform === 'linux' ? new ProcTable() : psTable());
    this.files = new OptionFiles(join(options.temporaryFolder, `coral-options-${options.instance}`));
    this.adopted = new AdoptedProcesses(this.table);
    this.groups = new ControlGroups(options.instance);
  }

  async unavailable(): Promise<string | undefined> {
    return process.platform === 'win32'
      ? 'Executables cannot be run on Windows, which has no process groups; run the server under Linux, macOS or WSL.'
      : undefined;
  }

  async refuses(plan: AgentPlan): Promise<readonly string[]> {
    return refusalsOf(plan, this.options.policy);
  }

  async launch(spec: LaunchSpec, signal: AbortSignal): Promise<Handle> {
    const { environment: server, debugEnvironment: debug = {} } = this.options;
    return this.launchWith(withinPolicy(spec, this.options.policy), { server, debug }, signal);
  }

  async launchWith(spec: LaunchSpec, parts: EnvironmentParts, signal: AbortSignal): Promise<Handle> {
    const { how, labels } = spec;
    if (how.kind !== 'executable') throw new LaunchFailure(`A ${how.kind} agent is no executable.`);
    this.inUse.add(labels);
    try {
      await refuseMissingFolder(spec.folder);
      const files = await this.files.write(labels, spec.files).catch((error: unknown) => {
        throw new LaunchFailure(`The agent's option files could not be written: ${reasonOf(error)}`, true, {
          cause: error,
        });
      });
      const environment = environmentOf(spec, {
        ...parts,
        inherit: how.inheritEnvironment,
        files,
      });
      const program = await findProgram(how.path, spec.folder, environment['PATH']);
      const boot = await this.table.boot();
      await this.turnToStart();
      if (signal.aborted) throw new LaunchFailure('The launch was given up before the program was started.');
      const secrets = [...spec.secrets, ...secretsIn(environment, files)];
      const { child, handle } = await this.start({ ...spec, secrets }, program, environment, boot);
      if (signal.aborted) {
        await child.stop(0);
        child.abandon();
        throw new LaunchFailure('The launch was given up; the program was started and ended at once.');
      }
      this.keep(handle.id, child);
      return handle;
    } catch (error) {
      this.inUse.delete(labels);
      await this.files.remove(labels);
      throw error;
    }
  }

  attach(handle: Handle, observer: Observer): Attachment {
    const child = this.children.get(handle.id) ?? this.unclaimed.claim(handle.id);
    if (child) return child.attach(observer);
    const watch = new Watch();
    const attachment = watch.attach(observer);
    const stopLooking = this.watchAdopted(handle, (ending) => watch.end(ending));
    return {
      ended: attachment.ended,
      detach: () => {
        attachment.detach();
        stopLooking();
      },
    };
  }

  async stop(handle: Handle, graceMs: number): Promise<StopReceipt> {
    const child = this.children.get(handle.id) ?? this.unclaimed.get(handle.id);
    if (child) return child.stop(graceMs);
    const ours = readHandle(handle);
    if (!ours || ours.boot !== (await this.table.boot())) return { gone: true, left: [] };
    const group = this.groups.of(ours.mark);
    const receipt = await this.adopted.end({ ...ours, ...(group && { group }) }, graceMs);
    if (receipt.gone) {
      group?.remove();
      await this.files.remove(ours.labels);
    }
    return receipt;
  }

  async list(): Promise<readonly Found[]> {
    const boot = await this.table.boot();
    const marked = new Map<string, Seen[]>();
    for (const seen of await this.table.scan()) {
      if (seen.mark === undefined || labelsIn(seen.mark)?.instance !== this.options.instance) continue;
      marked.set(seen.mark, [...(marked.get(seen.mark) ?? []), seen]);
    }
    const own = new Map([...this.children.values()].map(({ target }) => [target.mark, target]));
    // A child that wiped its environment bears no mark any more; it is known all the same.
    for (const { mark, pid, start } of own.values()) {
      if (!marked.has(mark) && this.table.isAlive(pid, start)) marked.set(mark, []);
    }
    const found = [...marked].map(([mark, members]): Found => {
      const child = own.get(mark);
      const handle = child
        ? handleOf(child.pid, child.start, boot, mark)
        : leftoverHandle(mark, members, boot);
      return { handle, labels: labelsIn(mark)! };
    });
    const inUse = [...found.map(({ labels }) => labels), ...this.inUse];
    this.groups.sweep(inUse.map(markOf));
    this.sweepStrangers();
    await this.files.sweep(inUse);
    return found;
  }

  addressOf(port: number): string {
    return `${this.options.address ?? '127.0.0.1'}:${port}`;
  }

  async close(): Promise<void> {
    clearTimeout(this.strangers);
    this.adopted.close();
    this.groups.sweep([]);
    this.unclaimed.clear();
    for (const child of this.children.values()) child.abandon();
    this.children.clear();
  }

  /** Once in a life: what crashes of others left, whose state folders nobody may ever use again. */
  private sweepStrangers(): void {
    if (this.strangers !== undefined) return;
    const empty = this.groups.sweepStrangers(new Set());
    this.strangers = setTimeout(() => this.groups.sweepStrangers(empty), STRANGERS_AFTER).unref();
  }

  /** Starting a process holds the event loop up for milliseconds: one in a turn, however many are asked for at once. */
  private turnToStart(): Promise<void> {
    this.lastStart = this.lastStart.then(() => new Promise((resolve) => setImmediate(resolve)));
    return this.lastStart;
  }

  private async start(
    spec: LaunchSpec,
    program: string,
    environment: Record<string, string>,
    boot: string,
  ): Promise<{ child: Child; handle: ProcessHandle }> {
    const { how, labels } = spec;
    if (how.kind !== 'executable') throw new Error('unreachable');
    this.memory.refresh();
    const mark = markOf(labels);
    const { group: made, unlimited } = this.groups.make(mark, how.resources ?? {});
    const begin = (): ChildHandle =>
      spawn(program, how.arguments, {
        cwd: spec.folder,
        env: environment,
        detached: true, // a session and process group of its own: ended as a whole, and no Ctrl-C of ours reaches it
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    let begun: { readonly started: ChildHandle; readonly trouble?: string };
    try {
      begun = made === undefined ? { started: begin() } : made.startIn(begin);
    } catch (error) {
      made?.remove();
      throw startFailure(program, error);
    }
    const { started, trouble } = begun;
    const { pid } = started;
    if (pid === undefined) {
      made?.remove();
      throw startFailure(program, await new Promise((resolve) => started.once('error', resolve)));
    }
    // In the same turn: until Node has waited for it, even a program that ended at once still has its entry.
    const start = this.table.startOf(pid) ?? '';
    // Where this process itself may still be in it, nothing is ended by way of it.
    const group = trouble === undefined ? made : undefined;
    const lacking = group?.limit(how.resources ?? {}) ?? [];
    const outside = trouble === undefined ? [] : [`Its limits do not hold: ${trouble}.`];
    const handle = handleFor(pid, start, boot, labels, [...unlimited, ...lacking, ...outside]);
    started.on('error', () => undefined); // a signal that could not be sent; the next look tells
    const context: ChildContext = {
      table: this.table,
      now: this.options.now,
      output: this.options.output ?? DEFAULT_OUTPUT_LIMITS,
      leftoverGraceMs: this.options.leftoverGraceMs ?? 2_000,
      outOfMemory: () => {
        // Asked in any case: a kill in the agent's own group is also counted in the server's.
        const isCounted = this.memory.ask();
        return group?.ranOutOfMemory() === true ? 'limit' : isCounted ? 'machine' : undefined;
      },
      cleanUp: async () => {
        group?.remove();
        await this.files.remove(labels);
        this.inUse.delete(labels);
      },
    };
    const child = new Child(started, spec, { pid, start, mark, ...(group && { group }) }, context);
    return { child, handle };
  }

  /** A child is kept until its ending was told; when nobody listens, as long as there is room. */
  private keep(id: string, child: Child): void {
    this.children.set(id, child);
    const setAside = (): void => {
      if (this.children.delete(id)) this.unclaimed.keep(id, child);
    };
    void child.gone.then(() => {
      if (!child.isWatched) setAside();
    });
    void child.concluded.then((told) => {
      if (!told) setAside();
      this.children.delete(id);
    });
  }

  /** Looks at a process of an earlier life until it is gone, ends what it left, and says so. */
  private watchAdopted(handle: Handle, say: (ending: Ending) => void): () => void {
    const ours = readHandle(handle);
    if (!ours) {
      queueMicrotask(() => say(lost('Nobody knows this process.')));
      return () => undefined;
    }
    let isWanted = true;
    let stopLooking = (): void => {
      isWanted = false;
    };
    const conclude = async (how: string): Promise<void> => {
      await this.stop(handle, this.options.leftoverGraceMs ?? 2_000);
      await this.files.remove(ours.labels);
      say(lost(how));
    };
    void this.table.boot().then((boot) => {
      if (!isWanted) return;
      if (boot !== ours.boot) return conclude('It is gone: the machine was started anew since.');
      const unseen = `Process ${ours.pid} is gone, and nobody saw how it ended: the server that started it had ended before.`;
      stopLooking = this.adopted.watch(ours, () => void conclude(unseen));
      return undefined;
    });
    return () => stopLooking();
  }
}

/** The handle of what a crash left: the group's leader, else its oldest member under the group's number. */
function leftoverHandle(mark: string, members: readonly Seen[], boot: string): ProcessHandle {
  const leader = members.find(({ pid, group }) => pid === group);
  return leader
    ? handleOf(leader.pid, leader.start, boot, mark)
    : handleOf(members[0]!.group, '', boot, mark);
}

async function refuseMissingFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return;
  throw new LaunchFailure(
    `The agent's folder ${folder} is not there any more; restore it or create a new session.`,
  );
}

function startFailure(program: string, error: unknown): LaunchFailure {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const name = basename(program);
  const retry = ['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM', 'ETXTBSY'].includes(code);
  const sentence =
    code === 'ENOENT'
      ? `The program ${program} is there, but what its first line names to run it is not; install that or change the line.`
      : code === 'E2BIG'
        ? `${name} could not be started: its arguments and environment are longer than the system allows; use transport "fs" for long options.`
        : code === 'EACCES'
          ? `${program} may not be executed by the server's user; check its permissions and those of what its first line names.`
          : `${name} could not be started (${reasonOf(error)})${retry ? '; the machine is short of processes, files or memory.' : '.'}`;
  return new LaunchFailure(sentence, retry, { cause: error });
}
