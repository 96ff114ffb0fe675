/**
 * Whose secret is it? Only digests are kept; whether one still counts is read off the session's state, so that
 * revoking is nothing but the fact that ended the attempt.
 */
import { createHash } from 'node:crypto';
import type { Participant } from './participant.ts';

/** Hex SHA-256 of a secret: what events and this table hold. */
export function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** The table of those who can come in. */
export class Credentials {
  private readonly byDigest = new Map<string, Participant>();

  add(digest: string, participant: Participant): void {
    this.byDigest.set(digest, participant);
  }

  remove(digest: string): void {
    this.byDigest.delete(digest);
  }

  /** The agent whose current secret this is. Looking up a digest tells nothing by its timing. */
  find(secret: string): Participant | undefined {
    const participant = this.byDigest.get(digestOf(secret));
    if (participant?.valid !== true) return undefined;
    participant.active();
    return participant;
  }
}
