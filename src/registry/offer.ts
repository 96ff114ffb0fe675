/** What the registry offers, made of what its files say now. */
import { dirname } from 'node:path';
import semver from 'semver';
import type { RegistryAgent } from '../domain/definition.ts';
import type { Fault } from '../ports/registry.ts';
import type { DefinitionReading, TeamFileReading } from './read-file.ts';

/** Everything that is found by name, and what is wrong. */
export interface Offer {
  readonly agents: readonly RegistryAgent[];
  readonly byId: ReadonlyMap<string, RegistryAgent>;
  readonly newest: ReadonlyMap<string, RegistryAgent>;
  readonly teams: ReadonlyMap<string, NonNullable<TeamFileReading['team']>>;
  readonly faults: readonly Fault[];
  /** The readings behind it: the same ones, the same offer. */
  readonly made: readonly unknown[];
}

/** Before anything was read. */
export const NOTHING: Offer = {
  agents: [],
  byId: new Map(),
  newest: new Map(),
  teams: new Map(),
  faults: [],
  made: [],
};

/** F2 and F3 of `files.ts`. */
export function makeOffer(
  found: {
    readonly definitions: readonly string[];
    readonly teams: readonly string[];
    readonly faults: readonly Fault[];
  },
  definitions: ReadonlyMap<string, { readonly reading?: DefinitionReading }>,
  teamFiles: ReadonlyMap<string, { readonly reading?: TeamFileReading }>,
): Offer {
  const faults = [...found.faults];
  const made: unknown[] = [];
  const byId = new Map<string, RegistryAgent>();
  for (const file of found.definitions) {
    const reading = definitions.get(file)?.reading;
    if (reading === undefined) continue;
    made.push(file, reading);
    faults.push(...reading.faults);
    const { definition } = reading;
    if (definition === undefined) continue;
    const first = byId.get(idOf(definition));
    if (first === undefined)
      byId.set(idOf(definition), { definition, source: { type: 'local' }, file, folder: dirname(file) });
    else
      faults.push({
        severity: 'error',
        file,
        key: 'agent.version',
        message: `${definition.name}@${definition.version} is defined in ${first.file} already, which stays; change the name or the version here.`,
      });
  }
  const teams = new Map<string, NonNullable<TeamFileReading['team']>>();
  for (const file of found.teams) {
    const reading = teamFiles.get(file)?.reading;
    if (reading === undefined) continue;
    made.push(file, reading);
    faults.push(...reading.faults);
    const { team } = reading;
    if (team === undefined) continue;
    const first = teams.get(team.name);
    if (first === undefined) teams.set(team.name, team);
    else
      faults.push({
        severity: 'error',
        file,
        key: 'team',
        message: `The team ${team.name} is described in ${first.file} already, which stays; give this one another name.`,
      });
  }
  const agents = [...byId.values()].sort(byNameThenNewest);
  const newest = new Map<string, RegistryAgent>();
  for (const agent of agents)
    if (!newest.has(agent.definition.name)) newest.set(agent.definition.name, agent);
  return { agents, byId, newest, teams, faults, made };
}

function byNameThenNewest(a: RegistryAgent, b: RegistryAgent): number {
  if (a.definition.name !== b.definition.name) return a.definition.name < b.definition.name ? -1 : 1;
  return semver.rcompare(a.definition.version, b.definition.version);
}

/** `name@version`. */
export function idOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}@${version}`;
}
