/**
 * The registry of definition and team files on disk.
 *
 * F1 What is offered is always what the files say now: a look (`scan`) finds them anew and reads what changed.
 * F2 A file that is broken, gone or not read yet offers nothing; nothing of its earlier content stays.
 *    (A change that waits for a URL keeps what was before until the answer is there, ten seconds at most.)
 * F3 Of two definitions of one name and version, or two teams of one name, the first stays: patterns in their order,
 *    then paths in theirs. The other is a fault that names both files.
 * F4 Looks never overlap; a change during one leads to another after it.
 *
 * Source: docs/wire.md, "Agent definitions".
 */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RegistryAgent } from '../domain/definition.ts';
import type { Fault, Registry } from '../ports/registry.ts';
import { compile, DEFINITIONS, findFiles, TEAMS } from './patterns.ts';
import type { Found, Pattern } from './patterns.ts';
import { idOf, makeOffer, NOTHING } from './offer.ts';
import type { Offer } from './offer.ts';
import { readDefinitionText, readTeamText, readText } from './read-file.ts';
import type { DefinitionReading, TeamFileReading } from './read-file.ts';
import { watch } from './watch.ts';
import type { Watch } from './watch.ts';

/** Where files are looked for, and how often. */
export interface RegistryOptions {
  /** Where definitions are; relative ones start at `base`. */
  readonly patterns: readonly string[];
  /** Absolute: the folder of the configuration file. */
  readonly base: string;
  /** The user's home folder: `~/.coral/agents/*` is searched when given. */
  readonly home?: string;
  /** Where team files are. */
  readonly teams: readonly string[];
  /** Definition files that are always in, before all others. Absolute. */
  readonly builtin?: readonly string[];
  readonly watch: boolean;
  /** A look at everything this often, ms; besides watching, or instead. */
  readonly rescanMs?: number;
  /** Wall-clock ms. */
  readonly now: () => number;
  /** Told every fault once while it lasts. */
  readonly warn: (fault: Fault) => void;
}

/** Resolves once everything has been read. Faults of files never reject; they are told and kept in `faults()`. */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const registry = new FileRegistry(options);
  await registry.open();
  return registry;
}

interface Entry<R> {
  text: string;
  /** Of the files it refers to. */
  fingerprint: string;
  reading?: R;
  /** Only the latest reading counts. */
  turn: number;
}

class FileRegistry implements Registry {
  readAt: number;
  private readonly definitionPatterns: readonly Pattern[];
  private readonly teamPatterns: readonly Pattern[];
  private readonly definitions = new Map<string, Entry<DefinitionReading>>();
  private readonly teamFiles = new Map<string, Entry<TeamFileReading>>();
  /** What the last look found, in order. */
  private found: { definitions: string[]; teams: string[]; faults: Fault[] } = {
    definitions: [],
    teams: [],
    faults: [],
  };
  private offer: Offer = NOTHING;
  private readonly listeners = new Set<() => void>();
  private readonly told = new Set<string>();
  private readonly loading = new Set<Promise<void>>();
  private readonly closing = new AbortController();
  private scanning: Promise<void> | undefined;
  private again = false;
  private publishing: NodeJS.Immediate | undefined;
  private watching: Watch | undefined;
  private watchFault: Fault | undefined;
  private rescan: NodeJS.Timeout | undefined;

  constructor(private readonly options: RegistryOptions) {
    const { base, home } = options;
    this.definitionPatterns = [
      ...(options.builtin ?? []).map((file) => compile(file, DEFINITIONS, base)),
      ...options.patterns.map((pattern) => compile(pattern, DEFINITIONS, base, home)),
      ...(home === undefined ? [] : [compile(join(home, '.coral', 'agents', '*'), DEFINITIONS, base)]),
    ];
    this.teamPatterns = options.teams.map((pattern) => compile(pattern, TEAMS, base, home));
    this.readAt = options.now();
  }

