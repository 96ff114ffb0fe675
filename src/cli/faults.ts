/** Faults of files, flags and variables as lines for a person: `error: FILE:LINE: sentence`. */
import { relative } from 'node:path';
import pc from 'picocolors';
import type { Fault } from '../ports/registry.ts';

/** One line; files below `cwd` are shown relative to it. The key is named unless the sentence does so itself. */
export function describeFault(fault: Fault, cwd: string, colors = pc.createColors(false)): string {
  const file = fault.file.startsWith('/') ? shorter(fault.file, cwd) : fault.file;
  const place = fault.line === undefined ? file : `${file}:${fault.line}`;
  const key = fault.key === undefined || fault.message.includes('`') ? '' : `${fault.key}: `;
  const paint = fault.severity === 'error' ? colors.red : colors.yellow;
  return `${paint(fault.severity)}: ${colors.bold(place)}: ${key}${fault.message}`;
}

function shorter(path: string, cwd: string): string {
  const below = relative(cwd, path);
  return below === '' || below.startsWith('..') ? path : below;
}
