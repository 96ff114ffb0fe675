/** Paths as inputs of a team: plain POSIX text, nothing is looked up on a disk. Source: docs/wire.md, "Team files". */
import { plainly } from './team-interpolate.ts';

/** Whether the text is a path that begins at the root. */
export function isAbsolutePath(text: string): boolean {
  return plainly(text).startsWith('/');
}

/** `text` as seen from `directory` (absolute), with `.` and `..` worked out; an absolute or empty one as it is. */
export function pathFrom(directory: string, text: string): string {
  if (text === '' || isAbsolutePath(text)) return text;
  const parts: string[] = [];
  for (const part of `${directory}/${text}`.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}
