/**
 * The ids of MCP sessions (`mcp-session-id`): random, signed for one agent secret, never stored. An id therefore stays
 * good over a restart of the server and dies with the secret.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const RANDOM_BYTES = 9;
const RANDOM_CHARS = 12;
const SIGNATURE_CHARS = 22;

/** Makes and checks session ids. */
export interface SessionIds {
  mint(secret: string): string;
  /** True for an id that was minted for this secret with this key, by whichever process. */
  verify(id: string, secret: string): boolean;
}

/** `key`: at least 16 bytes that only servers of this state folder know. */
export function createSessionIds(key: Uint8Array | string): SessionIds {
  const sign = (random: string, secret: string): string =>
    createHmac('sha256', key).update(random).update(secret).digest('base64url').slice(0, SIGNATURE_CHARS);
  return {
    mint(secret) {
      const random = randomBytes(RANDOM_BYTES).toString('base64url');
      return random + sign(random, secret);
    },
    verify(id, secret) {
      if (id.length !== RANDOM_CHARS + SIGNATURE_CHARS) return false;
      const given = Buffer.from(id.slice(RANDOM_CHARS));
      const expected = Buffer.from(sign(id.slice(0, RANDOM_CHARS), secret));
      return given.length === expected.length && timingSafeEqual(given, expected);
    },
  };
}
