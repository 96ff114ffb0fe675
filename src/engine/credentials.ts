/**
 * Whose secret is it? Only digests are kept of secrets nobody has shown yet; whether one still counts is read off the
 * session's state, so that revoking is nothing but the fact that ended the attempt.
 */
import { hash } from 'node:crypto';
import type { Participant } from './participant.ts';

/** Hex SHA-256 of a secret: what events and this table hold. */
export function digestOf(secret: string): string {
  return hash('sha256', secret);
}

interface Entry {
  readonly participant: Participant;
  /** The secret, once it was shown: its agent calls again and again. */
  shown?: string;
}

/** The secrets of all attempts that live, by digest. */
export class Credentials {
  private readonly byDigest = new Map<string, Entry>();
  private readonly byShown = new Map<string, Entry>();

  /** From now on this digest stands for this participant. */
  add(digest: string, participant: Participant): void {
    this.byDigest.set(digest, { participant });
  }

  /** It stands for nobody any more. */
  remove(digest: string): void {
    const shown = this.byDigest.get(digest)?.shown;
    if (shown !== undefined) this.byShown.delete(shown);
    this.byDigest.delete(digest);
  }

  /** The agent whose current secret this is. What is looked up tells nothing by its timing but what was right before. */
  find(secret: string): Participant | undefined {
    const entry = this.byShown.get(secret) ?? this.lookUp(secret);
    if (entry?.participant.valid !== true) return undefined;
    entry.participant.active();
    return entry.participant;
  }

  private lookUp(secret: string): Entry | undefined {
    const entry = this.byDigest.get(digestOf(secret));
    if (entry === undefined) return undefined;
    entry.shown = secret;
    this.byShown.set(secret, entry);
    return entry;
  }
}
