/**
 * How often somebody may ask: a bucket of tokens for each, that fills up again with time. R1: what is full again is
 * forgotten, so that memory is bounded by those who were there lately; R2: and by a number, beyond which the one that
 * has not been there for longest is forgotten. Source: docs/wire.md, "Limits".
 */
import { HttpFault } from './errors.ts';

/** What everybody gets. */
export interface Rate {
  /** At once, and in every `perMs`. 0: as often as they like. */
  readonly tokens: number;
  /** Ms in which an empty bucket is full again. */
  readonly perMs: number;
}

/** Buckets kept at once (R2). */
const MOST_BUCKETS = 10_000;

interface Bucket {
  /** In shares of a token, of which `perMs` are one and every ms earns `tokens`: whole numbers, nothing is rounded. */
  shares: number;
  /** Ms. */
  filledAt: number;
}

/** One bucket for each name; which names there are is the caller's. */
export class RateLimit {
  /** In the order they were used last. */
  private readonly buckets = new Map<string, Bucket>();

  /** `now`: ms; may jump, backwards too. */
  constructor(
    private readonly rate: Rate,
    private readonly now: () => number,
    private readonly mostBuckets = MOST_BUCKETS,
  ) {}

  /** Buckets that are kept. */
  get size(): number {
    return this.buckets.size;
  }

  /** Takes a token: 0 when there was one, else the ms until there is one. */
  take(name: string): number {
    const wait = this.wait(name);
    if (wait > 0 || this.rate.tokens === 0) return wait;
    const bucket = this.filled(name);
    bucket.shares -= this.rate.perMs;
    this.buckets.delete(name);
    this.buckets.set(name, bucket);
    this.forget();
    return 0;
  }

  /** Ms until there is a token, without taking it. */
  wait(name: string): number {
    const { tokens, perMs } = this.rate;
    if (tokens === 0) return 0;
    const { shares } = this.filled(name);
    return shares >= perMs ? 0 : Math.ceil((perMs - shares) / tokens);
  }

  private filled(name: string): Bucket {
    const now = this.now();
    const { tokens, perMs } = this.rate;
    const bucket = this.buckets.get(name) ?? { shares: tokens * perMs, filledAt: now };
    const earned = Math.max(0, now - bucket.filledAt) * tokens;
    bucket.shares = Math.min(tokens * perMs, bucket.shares + earned);
    bucket.filledAt = now;
    return bucket;
  }

  private forget(): void {
    const full = this.rate.tokens * this.rate.perMs;
    for (const name of this.buckets.keys()) {
      if (this.filled(name).shares < full && this.buckets.size <= this.mostBuckets) return;
      this.buckets.delete(name);
    }
  }
}

/** 429 with `Retry-After`, in whole seconds. `key`: of the configuration. */
export function tooOften(waitMs: number, what: string, key: string): HttpFault {
  const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
  return new HttpFault(
    429,
    'limit_exceeded',
    `${what} (\`${key}\`); try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`,
    { 'retry-after': String(seconds) },
  );
}
