/** From the name or the file of a team to the session request it means, with the caller's own environment and inputs. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Config } from '../config.ts';
import { didYouMean } from '../domain/nearest.ts';
import type { Issue } from '../domain/refusal.ts';
import type { Team, TeamRun } from '../domain/team.ts';
import type { SessionRequest } from '../domain/wire/request.ts';
import type { Registry } from '../ports/registry.ts';
import { BadInput } from './exit-codes.ts';
import { describeFault } from './faults.ts';
import type { Terminal } from './terminal.ts';

/** A team with everything filled in. */
export interface CompiledTeam {
  readonly name: string;
  readonly request: SessionRequest;
  /** The same with values from the environment and of secret options as `***`. */
  readonly masked: SessionRequest;
}

/** What the configuration offers, as its files are now; `teamFile` is offered too. To be closed. */
export async function loadRegistry(config: Config, teamFile?: string): Promise<Registry> {
  // Only now: most commands need no registry, and none should wait for what it does not need.
  const { openConfiguredRegistry } = await import('../app/registry.ts');
  return openConfiguredRegistry(
    {
      ...config,
      teams: teamFile === undefined ? config.teams : [...config.teams, teamFile],
      registry: { ...config.registry, watchLocalAgents: false, localAgentRescanTimer: undefined },
    },
    () => undefined,
  );
}

/** Throws BadInput when there is no such team, or with everything that is wrong with it and with the inputs. */
export async function compileTeam(
  config: Config,
  terminal: Terminal,
  word: string | undefined,
  run: TeamRun,
): Promise<CompiledTeam> {
  const file = word !== undefined && isFile(word) ? resolve(terminal.cwd, word) : undefined;
  const registry = await loadRegistry(config, file);
  try {
    const team = findTeam(registry, terminal, word, file);
    const full = { ...run, directory: terminal.cwd };
    const request = team.request(full, terminal.environment);
    if (isFaults(request))
      throw new BadInput(request.map((issue) => sentence(issue, team, terminal.cwd)).join('\n'));
    return {
      name: team.name,
      request,
      masked: team.request(full, terminal.environment, true) as SessionRequest,
    };
  } finally {
    await registry.close();
  }
}

/** For an option that may be given several times: `NAME=VALUE`. */
export function collectPair(flag: string) {
  return (given: string, before: Readonly<Record<string, string>> = {}): Record<string, string> => {
    const equals = given.indexOf('=');
    if (equals < 1) throw new BadInput(`${flag} wants NAME=VALUE, not "${given}".`);
    return { ...before, [given.slice(0, equals)]: given.slice(equals + 1) };
  };
}

function isFile(word: string): boolean {
  return /[\\/]|\.(ya?ml|toml)$/.test(word);
}

function findTeam(
  registry: Registry,
  { cwd }: Terminal,
  word: string | undefined,
  file: string | undefined,
): Team {
  const teams = registry.teams();
  const names = teams.map(({ name }) => name);
  if (word === undefined) {
    const known =
      names.length === 0
        ? 'The configuration names none (teams: [PATTERN]); coral init makes one.'
        : `There is: ${names.join(', ')}.`;
    throw new BadInput(`Say which team to run. ${known}`);
  }
  const team = file === undefined ? registry.team(word) : teams.find((one) => one.file === file);
  if (team !== undefined) return team;
  if (file !== undefined && !existsSync(file)) throw new BadInput(`There is no team file ${word}.`);
  // A team that is not offered may be there and broken.
  const faults = registry
    .faults()
    .filter(
      ({ severity, file: at }) =>
        severity === 'error' && (file === undefined ? at.includes(word) : at === file),
    )
    .map((fault) => describeFault(fault, cwd));
  if (faults.length > 0) throw new BadInput(faults.join('\n'));
  throw new BadInput(
    `There is no team ${word}.${didYouMean(word, names) || ` There is: ${names.join(', ') || 'none at all'}.`}`,
  );
}

function isFaults(made: SessionRequest | readonly Issue[]): made is readonly Issue[] {
  return Array.isArray(made);
}

/** An issue's path is `LINE:KEY` where the file is at fault, else what was given. */
function sentence({ path, message }: Issue, team: Team, cwd: string): string {
  const [, line, key] = /^(\d+):(.*)$/s.exec(path) ?? [];
  if (line === undefined) return `${path === '' ? '' : `${path}: `}${message}`;
  return describeFault(
    { severity: 'error', file: team.file, line: Number(line), message: key ? `${key}: ${message}` : message },
    cwd,
  );
}
