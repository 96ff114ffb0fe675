/** Which API keys are good: those of the configuration or the one made at the first start, the local one, added ones. */
import { hash, timingSafeEqual } from 'node:crypto';
import { ApiKeys } from '../api-keys.ts';
import type { Config } from '../config.ts';
import type { Log } from '../ports/log.ts';
import type { StateFolder } from '../state-folder.ts';

/** The keys of one server. */
export interface ServerKeys {
  /** A key that is good for the API. */
  readonly key: string;
  /** It was made at this start. */
  readonly fresh: boolean;
  /** Where it lies; absent when the configuration names the keys. */
  readonly file?: string;
  /** Takes the same time wherever two keys differ. */
  check(given: string): boolean;
}

/** Throws when the list of added keys cannot be read: now, and not with the first request. */
export function openKeys(config: Config, state: StateFolder, localKey: string, log: Log): ServerKeys {
  const added = new ApiKeys(state.path);
  added.list();
  const [configured] = config.auth.keys;
  const first = configured === undefined ? state.apiKey() : { key: configured, fresh: false };
  const known = [first.key, ...config.auth.keys, localKey].map(digestOf);
  return {
    ...first,
    check: (given) => {
      const digest = digestOf(given);
      return known.some((one) => timingSafeEqual(one, digest)) || isAdded(added, given, log);
    },
  };
}

/** A list that cannot be read lets nobody in, and the operator hears why. */
function isAdded(added: ApiKeys, key: string, log: Log): boolean {
  try {
    return added.check(key);
  } catch (error) {
    log.error('No added API key is good for now.', { error });
    return false;
  }
}

function digestOf(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
