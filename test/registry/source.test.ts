import { describe, expect, test } from 'vitest';
import { isSource, parseSource } from '../../src/registry/source.ts';
import type { Source } from '../../src/registry/source.ts';

function read(text: string, file: string): Source {
  const source = parseSource(text, file);
  if (!isSource(source)) throw new Error(JSON.stringify(source.faults));
  return source;
}
function faults(text: string, file: string) {
  const source = parseSource(text, file);
  return isSource(source) ? [] : source.faults;
}

const YAML = `# a comment
agent:
  name: scout
  keywords: [a, b]
list:
  - name: one
  - name: two
    wide: 18446744073709551615
small: 12
`;

const TOML = `# [not.a.table]
top = "# no comment"
wide = 9007199254740993

[agent]
name = 'scout' # comment
"quoted key" . inner = { a = 1, b = [10, 20] }
text = """
[no.table]
key = "no" """
arr = [
  "one", # with ] and ,
  { name = "two" },
]

[[list]]
name = "one"
[[list]]
name = "two"
[list.sub]
deep = true
[[list.items]]
x = 1
[[list.items]]
x = 2
`;

describe('YAML', () => {
  test('values are plain, only integers beyond the safe ones are bigints', () => {
    expect(read(YAML, 'a.yaml').value).toEqual({
      agent: { name: 'scout', keywords: ['a', 'b'] },
      list: [{ name: 'one' }, { name: 'two', wide: 18446744073709551615n }],
      small: 12,
    });
    expect(read('', 'a.yaml').value).toBeNull();
    expect(read('{"a": [1, true]}', 'a.json').value).toEqual({ a: [1, true] });
  });

  test.each<[(string | number)[], number, number]>([
    [['agent'], 2, 1],
    [['agent', 'name'], 3, 3],
    [['agent', 'keywords', 1], 4, 17],
    [['list', 1, 'wide'], 8, 5],
    [['list', 1, 'missing', 'more'], 7, 5],
    [['agent', 'missing'], 2, 1],
  ])('%j stands at %i:%i', (path, line, column) => {
    expect(read(YAML, 'a.yaml').locate(path)).toEqual({ line, column });
  });

  test('a key inside an alias is found where it was written', () => {
    const text = 'base: &b\n  x: 1\nother: *b\n';
    expect(read(text, 'a.yaml').locate(['other', 'x'])?.line).toBe(2);
  });

  test('every fault has its line', () => {
    expect(faults('a: 1\nb: 2\na: 3\n', 'a.yaml')).toEqual([
      expect.objectContaining({
        severity: 'error',
        file: 'a.yaml',
        line: 3,
        message: expect.stringMatching(/twice/),
      }),
    ]);
    expect(faults('a: 1\nb: [1, 2\nc: 3\n', 'a.yaml')[0]?.line).toBeGreaterThanOrEqual(2);
    expect(faults('a: "x\n', 'a.yaml')[0]?.message).toMatch(/^Is no valid YAML: .*\.$/);
  });

  test('aliases that blow up are a fault, not a crash', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]'];
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef'].map((pair) => [pair[0], pair[1]]))
      bomb.push(`${to}: &${to} [*${from},*${from},*${from},*${from},*${from},*${from},*${from},*${from}]`);
    expect(faults(bomb.join('\n'), 'a.yaml')[0]?.message).toMatch(/Cannot be read/);
  });
});

describe('TOML', () => {
  test('values are plain, only integers beyond the safe ones are bigints', () => {
    expect(read(TOML, 'a.toml').value).toMatchObject({
      wide: 9007199254740993n,
      agent: { name: 'scout', 'quoted key': { inner: { a: 1, b: [10, 20] } } },
      list: [{ name: 'one' }, { name: 'two', sub: { deep: true }, items: [{ x: 1 }, { x: 2 }] }],
    });
    expect(read('when = 2024-05-01T10:00:00Z', 'a.toml').value).toEqual({ when: '2024-05-01T10:00:00.000Z' });
  });

  test.each<[(string | number)[], number, number]>([
    [['top'], 2, 1],
    [['agent'], 5, 2],
    [['agent', 'name'], 6, 1],
    [['agent', 'quoted key'], 7, 1],
    [['agent', 'quoted key', 'inner'], 7, 16],
    [['agent', 'quoted key', 'inner', 'b'], 7, 33],
    [['agent', 'quoted key', 'inner', 'b', 1], 7, 42],
    [['agent', 'text'], 8, 1],
    [['agent', 'arr', 0], 12, 3],
    [['agent', 'arr', 1, 'name'], 13, 5],
    [['agent', 'nothing'], 5, 2],
    [['list', 0, 'name'], 17, 1],
    [['list', 1], 18, 1],
    [['list', 1, 'name'], 19, 1],
    [['list', 1, 'sub', 'deep'], 21, 1],
    [['list', 1, 'items', 1, 'x'], 25, 1],
  ])('%j stands at %i:%i', (path, line, column) => {
    expect(read(TOML, 'a.toml').locate(path)).toEqual({ line, column });
  });

  test('what is not written anywhere has no place', () => {
    expect(read(TOML, 'a.toml').locate(['no', 'such'])).toBeUndefined();
  });

  test('every fault has its line', () => {
    expect(faults('a = 1\nb = \n', 'a.toml')[0]).toMatchObject({ line: 2, severity: 'error' });
    expect(faults('a = 1\na = 2\n', 'a.toml')[0]).toMatchObject({ line: 2 });
    expect(faults('a = 1\na = 2\n', 'a.toml')[0]?.message).toMatch(/^Is no valid TOML: .*\.$/);
  });
});
