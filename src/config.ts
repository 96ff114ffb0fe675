/**
 * The server's configuration: a file, then variables (`CORAL_CONFIG__NETWORK__BIND_PORT`), then dotted flags
 * (`--network.bind-port=0`), each winning over the one before. All faults are found at once, before anything
 * starts. Source: docs/wire.md, "Configuration".
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { homedir } from 'node:os';
import { formatPath, type KeyPath } from './domain/problem.ts';
import { Layers, type Setting } from './config/layers.ts';
import { ConfigSchema, type ConfigValues } from './config/schema.ts';
import { isSource, parseSource } from './registry/source.ts';
import type { Fault } from './ports/registry.ts';

export type { LogLevel } from './config/schema.ts';
export type { Setting } from './config/layers.ts';

/** The configuration, complete, with its paths worked out. */
export interface Config extends ConfigValues {
  /** Absolute path of the file that was read; absent when there was none. */
  readonly file?: string;
  /** Absolute: where relative paths of the configuration start. */
  readonly folder: string;
  /** Absolute. */
  readonly stateDir: string;
}

/** Where the parts of a configuration come from. */
export interface ConfigSources {
  /** From `--config`: must exist. */
  readonly file?: string | undefined;
  /** From `--state-dir`: relative to `cwd`. */
  readonly stateDir?: string | undefined;
  readonly flags?: readonly Setting[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** What reading a configuration gave. */
export interface ConfigReading {
  /** Absent when there is an error among the faults. */
  readonly config?: Config;
  readonly faults: readonly Fault[];
}

/** The names under which a configuration is found without being named. */
export const CONFIG_FILES = ['coral.config.yaml', 'coral.config.yml', 'coral.config.toml'] as const;

const VARIABLE_PREFIX = 'CORAL_CONFIG__';

/** Reads and checks everything; never throws for what a person wrote wrongly. Secrets stand in no fault. */
export function readConfig(sources: ConfigSources): ConfigReading {
  const { environment, cwd } = sources;
  const named = sources.file ?? (environment['CONFIG_FILE_PATH'] || undefined);
  const file = named === undefined ? findConfig(cwd) : resolve(cwd, named);
  const layers = new Layers(ConfigSchema);
  const faults: Fault[] = [];

  if (file !== undefined) faults.push(...readFile(file, layers));
  for (const setting of variables(environment)) layers.addSetting(setting);
  for (const setting of sources.flags ?? []) layers.addSetting(setting);
  faults.push(...layers.faults);

  const parsed = ConfigSchema.safeParse(layers.tree);
  for (const issue of parsed.error?.issues ?? []) {
    const path = issue.path as KeyPath;
    const place = layers.placeOf(path) ?? { file: file ?? cwd };
    const message = `\`${formatPath(path)}\` ${issue.code === 'custom' ? issue.message : expectation(issue.code)}.`;
    faults.push({ severity: 'error', ...place, message });
  }
  if (!parsed.success || faults.some((fault) => fault.severity === 'error')) return { faults };

  const folder = file === undefined ? cwd : dirname(file);
  const fromFile = layers.placeOf(['stateDir'])?.file === file;
  const stateDir =
    sources.stateDir === undefined
      ? resolve(
          fromFile ? folder : layers.placeOf(['stateDir']) ? cwd : folder,
          expandHome(parsed.data.stateDir),
        )
      : resolve(cwd, expandHome(sources.stateDir));
  return { config: { ...parsed.data, ...(file === undefined ? {} : { file }), folder, stateDir }, faults };
}

/** The configuration file in `folder` or the nearest folder above it. */
export function findConfig(folder: string): string | undefined {
  for (const name of CONFIG_FILES) {
    const file = join(folder, name);
    if (existsSync(file)) return file;
  }
  const above = dirname(folder);
  return above === folder ? undefined : findConfig(above);
}

/**
 * `--network.bind-port=0` as a setting; undefined for anything that is no dotted flag. A flag without `=` means
 * `true`.
 */
export function settingOf(argument: string): Setting | undefined {
  const match = /^--([A-Za-z][\w-]*(?:\.[\w-]+)+)(?:=([\s\S]*))?$/.exec(argument);
  if (match === null) return undefined;
  const [, path = '', value = 'true'] = match;
  return { name: `--${path}`, path: path.split('.'), value };
}

function readFile(file: string, layers: Layers): readonly Fault[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    return [{ severity: 'error', file, message: `The configuration file cannot be read (${code}).` }];
  }
  const source = parseSource(text, file);
  if (!isSource(source)) return source.faults;
  layers.addFile(file, source.value, (path) => source.locate(path)?.line);
  return [];
}

function* variables(environment: ConfigSources['environment']): Iterable<Setting> {
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(VARIABLE_PREFIX) || value === undefined) continue;
    yield { name, path: name.slice(VARIABLE_PREFIX.length).split('__'), value };
  }
}

function expectation(code: string): string {
  return code === 'invalid_type' ? 'is missing or of a wrong kind' : 'is not valid';
}

function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

/** The environment of this process: commands and the composition root take it from here. */
export function processEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
