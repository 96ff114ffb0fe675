/** What comes of a command: facts, or a sentence that says why not. */
import type { SessionEvent } from './event.ts';
import type { Refusal } from './refusal.ts';

/** The facts to write down, in order; none when nothing changes and nothing is wrong. */
export type Decision = readonly SessionEvent[] | Refusal;