  async open(): Promise<void> {
    const look = (): void => void this.scan();
    if (this.options.watch)
      this.watching = await watch([...this.definitionPatterns, ...this.teamPatterns], look, (reason) =>
        this.watchFailed(reason),
      );
    if (this.options.rescanMs !== undefined && this.options.rescanMs > 0) {
      this.rescan = setInterval(look, this.options.rescanMs);
      this.rescan.unref();
    }
    await this.scan();
    while (this.loading.size > 0) await Promise.all(this.loading);
    this.publish();
  }

  agents(): readonly RegistryAgent[] {
    return this.offer.agents;
  }

  find(id: Parameters<Registry['find']>[0]): RegistryAgent | undefined {
    return id.registrySourceId.type === 'local' ? this.offer.byId.get(idOf(id)) : undefined;
  }

  newest(name: string): RegistryAgent | undefined {
    return this.offer.newest.get(name);
  }

  teams(): ReturnType<Registry['teams']> {
    return [...this.offer.teams.values()];
  }

  team(name: string): ReturnType<Registry['team']> {
    return this.offer.teams.get(name);
  }

  faults(): readonly Fault[] {
    return this.offer.faults;
  }

  onChange(changed: () => void): () => void {
    const listener = (): void => changed();
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.closing.abort();
    clearInterval(this.rescan);
    this.listeners.clear();
    await this.watching?.close();
    await this.scanning;
    await Promise.all(this.loading);
  }

  /** F4. */
  private scan(): Promise<void> {
    if (this.closing.signal.aborted) return Promise.resolve();
    if (this.scanning !== undefined) {
      this.again = true;
      return this.scanning;
    }
    this.scanning = (async () => {
      do {
        this.again = false;
        await this.look();
      } while (this.again && !this.closing.signal.aborted);
    })().finally(() => {
      this.scanning = undefined;
    });
    return this.scanning;
  }

  private async look(): Promise<void> {
    const faults: Fault[] = [];
    const definitions = await this.filesOf(this.definitionPatterns, faults, this.options.patterns);
    const teams = await this.filesOf(this.teamPatterns, faults, this.options.teams);
    await Promise.all([
      ...definitions.map((found) => this.readDefinition(found)),
      ...teams.map(({ path }) => this.readTeam(path)),
    ]);
    const paths = { definitions: definitions.map(({ path }) => path), teams: teams.map(({ path }) => path) };
    forget(this.definitions, paths.definitions);
    forget(this.teamFiles, paths.teams);
    this.found = { ...paths, faults };
    this.readAt = this.options.now();
    this.publish();
  }

  private async filesOf(
    patterns: readonly Pattern[],
    faults: Fault[],
    configured: readonly string[],
  ): Promise<Found[]> {
    const files = new Map<string, Found>();
    for (const pattern of patterns) {
      const found = await findFiles(pattern);
      for (const one of found) if (files.get(one.path)?.sure !== true) files.set(one.path, one);
      if (found.length === 0 && configured.includes(pattern.written))
        faults.push({ severity: 'warning', file: pattern.path, message: nothingFound(pattern) });
    }
    return [...files.values()];
  }

  private async readDefinition({ path: file, sure }: Found): Promise<void> {
    const before = this.definitions.get(file);
    const text = await textOrFault(file);
    // What a wildcard picked up by the way may be something else.
    if (text === undefined || (!sure && typeof text === 'string' && !looksLikeDefinition(text))) {
      this.definitions.delete(file);
      return;
    }
    if (typeof text !== 'string') {
      this.definitions.set(file, {
        ...unread(before),
        reading: { faults: [text], references: [], retry: true },
      });
      return;
    }
    const same =
      before?.reading?.retry === false &&
      before.text === text &&
      before.fingerprint === (await fingerprintOf(before.reading.references));
    if (same) return;
    const entry: Entry<DefinitionReading> = { ...unread(before), text };
    this.definitions.set(file, entry);
    const read = this.load(file, entry).finally(() => this.loading.delete(read));
    this.loading.add(read);
    // Files are read at once; only URLs keep a look waiting, and they may not.
    await Promise.race([read, afterFiles()]);
  }

