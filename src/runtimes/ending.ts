/** What all runtimes say in the same way: the mask over what agents print, sentences about an ending, last words. */
import type { Ending } from '../domain/exit.ts';

const MAX_LAST_LINES = 20;
const MAX_LAST_BYTES = 4 * 1024;
/** Shorter secrets are not masked: hiding every `1` would leave nothing to read and hide nothing. */
const MIN_MASKED = 4;
const MASK = '***';

/** Replaces every secret in a text, also as it stands in JSON or a URL. Of a secret of several lines each line is one. */
export type Mask = (text: string) => string;

/** The mask for these secrets. Those shorter than four characters stay as they are. */
export function maskOf(secrets: readonly string[]): Mask {
  const pieces = new Set(
    secrets
      .flatMap((secret) => [secret, ...secret.split(/\r?\n/)])
      .flatMap((piece) => [piece, JSON.stringify(piece).slice(1, -1), encodedForUrl(piece)])
      .filter((piece) => piece.length >= MIN_MASKED),
  );
  // The longest first, so that a secret which contains another one disappears as a whole.
  const ordered = [...pieces].sort((a, b) => b.length - a.length);
  return (text) => ordered.reduce((masked, piece) => masked.replaceAll(piece, MASK), text);
}

function encodedForUrl(text: string): string {
  // A lone half of a surrogate pair has no such form.
  return encodeURIComponent(Buffer.from(text).toString());
}

/** The last lines an agent printed: at most 20, and 4 KiB of UTF-8 in all; the newest win. */
export class LastLines {
  private readonly lines: string[] = [];
  private characters = 0;

  constructor(private readonly mask: Mask) {}

  add(text: string): void {
    // A long line is masked before it is cut, so that no half of a secret stays at the cut.
    const kept = text.length > MAX_LAST_BYTES ? this.mask(text).slice(0, MAX_LAST_BYTES) : text;
    this.lines.push(kept);
    this.characters += kept.length;
    while (
      this.lines.length > MAX_LAST_LINES ||
      (this.lines.length > 1 && this.characters > 2 * MAX_LAST_BYTES)
    ) {
      this.characters -= this.lines.shift()!.length;
    }
  }

  /** Masked, oldest first; nothing when there were none. */
  read(): readonly string[] | undefined {
    const kept: string[] = [];
    let room = MAX_LAST_BYTES;
    for (let i = this.lines.length - 1; i >= 0 && room > 0; i -= 1) {
      const line = this.mask(this.lines[i]!);
      const fitting = beginningOf(line, room);
      if (fitting.length < line.length && kept.length > 0) break;
      kept.unshift(fitting);
      room -= Buffer.byteLength(fitting) + 1;
    }
    return kept.length > 0 ? kept : undefined;
  }
}

/** The longest beginning of at most `bytes` bytes of UTF-8. */
function beginningOf(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  return new TextDecoder('utf-8').decode(Buffer.from(text).subarray(0, bytes)).replace(/\ufffd+$/, '');
}

/** Joins what is known of an ending with the agent's last words. */
export function endingOf(what: Omit<Ending, 'lastLines'>, lastLines: readonly string[] | undefined): Ending {
  return lastLines ? { ...what, lastLines } : what;
}

/** It ended by itself with a code. `time` in wall-clock ms. */
export function exitedWith(exitCode: number, time: number): Ending {
  return { kind: 'exited', exitCode, detail: `Exited with code ${exitCode}.`, time };
}

/** A signal ended it, ours or another. `time` in wall-clock ms. */
export function endedBySignal(signal: string, time: number): Ending {
  return { kind: 'signalled', signal, detail: `Ended by signal ${signal}.`, time };
}

/** Said of a handle that no longer names anything this runtime knows. */
export function lost(detail: string): Ending {
  return { kind: 'lost', detail };
}
