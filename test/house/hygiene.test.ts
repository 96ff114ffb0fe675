/** What must not stand in the repository, and what must not grow without a reason. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow, ROOT, textOf } from './sources.ts';

/** A hand-written file longer than this has usually become two. */
const LONG = 400;
/** Files that are longer, each with the reason. */
const LONG_FILES: Readonly<Record<string, string>> = {};

const TEXTS = ['.ts', '.mjs', '.js', '.py', '.md', '.yaml', '.yml', '.toml', '.json', '.sh'] as const;
const FOLDERS = ['src', 'agents', 'registry', 'test', 'bench', 'docs', 'scripts', '.ci'] as const;

function lines(): readonly { readonly file: string; readonly number: number; readonly text: string }[] {
  const top = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'package.json', 'coral.config.yaml'];
  const files = [
    ...top.filter((file) => existsSync(join(ROOT, file))),
    ...FOLDERS.flatMap((folder) => filesBelow(folder, ...TEXTS)),
    '.ci/run',
  ];
  return files
    .filter((file) => !file.startsWith('test/house/'))
    .flatMap((file) =>
      textOf(file)
        .split('\n')
        .map((text, index) => ({ file, number: index + 1, text })),
    );
}

const places = (pattern: RegExp, where: (file: string) => boolean = () => true): readonly string[] =>
  lines()
    .filter(({ file, text }) => where(file) && pattern.test(text))
    .map(({ file, number, text }) => `${file}:${number} ${text.trim().slice(0, 100)}`);

describe('the repository', () => {
  it('keeps every file of src at one subject', () => {
    const long = filesBelow('src', '.ts')
      .map((file) => ({ file, length: textOf(file).split('\n').length - 1 }))
      .filter(({ file, length }) => length > LONG && !(file in LONG_FILES))
      .map(({ file, length }) => `${file} has ${length} lines; past ${LONG} a file has usually become two.`);
    expect(long, long.join('\n')).toEqual([]);
  });

  it('names no path of the machine it was written on', () => {
    expect(places(/(^|[^\w.$}])\/work\//)).toEqual([]);
    // Tests may make homes up.
    expect(places(/(^|[^\w.$}])\/(home|Users)\/\w+\//, (file) => !file.startsWith('test/'))).toEqual([]);
  });

  it('names no number of an issue', () => {
    expect(places(/\b[Ii]ssues? #?\d+\b|\(#\d+\)/)).toEqual([]);
  });

  it('leaves no focused test and no skip without its reason', () => {
    expect(places(/\b(it|test|describe)\.only\(/, (file) => file.startsWith('test/'))).toEqual([]);
    expect(places(/\b(it|test|describe)\.(skip|todo)\(\s*\)/, (file) => file.startsWith('test/'))).toEqual(
      [],
    );
  });

  it('leaves no mark of unfinished work in the program', () => {
    // Only where they open a comment: the analyst of the report team looks for them, and says their names.
    const marks = places(
      /(?:\/\/|#|^\s*\*|\/\*\*?)\s*(?:FIXME|XXX|HACK|TODO)\b|not implemented/,
      (file) => file.startsWith('src/') || file.startsWith('agents/'),
    );
    expect(marks).toEqual([]);
  });
});
