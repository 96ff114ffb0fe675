/**
 * Where a page of the catalogue ended: the opening time of its last stream, and the order in which streams of the
 * same millisecond were first written. Opaque outside this folder.
 */
import { JournalError } from '../ports/journal.ts';

/** Where a page of streams ended. */
export interface Place {
  /** `openedAt` of the last stream shown, ms. */
  readonly openedAt: number;
  /** Counts the streams in the order in which they were first written. */
  readonly ordinal: number;
}

/** Every place in the catalogue lies below this one: where the first page begins. */
export const TOP: Place = { openedAt: Number.MAX_SAFE_INTEGER, ordinal: Number.MAX_SAFE_INTEGER };

/** The opaque text for a place. */
export function encodeCursor(place: Place): string {
  return Buffer.from(`${place.openedAt}/${place.ordinal}`).toString('base64url');
}

/** Throws JournalError `bad_cursor` for anything `encodeCursor` did not make. */
export function decodeCursor(cursor: string): Place {
  const match = /^(-?\d+(?:\.\d+)?)\/(\d+)$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (match === null) {
    throw new JournalError(
      'bad_cursor',
      `The cursor "${cursor.slice(0, 80)}" does not come from a page of this list: pass the cursor exactly as the page before returned it, or none to begin with the newest.`,
    );
  }
  return { openedAt: Number(match[1]), ordinal: Number(match[2]) };
}
