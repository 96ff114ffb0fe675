/** Reads our Markdown: code blocks and links. */
import { filesBelow } from './sources.ts';

/** All documents of the repository. */
export const DOCUMENTS: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...filesBelow('docs', '.md'),
];

/** One fenced block. */
export interface Block {
  /** The fence's first word; '' when it has none. */
  readonly language: string;
  readonly text: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  /** From `<!-- not run: REASON -->` above the fence. */
  readonly notRun?: string;
  /** From `<!-- file: PATH -->` above the fence: the text is that file's, or becomes it. */
  readonly file?: string;
}

/** The fenced blocks of a document, in order. */
export function blocksOf(markdown: string): readonly Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split('\n');
  let note = '';
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    const fence = /^```(\w*)\s*$/.exec(line);
    if (fence === null) {
      if (line.startsWith('<!--')) note = line;
      else if (line.trim() !== '') note = '';
      continue;
    }
    const from = index + 1;
    index = lines.indexOf('```', from);
    if (index === -1) throw new Error(`the block of line ${from} has no end`);
    const notRun = /^<!-- not run: (.+) -->$/.exec(note)?.[1];
    const file = /^<!-- file: (.+) -->$/.exec(note)?.[1];
    blocks.push({
      language: fence[1] ?? '',
      text: `${lines.slice(from, index).join('\n')}\n`,
      line: from,
      ...(notRun !== undefined && { notRun }),
      ...(file !== undefined && { file }),
    });
    note = '';
  }
  return blocks;
}

/** Targets of links and images. */
export function linksOf(markdown: string): readonly string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}
