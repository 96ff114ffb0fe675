/**
 * From the plain values of a definition file to an `AgentDefinition`, with everything its writer should know. The way:
 * old spellings → references → keys → schema → options → what only the whole can tell.
 * Source: docs/wire.md, "Agent definitions".
 */
import type { AgentDefinition } from './definition.ts';
import { isMapping, readLeniently } from './definition-lenient.ts';
import { given, readOption } from './definition-option.ts';
import { PrototypeShape } from './definition-prototype.ts';
import { resolveReferences } from './definition-reference.ts';
import type { ReferenceReader } from './definition-reference.ts';
import { DefinitionFile, LIMITS, OptionShape } from './definition-schema.ts';
import { readKeys } from './keys.ts';
import { encodeForFile } from './option-encode.ts';
import type { OptionDefinition } from './option.ts';
import { error, warning } from './problem.ts';
import type { KeyPath, Problem } from './problem.ts';
import { inSentences, problemsOf } from './schema-parts.ts';

/** What came of reading a definition. */
export interface DefinitionReading {
  /** Absent when a problem is an error. */
  readonly definition?: AgentDefinition;
  readonly problems: readonly Problem[];
}

const CAPABILITIES = ['resources', 'tool_refreshing'];
/** What an unmarked file is taken for. */
const UNMARKED_EDITION = 1;

/** `raw`: as YAML or TOML gives it, integers beyond the safe ones as bigints. */
export async function readDefinition(raw: unknown, reader: ReferenceReader): Promise<DefinitionReading> {
  const lenient = readLeniently(raw);
  const problems: Problem[] = [...lenient.problems];
  if (lenient.refused === true) return { problems };
  const unresolved = await resolveReferences(lenient.value, reader);
  problems.push(...unresolved);
  const keys = readKeys(DefinitionFile, lenient.value, 'exact');
  problems.push(...keys.strange.map(({ path, message }) => warning(path, message)));

  const parsed = DefinitionFile.safeParse(keys.value, { error: inSentences });
  const known = new Set(unresolved.map(({ path }) => JSON.stringify(path)));
  if (!parsed.success)
    // A reference that could not be resolved was reported already, with its reason.
    problems.push(...problemsOf(parsed.error).filter(({ path }) => !within(path, known)));

  const options = readOptions(keys.value, known, problems);
  const prototype = readPrototype(keys.value, options, known, problems);
  if (!parsed.success || problems.some(({ severity }) => severity === 'error')) return { problems };
  for (const [index, capability] of parsed.data.agent.capabilities.entries())
    if (!CAPABILITIES.includes(capability))
      problems.push(
        warning(['agent', 'capabilities', index], `Is not known; there is ${CAPABILITIES.join(' and ')}.`),
      );
  return { definition: assemble(parsed.data, options, prototype), problems };
}

function within(path: KeyPath, known: ReadonlySet<string>): boolean {
  return path.some((_, index) => known.has(JSON.stringify(path.slice(0, index + 1))));
}

function readOptions(
  file: unknown,
  unresolved: ReadonlySet<string>,
  problems: Problem[],
): Record<string, OptionDefinition> {
  const raw = isMapping(file) && isMapping(file['options']) ? file['options'] : {};
  const options: [string, OptionDefinition][] = [];
  let defaults = 0;
  for (const [name, entry] of Object.entries(raw)) {
    const shape = OptionShape.safeParse(entry);
    if (!shape.success) continue;
    const at = ['options', name];
    const { option, problems: found } = readOption(shape.data, at);
    problems.push(
      ...found.filter(
        ({ path }) => !within(path, unresolved) && ![...unresolved].some((one) => inside(one, path)),
      ),
    );
    options.push([name, option]);
    if (option.default !== undefined)
      for (const part of encodeForFile({ type: option.type, value: option.default })) defaults += part.length;
  }
  if (defaults > LIMITS.defaults)
    problems.push(
      error(['options'], `All defaults together must be at most 6 MiB large; they have ${defaults} bytes.`),
    );
  return Object.fromEntries(options);
}

/** True when the unresolved place lies under `path`: a list's default with one bad element. */
function inside(unresolved: string, path: KeyPath): boolean {
  const place = JSON.parse(unresolved) as KeyPath;
  return path.every((part, index) => place[index] === part);
}

