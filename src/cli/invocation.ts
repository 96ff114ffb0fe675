/** What a command is called with, beside its own arguments. */
import type { Setting } from '../config.ts';
import type { Terminal } from './terminal.ts';

/** What every command is given. */
export interface Invocation {
  readonly terminal: Terminal;
  /** Dotted flags: they may stand anywhere and set what the configuration file sets. */
  readonly settings: readonly Setting[];
}