  private async load(file: string, entry: Entry<DefinitionReading>): Promise<void> {
    const reading = await readDefinitionText(entry.text, file, dirname(file), this.closing.signal);
    const fingerprint = await fingerprintOf(reading.references);
    const now = this.definitions.get(file);
    if (now?.turn !== entry.turn) return;
    // The same outcome keeps its identity, so that nothing seems to have changed.
    const before = now.reading;
    const same = before !== undefined && JSON.stringify(before) === JSON.stringify(reading);
    this.definitions.set(file, { ...entry, fingerprint, reading: same ? before : reading });
    this.publishSoon();
  }

  private async readTeam(file: string): Promise<void> {
    const before = this.teamFiles.get(file);
    const text = await textOrFault(file);
    if (text === undefined) this.teamFiles.delete(file);
    else if (typeof text !== 'string')
      this.teamFiles.set(file, { ...unread(before), reading: { faults: [text], check: () => [] } });
    else if (before?.text !== text)
      this.teamFiles.set(file, { ...unread(before), text, reading: readTeamText(text, file, this) });
  }

  /** Many files that are read at once are one publication. */
  private publishSoon(): void {
    this.publishing ??= setImmediate(() => this.publish());
  }

  private publish(): void {
    clearImmediate(this.publishing);
    this.publishing = undefined;
    if (this.closing.signal.aborted) return;
    const offer = makeOffer(this.found, this.definitions, this.teamFiles);
    const faults = this.watchFault === undefined ? offer.faults : [...offer.faults, this.watchFault];
    const changed =
      offer.made.length !== this.offer.made.length ||
      offer.made.some((reading, index) => reading !== this.offer.made[index]);
    this.offer = { ...offer, faults };
    this.watching?.alsoWatch(
      new Set([...this.definitions.values()].flatMap(({ reading }) => reading?.references ?? [])),
    );
    const lasting = new Set(faults.map((fault) => JSON.stringify(fault)));
    for (const told of this.told) if (!lasting.has(told)) this.told.delete(told);
    for (const fault of faults) {
      const id = JSON.stringify(fault);
      if (!this.told.has(id)) this.options.warn(fault);
      this.told.add(id);
    }
    if (changed) for (const listener of this.listeners) listener();
  }

  private watchFailed(reason: string): void {
    this.watchFault = {
      severity: 'warning',
      file: this.options.base,
      message: `The system cannot watch these files (${reason}); they are looked at every second instead.`,
    };
    this.publish();
  }
}

function unread<R>(before: Entry<R> | undefined): Entry<R> {
  return {
    text: '',
    fingerprint: '',
    turn: (before?.turn ?? 0) + 1,
    ...(before?.reading === undefined ? {} : { reading: before.reading }),
  };
}

function forget(entries: Map<string, unknown>, kept: readonly string[]): void {
  const files = new Set(kept);
  for (const file of entries.keys()) if (!files.has(file)) entries.delete(file);
}

/** The text, the fault that keeps it from being read, or undefined when the file is gone. */
async function textOrFault(file: string): Promise<string | Fault | undefined> {
  try {
    return await readText(file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return {
      severity: 'error',
      file,
      message: cause instanceof Error ? cause.message : `${file} cannot be read.`,
    };
  }
}

async function fingerprintOf(files: readonly string[]): Promise<string> {
  const facts = await Promise.all(
    files.map(async (file) => {
      try {
        const { mtimeMs, size } = await stat(file);
        return `${file}:${mtimeMs}:${size}`;
      } catch {
        return `${file}:none`;
      }
    }),
  );
  return facts.join('|');
}

/** Says something under `agent`, in either spelling and however broken. */
function looksLikeDefinition(text: string): boolean {
  return /^[ \t]*(\[agent[\].]|"?agent"?[ \t]*[:=.])|[{,]\s*"?agent"?\s*:\s*\{/m.test(text);
}

/** Long enough for files on a busy disk. */
function afterFiles(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, 250).unref());
}

function nothingFound(pattern: Pattern): string {
  const what =
    pattern.kind === TEAMS ? 'team file' : 'agent definition (coral-agent.yaml or coral-agent.toml)';
  return pattern.literal ? `There is no ${what} here.` : `No ${what} matches this pattern.`;
}
