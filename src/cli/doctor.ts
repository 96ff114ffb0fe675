/** `coral doctor`: whether everything that this project needs is there and works, with what to do where it does not. */
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import semver from 'semver';
import { readConfig, type Config } from '../config.ts';
import { createHost } from '../host.ts';
import { PACKAGE_ROOT } from '../package-root.ts';
import type { Fault, Registry } from '../ports/registry.ts';
import { isAlive } from '../process-identity.ts';
import { strangerIn } from '../runtimes/executable/keeper/living.ts';
import { holderOf, readInstance } from '../state-folder.ts';
import type { LockHolder } from '../state-lock.ts';
import { EXIT } from './exit-codes.ts';
import { findRunning } from './reach.ts';
import { describeFault } from './faults.ts';
import type { Invocation } from './invocation.ts';
import { withConfig, withExamples, withJson, type ConfigOptions, type JsonOption } from './settings.ts';
import { loadRegistry } from './team.ts';
import { count } from './text.ts';

/** One thing that was looked at. */
interface Finding {
  readonly name: 'node' | 'configuration' | 'state' | 'journal' | 'executables' | 'registry' | 'docker';
  /** `note`: not as it could be, but nothing fails for it. */
  readonly status: 'good' | 'note' | 'wrong';
  /** Sentences; at least one. */
  readonly says: readonly string[];
}

/** Adds the command. */
export function doctorCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('doctor')
    .description(
      'Look whether everything needed is there and works: Node, configuration, state folder, journal, agents and teams, Docker.',
    )
    .action(async (options: ConfigOptions & JsonOption) => done(await examine(invocation, options)));
  withJson(withConfig(command), 'the findings as one line of JSON');
  withExamples(command, [
    ['coral doctor', 'what is wrong, and what to do'],
    ['coral doctor --json', 'the same for machines'],
  ]);
  command.addHelpText('after', '\nExit codes: 0 nothing is wrong, 1 something is.');
}

async function examine(invocation: Invocation, options: ConfigOptions & JsonOption): Promise<number> {
  const { line, colors } = invocation.terminal;
  const findings: Finding[] = [];
  const found = (finding: Finding): void => {
    findings.push(finding);
    if (options.json === true) return;
    const mark = { good: colors.green('✓'), note: colors.yellow('!'), wrong: colors.red('✗') }[
      finding.status
    ];
    finding.says.forEach((text, n) =>
      line(n === 0 ? `${mark} ${finding.name.padEnd(13)}  ${text}` : `${' '.repeat(17)}${text}`),
    );
  };
  found(nodeFinding());
  const { config, faults } = readConfig({
    file: options.config,
    stateDir: options.stateDir,
    flags: invocation.settings,
    environment: invocation.terminal.environment,
    cwd: invocation.terminal.cwd,
  });
  found(configurationFinding(config, faults, invocation));
  if (config !== undefined) {
    const trouble = troubleOf(config.stateDir);
    // Nothing is looked for in a folder that is none.
    const holder = trouble === undefined ? holderOf(config.stateDir) : undefined;
    found(trouble ?? stateFinding(config, holder));
    if (trouble === undefined) found(await journalFinding(config, holder));
    found(await executablesFinding(config));
    const registry = await loadRegistry(config);
    try {
      found(registryFinding(registry, invocation));
      // What an interrupted check leaves is swept by the server of this folder.
      const instance = trouble === undefined ? readInstance(config.stateDir) : undefined;
      found(await dockerFinding(config, registry, holder, instance ?? 'doctor', invocation));
    } finally {
      await registry.close();
    }
  }
  const isWell = findings.every(({ status }) => status !== 'wrong');
  if (options.json === true) line(JSON.stringify({ ok: isWell, findings }));
  return isWell ? EXIT.ok : EXIT.failed;
}

function nodeFinding(): Finding {
  const { engines } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
    engines: { node: string };
  };
  const { version } = process;
  return semver.satisfies(version, engines.node)
    ? { name: 'node', status: 'good', says: [`Node ${version.slice(1)}.`] }
    : {
        name: 'node',
        status: 'wrong',
        says: [`Node is ${version.slice(1)}, but ${engines.node} is needed; install a newer one.`],
      };
}

function configurationFinding(
  config: Config | undefined,
  faults: readonly Fault[],
  { terminal }: Invocation,
): Finding {
  const says = faults.map((fault) => describeFault(fault, terminal.cwd));
  if (config === undefined) return { name: 'configuration', status: 'wrong', says };
  if (says.length > 0) return { name: 'configuration', status: 'note', says };
  const what =
    config.file === undefined ? 'There is no file; every key has its default.' : `${config.file} is valid.`;
  return { name: 'configuration', status: 'good', says: [what] };
}

function troubleOf(stateDir: string): Finding | undefined {
  const existing = nearest(stateDir);
  const isFolder = statSync(existing).isDirectory();
  if (isFolder && isWritable(existing)) return undefined;
  const why = isFolder ? 'is not writable' : 'is no folder';
  const text = `${existing} ${why}: change that, or name another state folder with --state-dir.`;
  return { name: 'state', status: 'wrong', says: [text] };
}

