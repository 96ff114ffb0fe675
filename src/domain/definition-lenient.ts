/**
 * Old spellings that are in the wild, brought to the modern one before the schema looks at a definition; each with a
 * warning that names the modern spelling. Source: docs/wire.md, "Agent definitions".
 */
import { EDITIONS } from './definition-schema.ts';
import { error, warning } from './problem.ts';
import type { KeyPath, Problem } from './problem.ts';

type Mapping = Record<string, unknown>;

/** A modernised copy of `raw`. `refused`: nothing else about the file is worth saying. */
export function readLeniently(raw: unknown): { value: unknown; problems: Problem[]; refused?: true } {
  if (!isMapping(raw))
    return {
      value: raw,
      problems: [error([], 'Must be a mapping with the keys `edition`, `agent`, `runtimes` and `options`.')],
      refused: true,
    };
  const file = structuredClone(raw);
  const problems: Problem[] = [];
  const warn = (path: KeyPath, message: string): void => void problems.push(warning(path, message));

  const { edition } = file;
  const newest = Math.max(...EDITIONS);
  if (edition === undefined || edition === null)
    warn(['edition'], `Is missing, so the file is read as an old definition; write \`edition = ${newest}\`.`);
  else if (typeof edition === 'number' && edition > newest)
    return {
      value: file,
      problems: [
        error(
          ['edition'],
          `Edition ${edition} is newer than this server; it supports the editions ${EDITIONS.join(' and ')}.`,
        ),
      ],
      refused: true,
    };
  else if (typeof edition === 'number' && edition < Math.min(...EDITIONS))
    warn(['edition'], `Edition ${edition} is old and read leniently; write \`edition = ${newest}\`.`);

  if (isMapping(file['agent'])) agent(file['agent'], warn);
  const runtimes = file['runtimes'];
  if (isMapping(runtimes) && isMapping(runtimes['executable'])) executable(runtimes['executable'], warn);
  if (isMapping(file['options']))
    for (const [name, option] of Object.entries(file['options']))
      if (isMapping(option)) modernOption(option, ['options', name], warn);
  const llm = file['llm'];
  if (isMapping(llm) && Array.isArray(llm['proxies']))
    for (const [index, proxy] of (llm['proxies'] as unknown[]).entries())
      if (isMapping(proxy)) modernProxy(proxy, ['llm', 'proxies', index], warn);
  return { value: file, problems };
}

type Warn = (path: KeyPath, message: string) => void;

function agent(given: Mapping, warn: Warn): void {
  for (const key of ['summary', 'readme', 'license'])
    if (given[key] === undefined || given[key] === null || given[key] === '') {
      warn(['agent', key], `Is missing; other Coral servers require \`agent.${key}\`.`);
      Reflect.deleteProperty(given, key);
    }
  const license = given['license'];
  if (typeof license === 'string') {
    warn(
      ['agent', 'license'],
      `Is read as \`{type = "spdx", expression = ${JSON.stringify(license)}}\`; write it so.`,
    );
    given['license'] = { type: 'spdx', expression: license };
  } else if (isMapping(license) && license['type'] === 'sdpx') {
    warn(['agent', 'license', 'type'], 'Is read as `spdx`; write it so.');
    license['type'] = 'spdx';
  }
}

function executable(runtime: Mapping, warn: Warn): void {
  const at = ['runtimes', 'executable'];
  const { command } = runtime;
  if (Array.isArray(command) && command.length > 0) {
    const [path, ...rest] = command as unknown[];
    if (runtime['path'] === undefined) {
      warn([...at, 'command'], 'Is read as `path` and `arguments`; write those.');
      runtime['path'] = path;
      runtime['arguments'] ??= rest;
    } else warn([...at, 'command'], 'Means nothing beside `path`; remove it.');
    delete runtime['command'];
  }
  const { environment } = runtime;
  if (Array.isArray(environment)) {
    warn(
      [...at, 'environment'],
      'Options are variables of their own by now; write a mapping of the fixed variables, or nothing.',
    );
    const fixed = (environment as unknown[]).filter(isMapping);
    runtime['environment'] = Object.fromEntries(
      fixed.flatMap(({ name, value }) => (typeof name === 'string' ? [[name, value]] : [])),
    );
  }
}

function modernOption(option: Mapping, at: KeyPath, warn: Warn): void {
  const { type } = option;
  const old = typeof type === 'string' ? /^(list\[)?(number|secret)(\])?$/.exec(type) : null;
  if (old !== null) {
    const [, open = '', word, close = ''] = old;
    option['type'] = `${open}${word === 'number' ? 'f64' : 'string'}${close}`;
    if (word === 'secret') option['secret'] = true;
    warn(
      [...at, 'type'],
      word === 'number'
        ? `Is read as \`${String(option['type'])}\`; write it so.`
        : `Is read as the type \`${String(option['type'])}\` with \`secret = true\`; write it so.`,
    );
  }
  const { description } = option;
  if (typeof description === 'string') {
    warn([...at, 'description'], 'Is read as `display.description`; write it there.');
    delete option['description'];
    const display = isMapping(option['display']) ? option['display'] : {};
    if (description !== '') display['description'] ??= [...description].slice(0, 1024).join('');
    if (Object.keys(display).length > 0) option['display'] = display;
  }
}

function modernProxy(proxy: Mapping, at: KeyPath, warn: Warn): void {
  const { format, model } = proxy;
  const word = typeof format === 'string' ? format : isMapping(format) ? format['type'] : undefined;
  const known = ['OpenAI', 'Anthropic'].find(
    (name) => typeof word === 'string' && name.toLowerCase() === word.toLowerCase(),
  );
  if (known !== undefined && (typeof format === 'string' || word !== known)) {
    warn([...at, 'format'], `Is read as \`format.type = "${known}"\`; write it so.`);
    proxy['format'] = { type: known };
  }
  if (typeof model === 'string') {
    warn([...at, 'model'], `Is read as \`models = [${JSON.stringify(model)}]\`; write it so.`);
    proxy['models'] ??= [model];
    delete proxy['model'];
  }
}

/** True for plain objects: what a mapping of YAML or a table of TOML becomes. */
export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
