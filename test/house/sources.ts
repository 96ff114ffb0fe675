/** What the house tests read: our own files, their imports and their exports. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const SKIPPED = new Set(['node_modules', 'dist', '.git', '.coral']);

/** Files below a folder of the repository that end like one of `endings`, as sorted paths from the root. */
export function filesBelow(folder: string, ...endings: readonly string[]): readonly string[] {
  const found: string[] = [];
  const walk = (path: string): void => {
    for (const name of readdirSync(path)) {
      if (SKIPPED.has(name)) continue;
      const inside = join(path, name);
      if (statSync(inside, { throwIfNoEntry: false })?.isDirectory() === true) walk(inside);
      else if (endings.length === 0 || endings.some((ending) => name.endsWith(ending)))
        found.push(relative(ROOT, inside).split(sep).join('/'));
    }
  };
  if (statSync(join(ROOT, folder), { throwIfNoEntry: false })?.isDirectory() === true)
    walk(join(ROOT, folder));
  return found.sort();
}

/** A file's text; `path` starts at the root. */
export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** A TypeScript file, parsed. */
export function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, textOf(path), ts.ScriptTarget.ES2023, true);
}

/** One import of a file. */
export interface Import {
  /** As written. */
  readonly specifier: string;
  /** Path from the root for an import of ours; undefined for a package or a builtin. */
  readonly file?: string;
  /** Erased by the compiler. */
  readonly typeOnly: boolean;
  readonly line: number;
}

const read = new Map<string, readonly Import[]>();

/** Every import, re-export and `import()` of a file. Each file is read once. */
export function importsOf(path: string): readonly Import[] {
  const known = read.get(path);
  if (known !== undefined) return known;
  const source = parse(path);
  const imports: Import[] = [];
  const add = (node: ts.Node, specifier: string, typeOnly: boolean): void => {
    imports.push({
      specifier,
      typeOnly,
      line: source.getLineAndCharacterOfPosition(node.getStart()).line + 1,
      ...(specifier.startsWith('.') && { file: join(dirname(path), specifier).split(sep).join('/') }),
    });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node, node.moduleSpecifier.text, isTypeOnlyImport(node));
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier !== undefined &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      add(node, node.moduleSpecifier.text, node.isTypeOnly);
    } else if (
      ts.isCallExpression(node) &&
      node.expression.kind === ts.SyntaxKind.ImportKeyword &&
      node.arguments[0] !== undefined &&
      ts.isStringLiteral(node.arguments[0])
    ) {
      add(node, node.arguments[0].text, false);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal)) add(node, node.argument.literal.text, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  read.set(path, imports);
  return imports;
}

function isTypeOnlyImport(node: ts.ImportDeclaration): boolean {
  const clause = node.importClause;
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  if (clause.name !== undefined || clause.namedBindings === undefined) return false;
  return (
    ts.isNamedImports(clause.namedBindings) &&
    clause.namedBindings.elements.every((element) => element.isTypeOnly)
  );
}

/** The package an import names (`@scope/name`, `name`, `node:fs`). */
export function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier);
}
