/** What stands in a keeper's folder, for who only wants to know whether there is anything. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AGENTS_FOLDER, KEEPER_FILE } from './protocol.ts';

/** Whether a keeper lives in that folder, or left something there that nobody took note of. */
export function hasKept(folder: string): boolean {
  try {
    return existsSync(join(folder, KEEPER_FILE)) || readdirSync(join(folder, AGENTS_FOLDER)).length > 0;
  } catch {
    return false; // there never was one
  }
}
