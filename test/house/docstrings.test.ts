/** What is exported is explained, and a rule that is cited can be looked up. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { filesBelow, parse, ROOT, textOf } from './sources.ts';

/** A path of ours from the root, as comments and documents write it. */
const PATH = /(?<![\w./-])(?:docs|test|src|bench)\/[\w./-]*\.(?:md|ts|py|yaml)\b/g;

interface Exported {
  readonly name: string;
  readonly line: number;
  readonly explained: boolean;
}

/**
 * Exported functions, classes, interfaces and types of a file. A type that bears the name of an exported constant is
 * that schema's output and needs no words of its own; nor does one line that exports what another file explains.
 */
function exportsOf(source: ts.SourceFile): readonly Exported[] {
  const constants = new Set<string>();
  const found: Exported[] = [];
  const add = (node: ts.Node, name: string): void => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart());
    const explained = ts.getJSDocCommentsAndTags(node).length > 0;
    found.push({ name, line: line + 1, explained });
  };
  for (const node of source.statements) {
    const flags = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
    if (!flags.some((flag) => flag.kind === ts.SyntaxKind.ExportKeyword)) continue;
    if (ts.isVariableStatement(node)) {
      for (const { name } of node.declarationList.declarations) constants.add(name.getText());
    } else if (
      ts.isFunctionDeclaration(node) ||
      ts.isClassDeclaration(node) ||
      ts.isInterfaceDeclaration(node) ||
      ts.isTypeAliasDeclaration(node)
    ) {
      add(node, node.name?.text ?? 'default');
    }
  }
  return found.filter(({ name, explained }) => explained || !constants.has(name));
}

/** True when the comment at the top of the file is about its one export, so that a second would repeat it. */
function speaksForIt(text: string, found: readonly Exported[]): boolean {
  return found.length === 1 && text.startsWith('/**');
}

describe('docstrings', () => {
  it('stand at every exported function, class, interface and type', () => {
    const bare = filesBelow('src', '.ts').flatMap((file) => {
      const exported = exportsOf(parse(file));
      if (speaksForIt(textOf(file), exported)) return [];
      return exported
        .filter(({ explained }) => !explained)
        .map(({ name, line }) => `${file}:${line} exports ${name} without a docstring.`);
    });
    expect(bare, bare.join('\n')).toEqual([]);
  });

  it('open every file of src with what it is about', () => {
    const bare = filesBelow('src', '.ts').filter((file) => !/^(#!.*\n)?\/\*\*/.test(textOf(file)));
    expect(bare, `without a comment at the top: ${bare.join(', ')}`).toEqual([]);
  });
});

describe('citations', () => {
  const headings = new Set(
    textOf('docs/wire.md')
      .split('\n')
      .flatMap((line) => /^#{1,4} (.+)$/.exec(line)?.[1] ?? []),
  );
  // The house tests themselves name files and sections that are made up.
  const sources = ['src', 'agents', 'test', 'bench', 'docs', 'scripts']
    .flatMap((folder) => filesBelow(folder, '.ts', '.py', '.md', '.mjs'))
    .filter((file) => !file.startsWith('test/house/'));

  it('of docs/wire.md name a section that is there', () => {
    const wrong: string[] = [];
    let cited = 0;
    for (const file of sources) {
      // A citation: the file's name, then its sections in quotes, joined by commas or "and"; it may wrap.
      const text = textOf(file).replace(/\s*\n\s*(\*|\/\/|#)?\s*/g, ' ');
      for (const match of text.matchAll(/docs\/wire\.md((?:(?:,| and|, and) ?["“][^"”]+["”])+)/g)) {
        for (const [, section] of (match[1] ?? '').matchAll(/["“]([^"”]+)["”]/g)) {
          cited += 1;
          if (section !== undefined && !headings.has(section))
            wrong.push(`${file} cites docs/wire.md, "${section}", which has no such heading.`);
        }
      }
    }
    expect(cited).toBeGreaterThan(20);
    expect(wrong, wrong.join('\n')).toEqual([]);
  });

  it('of other documents name a file that is there', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      for (const [path] of textOf(file).matchAll(PATH)) {
        if (existsSync(join(ROOT, path))) continue;
        wrong.push(`${file} names ${path}, which is not there.`);
      }
    }
    expect(wrong, wrong.join('\n')).toEqual([]);
  });
});
