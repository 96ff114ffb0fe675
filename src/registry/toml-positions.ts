/**
 * Where the keys of a TOML text stand: the parser does not say. Only texts that the parser has taken come here, so
 * this looks for nothing but structure; it never throws and always moves on.
 */
import type { Position } from './position.ts';

/** From the JSON text of a key path to the place of its key (or, for elements of arrays, of the element). */
export function tomlPositions(text: string): ReadonlyMap<string, Position> {
  return new Locator(text).run();
}

class Locator {
  private at = 0;
  private readonly found = new Map<string, number>();
  /** How many tables `[[path]]` has had so far. */
  private readonly tables = new Map<string, number>();

  constructor(private readonly text: string) {}

  run(): ReadonlyMap<string, Position> {
    let table: (string | number)[] = [];
    while (this.skipBlank()) {
      const before = this.at;
      if (this.text[this.at] === '[') table = this.header();
      else this.pair(table);
      if (this.at === before) this.at++;
    }
    return this.positions();
  }

  /** `[a.b]` or `[[a.b]]`: the path that the pairs below belong to. */
  private header(): (string | number)[] {
    const start = this.at;
    const list = this.text.startsWith('[[', this.at);
    this.at += list ? 2 : 1;
    const keys = this.keys();
    const path: (string | number)[] = [];
    for (const [index, { name, offset }] of keys.entries()) {
      path.push(name);
      this.note(path, offset);
      const id = JSON.stringify(path);
      if (list && index === keys.length - 1) {
        const count = this.tables.get(id) ?? 0;
        this.tables.set(id, count + 1);
        path.push(count);
        this.note(path, start);
      } else {
        const count = this.tables.get(id);
        if (count !== undefined) path.push(count - 1);
      }
    }
    while (this.text[this.at] === ']' || this.text[this.at] === ' ') this.at++;
    return path;
  }

  /** `a.b = value`. */
  private pair(table: readonly (string | number)[]): void {
    const path = [...table];
    for (const { name, offset } of this.keys()) {
      path.push(name);
      this.note(path, offset);
    }
    this.skipSpaces();
    if (this.text[this.at] === '=') this.at++;
    this.skipSpaces();
    this.value(path);
  }

  /** `a."b c".d` with the place of each part. */
  private keys(): { name: string; offset: number }[] {
    const keys: { name: string; offset: number }[] = [];
    for (;;) {
      this.skipSpaces();
      const offset = this.at;
      const quote = this.text[this.at];
      if (quote === '"' || quote === "'") {
        this.string();
        keys.push({ name: unquote(this.text.slice(offset, this.at)), offset });
      } else {
        while (/[A-Za-z0-9_-]/.test(this.text[this.at] ?? '')) this.at++;
        if (this.at === offset) return keys;
        keys.push({ name: this.text.slice(offset, this.at), offset });
      }
      this.skipSpaces();
      if (this.text[this.at] !== '.') return keys;
      this.at++;
    }
  }

  private value(path: readonly (string | number)[]): void {
    const first = this.text[this.at];
    if (first === '"' || first === "'") this.string();
    else if (first === '[') this.entries(']', (index) => this.element([...path, index]));
    else if (first === '{') this.entries('}', () => this.pair(path));
    else while (this.at < this.text.length && !/[,\]}\n#]/.test(this.text[this.at] ?? '')) this.at++;
  }

  private element(path: readonly (string | number)[]): void {
    this.note(path, this.at);
    this.value(path);
  }

  /** What stands between brackets, separated by commas. */
  private entries(close: string, entry: (index: number) => void): void {
    this.at++;
    for (let index = 0; this.skipBlank() && this.text[this.at] !== close; index++) {
      const before = this.at;
      entry(index);
      this.skipBlank();
      if (this.text[this.at] === ',') this.at++;
      else if (this.at === before) return;
    }
    this.at++;
  }

  private string(): void {
    const quote = this.text[this.at] ?? '';
    const triple = this.text.startsWith(quote.repeat(3), this.at);
    const end = triple ? quote.repeat(3) : quote;
    this.at += end.length;
    while (this.at < this.text.length && !this.text.startsWith(end, this.at))
      this.at += quote === '"' && this.text[this.at] === '\\' ? 2 : 1;
    this.at += end.length;
    // Up to two quotes of the text itself may stand before the closing three.
    while (triple && this.text[this.at] === quote) this.at++;
  }

  private skipSpaces(): void {
    while (this.text[this.at] === ' ' || this.text[this.at] === '\t') this.at++;
  }

  /** Past spaces, line ends and comments; false at the end of the text. */
  private skipBlank(): boolean {
    for (;;) {
      const char = this.text[this.at];
      if (char === undefined) return false;
      if (char === '#') while (this.at < this.text.length && this.text[this.at] !== '\n') this.at++;
      else if (/\s/.test(char)) this.at++;
      else return true;
    }
  }

  private note(path: readonly (string | number)[], offset: number): void {
    const id = JSON.stringify(path);
    if (!this.found.has(id)) this.found.set(id, offset);
  }

  private positions(): Map<string, Position> {
    const starts = [0];
    for (let index = this.text.indexOf('\n'); index >= 0; index = this.text.indexOf('\n', index + 1))
      starts.push(index + 1);
    const line = (offset: number): number => {
      let low = 0;
      let high = starts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if ((starts[middle] ?? 0) <= offset) low = middle;
        else high = middle - 1;
      }
      return low;
    };
    return new Map(
      [...this.found].map(([id, offset]) => {
        const index = line(offset);
        return [id, { line: index + 1, column: offset - (starts[index] ?? 0) + 1 }];
      }),
    );
  }
}

function unquote(quoted: string): string {
  if (quoted.startsWith("'")) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted.slice(1, -1);
  }
}
