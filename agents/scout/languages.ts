/** Which language a file is in, by its name. */

/** What a language is for: programs are named in the report's first sentence before anything else. */
export type Purpose = 'program' | 'data' | 'prose';

const BY_EXTENSION: Readonly<Record<string, string>> = {
  ts: 'TypeScript', mts: 'TypeScript', cts: 'TypeScript', tsx: 'TypeScript',
  js: 'JavaScript', mjs: 'JavaScript', cjs: 'JavaScript', jsx: 'JavaScript',
  py: 'Python', pyi: 'Python', rb: 'Ruby', php: 'PHP', pl: 'Perl', pm: 'Perl', lua: 'Lua', r: 'R', jl: 'Julia',
  java: 'Java', kt: 'Kotlin', kts: 'Kotlin', scala: 'Scala', groovy: 'Groovy', gradle: 'Gradle', clj: 'Clojure',
  c: 'C', h: 'C', cc: 'C++', cpp: 'C++', cxx: 'C++', hpp: 'C++', hh: 'C++', m: 'Objective-C', cs: 'C#', fs: 'F#',
  go: 'Go', rs: 'Rust', swift: 'Swift', dart: 'Dart', zig: 'Zig', nim: 'Nim', hs: 'Haskell', ml: 'OCaml',
  erl: 'Erlang', ex: 'Elixir', exs: 'Elixir', elm: 'Elm', sol: 'Solidity', asm: 'Assembly', s: 'Assembly',
  sh: 'Shell', bash: 'Shell', zsh: 'Shell', fish: 'Shell', ps1: 'PowerShell', bat: 'Batch', cmd: 'Batch',
  sql: 'SQL', graphql: 'GraphQL', gql: 'GraphQL', proto: 'Protocol Buffers', tf: 'Terraform', cmake: 'CMake',
  html: 'HTML', htm: 'HTML', css: 'CSS', scss: 'SCSS', sass: 'Sass', less: 'Less', vue: 'Vue', svelte: 'Svelte',
  json: 'JSON', jsonl: 'JSON Lines', ndjson: 'JSON Lines', json5: 'JSON', yaml: 'YAML', yml: 'YAML', toml: 'TOML',
  xml: 'XML', svg: 'SVG', csv: 'CSV', tsv: 'CSV', ini: 'INI', cfg: 'INI', conf: 'INI', properties: 'INI', env: 'INI',
  md: 'Markdown', markdown: 'Markdown', mdx: 'Markdown', rst: 'reStructuredText', adoc: 'AsciiDoc', tex: 'TeX',
  txt: 'Text', log: 'Text', ipynb: 'Jupyter Notebook', lock: 'Lock file',
}; // prettier-ignore

const BY_NAME: Readonly<Record<string, string>> = {
  makefile: 'Make', gnumakefile: 'Make', dockerfile: 'Dockerfile', containerfile: 'Dockerfile', rakefile: 'Ruby',
  gemfile: 'Ruby', jenkinsfile: 'Groovy', 'cmakelists.txt': 'CMake', readme: 'Text', license: 'Text', licence: 'Text',
  copying: 'Text', authors: 'Text', changelog: 'Text', notice: 'Text', '.gitignore': 'Ignore list',
  '.dockerignore': 'Ignore list', '.npmignore': 'Ignore list', '.prettierignore': 'Ignore list',
  '.eslintignore': 'Ignore list', '.gitattributes': 'Git attributes', '.editorconfig': 'INI', '.npmrc': 'INI',
}; // prettier-ignore

const DATA = new Set([
  'JSON', 'JSON Lines', 'YAML', 'TOML', 'XML', 'SVG', 'CSV', 'INI', 'Lock file', 'Ignore list', 'Git attributes',
  'Jupyter Notebook', 'Other',
]); // prettier-ignore
const PROSE = new Set(['Markdown', 'reStructuredText', 'AsciiDoc', 'TeX', 'Text']);

/** `Other` when the name tells nothing. */
export function languageOf(name: string): string {
  const base = (name.split('/').at(-1) ?? name).toLowerCase();
  const named = BY_NAME[base];
  if (named !== undefined) return named;
  if (base.startsWith('dockerfile.')) return 'Dockerfile';
  const dot = base.lastIndexOf('.');
  return (dot > 0 ? BY_EXTENSION[base.slice(dot + 1)] : undefined) ?? 'Other';
}

export function purposeOf(language: string): Purpose {
  return DATA.has(language) ? 'data' : PROSE.has(language) ? 'prose' : 'program';
}
