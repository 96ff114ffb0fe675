/** Documents and examples are as good as code: links lead somewhere, snippets parse, examples load. */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { execFileSync } from 'node:child_process';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { ConfigSchema } from '../../src/config/schema.ts';
import { blocksOf, DOCUMENTS, linksOf } from './markdown.ts';
import { filesBelow, ROOT, textOf } from './sources.ts';

describe('documents', () => {
  it.each(DOCUMENTS)('%s links only to what is there', (file) => {
    const dead = linksOf(textOf(file)).filter((target) => {
      if (/^[a-z]+:/.test(target)) return false;
      const [path = '', anchor] = target.split('#');
      const linked = path === '' ? file : join(dirname(file), path);
      if (!existsSync(join(ROOT, linked))) return true;
      return anchor !== undefined && !anchorsOf(textOf(linked)).has(anchor);
    });
    expect(dead).toEqual([]);
  });

  it.each(DOCUMENTS)('%s holds snippets that parse', (file) => {
    const wrong = blocksOf(textOf(file)).flatMap(({ language, text, line }) => {
      const fault = faultOf(language, text);
      return fault === undefined ? [] : [`${file}:${line} ${fault}`];
    });
    expect(wrong, wrong.join('\n')).toEqual([]);
  });

  it('say of every snippet what language it is in, and of every command that is not run why', () => {
    const mute = DOCUMENTS.flatMap((file) =>
      blocksOf(textOf(file))
        .filter((block) => block.language === '')
        .map((block) => `${file}:${block.line} says no language.`),
    );
    expect(mute).toEqual([]);
  });
});

describe('docs/decisions', () => {
  it('are all in the list', () => {
    const listed = linksOf(textOf('docs/decisions/README.md'));
    const pages = filesBelow('docs/decisions', '.md').map((file) => basename(file));
    expect([...listed].sort()).toEqual(pages.filter((page) => page !== 'README.md').sort());
  });
});

describe('docs/wire.md', () => {
  it('names every key of the configuration', () => {
    const section = /## Configuration\n([\s\S]*?)\n## /.exec(textOf('docs/wire.md'))?.[1] ?? '';
    const missing: string[] = [];
    const shape = ConfigSchema.parse({}) as Record<string, unknown>;
    for (const [key, value] of Object.entries(shape)) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        if (!section.includes(`\`${key}\``)) missing.push(key);
        continue;
      }
      const rows = section.split('\n').filter((row) => row.startsWith(`| \`${key}.`));
      for (const inner of Object.keys(value)) {
        const named = rows.some((row) => row.includes(`\`${key}.${inner}\``) || row.includes(`\`${inner}\``));
        if (!named) missing.push(`${key}.${inner}`);
      }
    }
    expect(missing).toEqual([]);
  });
});

/** What GitHub makes of headings. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s-]/gu, '')
        .replace(/ /g, '-'),
    ),
  );
}

/** Why a snippet is none of its language; undefined when it is, or when nothing here can read it. */
function faultOf(language: string, text: string): string | undefined {
  switch (language) {
    case 'yaml': {
      const [error] = parseDocument(text).errors;
      return error?.message;
    }
    case 'json':
      try {
        JSON.parse(text);
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    case 'ts': {
      const { diagnostics } = ts.transpileModule(text, {
        reportDiagnostics: true,
        compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
      });
      const [first] = diagnostics ?? [];
      return first === undefined ? undefined : ts.flattenDiagnosticMessageText(first.messageText, ' ');
    }
    case 'python':
      return accepted('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], text);
    case 'sh':
      return accepted('bash', ['-n'], text);
    case 'text':
      return undefined;
    default:
      return `is in "${language}", which no test can read.`;
  }
}

function accepted(program: string, args: readonly string[], input: string): string | undefined {
  try {
    execFileSync(program, args, { input, stdio: ['pipe', 'pipe', 'pipe'] });
    return undefined;
  } catch (error) {
    return (error as { stderr: Buffer }).stderr.toString('utf8').trim();
  }
}
