/** What a caller is refused with is a sentence for a person: it begins like one and ends like one. */
import ts from 'typescript';
import { expect, it } from 'vitest';
import { filesBelow, parse, textOf } from './sources.ts';

/** Classes of what callers are told, and which argument is the sentence. */
const TOLD: Readonly<Record<string, number>> = { Refusal: 1, HttpFault: 2, RpcFailure: 1, BadArguments: 0 };

/** A capital letter or a quoted name; or a name of the wire (`threadId`, `tools/call`), which keeps its spelling. */
const BEGINS = /^(?:[A-Z"]|\w+[A-Z/_.])/;
const ENDS = /\.$/;

/** What an expression may say, each with its unknown parts as `…`; nothing for what only another place knows. */
function texts(node: ts.Expression): string[] {
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isConditionalExpression(node)) return [...texts(node.whenTrue), ...texts(node.whenFalse)];
  if (ts.isTemplateExpression(node))
    return [node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('')];
  return [];
}

it('every refusal is a sentence', () => {
  const wrong: string[] = [];
  let found = 0;
  const tells = new RegExp(`new (?:${Object.keys(TOLD).join('|')})\\(`);
  for (const file of filesBelow('src', '.ts').filter((path) => tells.test(textOf(path)))) {
    const source = parse(file);
    const visit = (node: ts.Node): void => {
      if (ts.isNewExpression(node) && ts.isIdentifier(node.expression)) {
        const sentence = node.arguments?.[TOLD[node.expression.text] ?? -1];
        for (const text of sentence === undefined ? [] : texts(sentence)) {
          found += 1;
          const begins = text.startsWith('…') || BEGINS.test(text);
          const ends = text.endsWith('…') || ENDS.test(text);
          const { line } = source.getLineAndCharacterOfPosition(node.getStart());
          if (!begins || !ends) wrong.push(`${file}:${line + 1} ${text}`);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  expect(wrong).toEqual([]);
  expect(found).toBeGreaterThan(60);
});
