/**
 * Something about a file or a value that its writer should know, and where: a key path from the root of what was
 * read. The adapters add file and line. Messages are sentences for a person and hold nothing secret.
 */
export type KeyPath = readonly (string | number)[];

/** Something wrong with a file, and where in it. */
export interface Problem {
  /** `error`: what was read cannot be used until mended. */
  readonly severity: 'error' | 'warning';
  readonly path: KeyPath;
  readonly message: string;
}

/** `['agents', 0, 'a.b', 'type']` → `agents[0]."a.b".type`. */
export function formatPath(path: KeyPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += (text === '' ? '' : '.') + (/^[^\s."'[\]]+$/.test(part) ? part : JSON.stringify(part));
  }
  return text;
}

/** A problem that keeps the file from being used. */
export function error(path: KeyPath, message: string): Problem {
  return { severity: 'error', path, message };
}

/** A problem that its writer should know of. */
export function warning(path: KeyPath, message: string): Problem {
  return { severity: 'warning', path, message };
}
