/** What the members of the team tell each other: the data that stands below the sentences of a message. */

/** A file that was looked at: name relative to the root, bytes, lines (null: binary or too large), language, mtime in ms. */
export type FileRow = readonly [
  name: string,
  bytes: number,
  lines: number | null,
  language: string | null,
  mtime: number,
];

/** scout → everybody: what there is. */
export interface Survey {
  readonly kind: 'survey';
  readonly root: string;
  /** How the files were found: what git keeps, or a walk through the folder. */
  readonly listing: 'git' | 'walk';
  readonly files: number;
  readonly bytes: number;
  readonly lines: number;
  readonly binary: number;
  /** Files too large to count lines in. */
  readonly uncounted: number;
  readonly links: number;
  readonly unreadable: readonly string[];
  readonly unreadableCount: number;
  /** Folders left out by name, and nested repositories. */
  readonly leftOut: readonly string[];
  readonly leftOutCount: number;
  /** There were more files than a survey takes: how many were taken. */
  readonly cutAt?: number;
  /** The latest files by their own times, newest first. */
  readonly newest: readonly { readonly name: string; readonly time: string }[];
  /** How many `inventory` messages follow. */
  readonly parts: number;
}

/** scout → analyst: the files one by one, in parts. */
export interface Inventory {
  readonly kind: 'inventory';
  readonly part: number;
  readonly parts: number;
  readonly files: readonly FileRow[];
}

/** historian → writer. Without git everything but `git` is missing. */
export interface History {
  readonly kind: 'history';
  readonly git: boolean;
  readonly branch?: string;
  readonly commits?: number;
  readonly first?: string;
  readonly last?: {
    readonly hash: string;
    readonly date: string;
    readonly author: string;
    readonly subject: string;
  };
  readonly people?: readonly { readonly name: string; readonly commits: number }[];
  readonly peopleCount?: number;
  /** Files that differ from the last commit, new ones included. */
  readonly uncommitted?: number;
  /** Only part of the history is here. */
  readonly shallow?: boolean;
}

export interface LanguageFacts {
  readonly name: string;
  readonly files: number;
  readonly lines: number;
  readonly bytes: number;
}
export interface FolderFacts {
  readonly name: string;
  readonly files: number;
  readonly lines: number;
  readonly bytes: number;
}
export interface LargeFile {
  readonly name: string;
  readonly bytes: number;
  readonly lines: number | null;
  readonly language: string | null;
}
export interface Todo {
  readonly file: string;
  readonly line: number;
  readonly marker: string;
  readonly text: string;
}

/** analyst → writer. */
export interface Analysis {
  readonly kind: 'analysis';
  /** Most lines first. */
  readonly languages: readonly LanguageFacts[];
  /** Top-level folders, most lines first; `.` for the files beside them. */
  readonly folders: readonly FolderFacts[];
  /** Largest first. */
  readonly largest: readonly LargeFile[];
  readonly todoCount: number;
  readonly todoFiles: number;
  /** The first ones, by file and line. */
  readonly todos: readonly Todo[];
  /** Text files too large to be searched. */
  readonly unsearched: number;
}

/** writer → historian: when did these last change? */
export interface WhenQuestion {
  readonly kind: 'when';
  readonly files: readonly string[];
}
/** historian → writer: in the order of the question. `how`: the commit's date, or the file's own for what is not committed. */
export interface WhenAnswer {
  readonly kind: 'dates';
  readonly dates: readonly {
    readonly file: string;
    readonly date: string;
    readonly how: 'commit' | 'file';
  }[];
}

/** writer → everybody: the work is done. */
export interface Done {
  readonly kind: 'done';
  readonly report: string;
}
export interface Goodbye {
  readonly kind: 'goodbye';
}
/** Anybody → everybody: there will be no report. */
export interface Failed {
  readonly kind: 'failed';
  readonly reason: string;
}

export type Facts =
  Survey | Inventory | History | Analysis | WhenQuestion | WhenAnswer | Done | Goodbye | Failed;
export type FactsOf<K extends Facts['kind']> = Extract<Facts, { readonly kind: K }>;

/** A message: sentences for people, and below them data for the colleagues, as a fenced block of JSON. */
export function letter(sentences: string, facts?: Facts): string {
  return facts === undefined ? sentences : `${sentences}\n\n\`\`\`json\n${JSON.stringify(facts)}\n\`\`\``;
}

/** The data of a message; undefined when it has none that we know. */
export function factsIn(text: string): Facts | undefined {
  const found = /(?:^|\n)```json\n(.*)\n```\s*$/.exec(text)?.[1];
  if (found === undefined) return undefined;
  try {
    const value = JSON.parse(found) as Facts;
    return typeof value === 'object' && value !== null && typeof value.kind === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