function readPrototype(
  file: unknown,
  options: Readonly<Record<string, OptionDefinition>>,
  unresolved: ReadonlySet<string>,
  problems: Problem[],
): Readonly<Record<string, unknown>> | undefined {
  const runtimes = isMapping(file) ? file['runtimes'] : undefined;
  const raw = isMapping(runtimes) ? runtimes['prototype'] : undefined;
  if (!isMapping(raw)) return undefined;
  const at = ['runtimes', 'prototype'];
  const keys = readKeys(PrototypeShape, raw, 'exact');
  problems.push(...keys.strange.map(({ path, message }) => warning([...at, ...path], message)));
  const parsed = PrototypeShape.safeParse(keys.value, { error: inSentences });
  if (!parsed.success)
    problems.push(
      ...problemsOf(parsed.error)
        .map((problem) => ({ ...problem, path: [...at, ...problem.path] }))
        .filter(({ path }) => !within(path, unresolved)),
    );
  else {
    const llm = isMapping(file) ? file['llm'] : undefined;
    const proxies = isMapping(llm) && Array.isArray(llm['proxies']) ? (llm['proxies'] as unknown[]) : [];
    if (!proxies.some((proxy) => isMapping(proxy) && proxy['name'] === parsed.data.proxy))
      problems.push(error([...at, 'proxy'], `Names none of this agent's \`llm.proxies\`.`));
    for (const [path, name] of optionsNamed(keys.value, at))
      if (options[name] === undefined)
        problems.push(error(path, `Names the option \`${name}\`, which this agent does not have.`));
  }
  return jsonOf(raw) as Record<string, unknown>;
}

/** Every `{type: "option", name}` in a prototype. */
function optionsNamed(value: unknown, at: KeyPath): [KeyPath, string][] {
  if (Array.isArray(value)) return value.flatMap((entry, index) => optionsNamed(entry, [...at, index]));
  if (!isMapping(value)) return [];
  if (value['type'] === 'option' && typeof value['name'] === 'string') return [[at, value['name']]];
  return Object.entries(value).flatMap(([key, entry]) => optionsNamed(entry, [...at, key]));
}

/** Kept as written, but for integers that JSON cannot hold: those become decimal strings. */
function jsonOf(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(jsonOf);
  if (isMapping(value))
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, jsonOf(entry)]));
  return value;
}

function assemble(
  file: DefinitionFile,
  options: Readonly<Record<string, OptionDefinition>>,
  prototype: Readonly<Record<string, unknown>> | undefined,
): AgentDefinition {
  const { agent, runtimes, restart, timeouts } = file;
  const { executable, docker, scripted } = runtimes;
  return {
    edition: file.edition ?? UNMARKED_EDITION,
    ...given(agent),
    runtimes: given({
      executable: executable && {
        path: executable.path,
        arguments: executable.arguments,
        transport: executable.transport,
        environment: executable.environment,
        inheritEnvironment: executable.inherit_environment,
        resources: given(executable.resources),
      },
      docker: docker && dockerOf(docker),
      function: runtimes.function,
      prototype,
      scripted:
        scripted &&
        given({
          runFor: scripted.run_for,
          exitCode: scripted.exit_code,
          signal: scripted.signal,
          failToStart: scripted.fail_to_start,
          ignoreStop: scripted.ignore_stop,
          output: scripted.output,
          flood: scripted.flood,
          vanishAfter: scripted.vanish_after,
          startDelay: scripted.start_delay,
          transport: scripted.transport,
        }),
    }) as AgentDefinition['runtimes'],
    options,
    ...(file.llm === undefined ? {} : { llm: file.llm }),
    ...(file.marketplace === undefined
      ? {}
      : { marketplace: jsonOf(file.marketplace) as Record<string, unknown> }),
    restart: {
      policy: restart.policy,
      maxRestarts: restart.max_restarts,
      delay: restart.delay,
      maxDelay: restart.max_delay,
      stableAfter: restart.stable_after,
      permanentExitCodes: restart.permanent_exit_codes,
    },
    timeouts,
  };
}

function dockerOf(docker: NonNullable<DefinitionFile['runtimes']['docker']>): unknown {
  return given({
    image: docker.image,
    command: docker.command,
    transport: docker.transport,
    environment: docker.environment,
    resources: given(docker.resources),
    network: docker.network,
    readOnly: docker.read_only,
    user: docker.user,
    pull: docker.pull,
    volumes: docker.volumes.map(({ host, container, read_only }) => ({
      host,
      container,
      readOnly: read_only,
    })),
    capabilities: docker.capabilities,
  });
}
