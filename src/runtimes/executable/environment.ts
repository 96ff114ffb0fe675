/** The environment of an agent's process: clean, never the server's own. */
import type { LaunchSpec } from '../../domain/launch.ts';
import { MARK_VARIABLE, markOf } from '../mark.ts';

/** What an environment is made of besides the launch's own variables. */
export interface EnvironmentSources {
  /** The server's own environment. */
  readonly server: Readonly<Record<string, string | undefined>>;
  /** Names, or patterns with `*`, that pass from it. */
  readonly inherit: readonly string[];
  /** The operator's variables for debugging: above everything but CORAL_*. */
  readonly debug: Readonly<Record<string, string>>;
  /** Paths of option files by variable. */
  readonly files: Readonly<Record<string, string>>;
}

/** A later source wins over an earlier one: inherited, the launch's own, option files, debugging, the mark. */
export function environmentOf(spec: LaunchSpec, sources: EnvironmentSources): Record<string, string> {
  const debug = Object.entries(sources.debug).filter(([name]) => !name.startsWith('CORAL_'));
  const mark = { [MARK_VARIABLE]: markOf(spec.labels) };
  return {
    ...mark, // first as well, because whoever looks for it in /proc reads environments from their beginning
    ...inherited(sources.server, sources.inherit),
    ...spec.environment,
    ...sources.files,
    ...Object.fromEntries(debug),
    ...mark,
  };
}

/** What passes from the server's environment by these names and patterns. */
export function inherited(
  server: Readonly<Record<string, string | undefined>>,
  patterns: readonly string[],
): Record<string, string> {
  const matchers = patterns.map(
    (pattern) => new RegExp(`^${pattern.split('*').map(escapeForRegExp).join('.*')}$`, 's'),
  );
  const passing: Record<string, string> = {};
  for (const [name, value] of Object.entries(server)) {
    if (value !== undefined && matchers.some((matcher) => matcher.test(name))) passing[name] = value;
  }
  return passing;
}

function escapeForRegExp(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
