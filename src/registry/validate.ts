/** `coral validate` for definitions and team files: every fault of one file, whatever the registry makes of it. */
import { basename, dirname, resolve } from 'node:path';
import type { AgentLookup } from '../domain/team-agent.ts';
import type { Fault } from '../ports/registry.ts';
import { readDefinitionText, readTeamText, readText } from './read-file.ts';
import { isSource, parseSource } from './source.ts';

/** What one file is, and everything that is wrong with it. */
export interface Validation {
  /** `configuration` and `unknown` files are not looked into. */
  readonly kind: 'definition' | 'team' | 'configuration' | 'unknown';
  readonly faults: readonly Fault[];
  /** `name@version` of a definition, the team's name. */
  readonly name?: string;
}

/**
 * What kind of file it is (by its name, else by its keys) and what is wrong with it. With `lookup`, a team's agents and
 * options are held against that registry too.
 */
export async function validateFile(path: string, lookup?: AgentLookup): Promise<Validation> {
  const file = resolve(path);
  let text: string;
  try {
    text = await readText(file);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : `${file} cannot be read.`;
    return { kind: kindByName(file) ?? 'unknown', faults: [{ severity: 'error', file, message }] };
  }
  const kind = kindByName(file) ?? kindByKeys(text, file);
  if (kind === 'definition') {
    const { definition, faults } = await readDefinitionText(text, file, dirname(file));
    const name = definition === undefined ? {} : { name: `${definition.name}@${definition.version}` };
    return { kind, faults, ...name };
  }
  if (kind === 'team') {
    const { team, faults, check } = readTeamText(text, file, lookup ?? EMPTY);
    return {
      kind,
      faults: lookup === undefined ? faults : [...faults, ...check()],
      ...(team === undefined ? {} : { name: team.name }),
    };
  }
  const source = parseSource(text, file);
  if (!isSource(source)) return { kind, faults: source.faults };
  const faults: Fault[] =
    kind === 'configuration'
      ? []
      : [
          {
            severity: 'error',
            file,
            message:
              'Is neither an agent definition (key `agent`), a team (key `agents`) nor a configuration (coral.config.yaml).',
          },
        ];
  return { kind, faults };
}

const EMPTY: AgentLookup = { agents: () => [], find: () => undefined, newest: () => undefined };

function kindByName(file: string): Validation['kind'] | undefined {
  const name = basename(file).toLowerCase();
  if (/^coral-agent\.(toml|ya?ml)$/.test(name)) return 'definition';
  if (/^coral\.config\.(toml|ya?ml|json)$/.test(name)) return 'configuration';
  return undefined;
}

const CONFIGURATION_KEYS = [
  'auth',
  'network',
  'registry',
  'docker',
  'journal',
  'teams',
  'logging',
  'llmProxy',
  'stateDir',
];

function kindByKeys(text: string, file: string): Validation['kind'] {
  const source = parseSource(text, file);
  if (!isSource(source)) return /(^|\n)\s*(agents\s*:|\[agents[.\]])/.test(text) ? 'team' : 'unknown';
  const { value } = source;
  const keys = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
  if (keys.includes('agents')) return 'team';
  if (keys.includes('agent') || keys.includes('runtimes')) return 'definition';
  if (keys.some((key) => CONFIGURATION_KEYS.includes(key))) return 'configuration';
  return keys.includes('team') ? 'team' : 'unknown';
}
