/** Where agent definitions and team files come from. */
import type { RegistryAgent, RegistryIdentifier } from '../domain/definition.ts';
import type { Team } from '../domain/team.ts';

/** Something about a file that its writer should know. `error`: the file gives nothing to the registry until mended. */
export interface Fault {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly line?: number;
  /** Key path as written, e.g. `options.URL.type`. */
  readonly key?: string;
  /** A sentence: what is wrong and what to do. */
  readonly message: string;
}

/** The definitions and teams that can be launched now. */
export interface Registry {
  /** All readable definitions, by name, then version (newest first). */
  agents(): readonly RegistryAgent[];
  find(id: RegistryIdentifier): RegistryAgent | undefined;
  /** The newest local version of a name. */
  newest(name: string): RegistryAgent | undefined;
  teams(): readonly Team[];
  team(name: string): Team | undefined;
  faults(): readonly Fault[];
  /** Wall-clock ms of the last look at the files. */
  readonly readAt: number;
  /** Called after every change of what the registry offers; returns what ends it. */
  onChange(changed: () => void): () => void;
  close(): Promise<void>;
}
