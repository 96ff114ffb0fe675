/**
 * File names are bytes, messages are text. A name that is valid UTF-8 is that text; in any other, each stray byte
 * becomes one lone surrogate (U+DC80 … U+DCFF), which is what Python does too (`surrogateescape`), so that agents in
 * both languages mean the same file.
 */

/** The text that stands for these bytes. */
export function nameFromBytes(bytes: Uint8Array): string {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  if (!text.includes('�')) return text;
  let name = '';
  for (let at = 0; at < bytes.length;) {
    const length = sequenceAt(bytes, at);
    if (length === 0) {
      name += String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
      at += 1;
    } else {
      name += new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(at, at + length));
      at += length;
    }
  }
  return name;
}

/** The bytes that this text stands for. */
export function nameToBytes(name: string): Buffer {
  if (!/[\udc80-\udcff]/.test(name)) return Buffer.from(name);
  const parts: Buffer[] = [];
  for (const char of name) {
    const code = char.charCodeAt(0);
    const stray = char.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    parts.push(stray ? Buffer.from([code - 0xdc00]) : Buffer.from(char));
  }
  return Buffer.concat(parts);
}

/** The name for a person: on one line, with whatever cannot be printed written as \xNN. */
export function shownName(name: string): string {
  let shown = '';
  for (const char of name) {
    const code = char.codePointAt(0) ?? 0;
    if (char.length === 1 && code >= 0xdc80 && code <= 0xdcff) shown += hex(code - 0xdc00);
    else if (code < 0x20 || code === 0x7f) shown += hex(code);
    else shown += char;
  }
  return shown;
}

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}

/** Length of the valid UTF-8 sequence that starts here; 0 when there is none. */
function sequenceAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  try {
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}