function stateFinding({ stateDir }: Config, holder: LockHolder | undefined): Finding {
  const state = existsSync(stateDir) ? `${stateDir} is writable` : `${stateDir} is made at the first start`;
  const where = holder?.url === undefined ? 'and is still starting' : `and listens on ${holder.url}`;
  const held =
    holder === undefined
      ? 'no server holds it.'
      : `process ${holder.pid} holds it since ${holder.since} ${where}.`;
  return { name: 'state', status: 'good', says: [`${state}; ${held}`] };
}

async function journalFinding(config: Config, holder: LockHolder | undefined): Promise<Finding> {
  const file = join(config.stateDir, 'journal.db');
  const good = (text: string): Finding => ({ name: 'journal', status: 'good', says: [text] });
  if (config.journal.kind === 'memory') return good('It is kept in memory (journal.kind).');
  if (!existsSync(file)) return good('There is none yet.');
  if (holder !== undefined) {
    const quarantined = await quarantinedBy(config);
    return quarantined.length > 0
      ? { name: 'journal', status: 'wrong', says: quarantined }
      : good(
          'It is in use, and the server found no damage where it looked; coral journal check looks at all of it, once the server is stopped.',
        );
  }
  const { checkJournal } = await import('../journal/maintenance.ts');
  try {
    const { problems, streams, events, bytes } = checkJournal(file);
    if (problems.length > 0) return { name: 'journal', status: 'wrong', says: problems };
    return good(
      `It is whole: ${count(streams, 'stream')}, ${count(events, 'event')}, ${count(bytes, 'byte')}.`,
    );
  } catch (error) {
    return { name: 'journal', status: 'wrong', says: [(error as Error).message] };
  }
}

/** A sentence for each session that the server does not serve; none also when it does not answer. */
async function quarantinedBy(config: Config): Promise<readonly string[]> {
  try {
    const server = await findRunning(config);
    const sessions = (await server?.client.archive.quarantined()) ?? [];
    return sessions.map(({ namespace, id, status }) => {
      const why = status.type === 'quarantined' ? status.message : '';
      return `Session ${namespace}/${id} is in quarantine. ${why}`;
    });
  } catch {
    return [];
  }
}

/** Whether a server that is started here, now, by this user, can have executables, and limit what they use. */
async function executablesFinding({ stateDir }: Config): Promise<Finding> {
  const stranger = strangerIn(join(stateDir, 'keeper'), isAlive);
  if (stranger !== undefined) return { name: 'executables', status: 'wrong', says: [stranger] };
  const { ControlGroups } = await import('../runtimes/executable/control-groups.ts');
  const missing = new ControlGroups('doctor').missing();
  return missing.length === 0
    ? {
        name: 'executables',
        status: 'good',
        says: ['Their memory, CPUs and number of processes can be limited.'],
      }
    : { name: 'executables', status: 'note', says: missing.map((what) => `Not to be limited: ${what}.`) };
}

function registryFinding(registry: Registry, { terminal }: Invocation): Finding {
  const faults = registry.faults();
  const says = faults.map((fault) => describeFault(fault, terminal.cwd));
  const offers = `${count(registry.agents().length, 'agent')} and ${count(registry.teams().length, 'team')}.`;
  if (says.length === 0) return { name: 'registry', status: 'good', says: [offers] };
  says.push(offers);
  const isWrong = faults.some(({ severity }) => severity === 'error');
  return { name: 'registry', status: isWrong ? 'wrong' : 'note', says };
}

async function dockerFinding(
  config: Config,
  registry: Registry,
  holder: LockHolder | undefined,
  instance: string,
  { terminal }: Invocation,
): Promise<Finding> {
  const [{ checkConfiguredDocker, usesDocker }, { agentDoors }] = await Promise.all([
    import('../app/docker.ts'),
    import('../http/agent-doors.ts'),
  ]);
  const running = holder?.url === undefined ? undefined : Number(new URL(holder.url).port);
  const port = running ?? config.network.bindPort;
  // A server that runs may be reachable itself; where none does, a door of our own stands for it.
  const address = running === undefined ? '127.0.0.1' : config.network.bindAddress;
  const doors = agentDoors({ handle: () => false, server: () => ({ address, port }) });
  const folder = mkdtempSync(join(tmpdir(), 'coral-doctor-'));
  try {
    const { engine, reached, problems, notes, ...found } = await checkConfiguredDocker(
      config,
      {
        instance,
        folder,
        host: createHost(),
        environment: terminal.environment,
        doors,
      },
      { port: running ?? 0, name: `doctor ${process.pid}` },
    );
    if (problems.length > 0) {
      const isNeeded = usesDocker(registry);
      const says = isNeeded ? problems : [...problems, 'No agent here runs in a container.'];
      return { name: 'docker', status: isNeeded ? 'wrong' : 'note', says };
    }
    const way = reached ? [`Containers reach this machine at ${found.address ?? ''}.`] : notes;
    return { name: 'docker', status: 'good', says: [`${engine ?? ''}.`, ...way] };
  } finally {
    await doors.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The path, or the nearest above it that is there. */
function nearest(path: string): string {
  return existsSync(path) ? path : nearest(dirname(path));
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
