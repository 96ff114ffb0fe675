/** Small pieces of text for people: tables, ages, lines that fit. */

/** Everything that could move the cursor, colour the screen or ring a bell: what agents say is shown, not obeyed. */

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The text without control characters; new lines and tabs stay. */
export function harmless(text: string): string {
  return text.replace(CONTROL, '');
}

/** The text as one line of at most `width` characters (none: all of it), cut with an ellipsis. */
export function oneLine(text: string, width = Infinity): string {
  const flat = harmless(text).replace(/\s+/g, ' ').trim();
  return cut(flat, width);
}

/** At most `width` characters, whole ones. */
export function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  const characters = [...text];
  return characters.length <= width
    ? text
    : `${characters
        .slice(0, Math.max(1, width - 1))
        .join('')
        .trimEnd()}…`;
}

/** Columns as wide as their widest cell, two blanks apart; the header in capitals. Empty columns are left out. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const kept = header.map((_, column) => rows.some((row) => (row[column] ?? '') !== ''));
  const lines = [header.map((name) => name.toUpperCase()), ...rows].map((row) =>
    row.map((cell) => harmless(cell)).filter((_, column) => kept[column]),
  );
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((row) => row[column]?.length ?? 0)),
  );
  return lines.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** `3s`, `12m`, `5h`, `2d`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 100) return `${seconds}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes}m`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours}h` : `${Math.round(hours / 24)}d`;
}

/** `09:03:11` in local time, of an ISO-8601 text. */
export function clock(timestamp: string): string {
  const date = new Date(timestamp);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}

/** `1 agent`, `3 agents`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
