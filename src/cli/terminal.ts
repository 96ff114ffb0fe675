/** Where a command writes and what it knows of its caller. Made once per process; tests drive the built program. */
import pc from 'picocolors';
import { processEnvironment } from '../config.ts';

/** Picocolors, switched on or off. */
export type Colors = ReturnType<typeof pc.createColors>;

/** Where a command writes, and what it knows of its caller. */
export interface Terminal {
  /** Writes one line to standard output. */
  readonly line: (text: string) => void;
  /** Writes one line to standard error: what is not the command's result. */
  readonly note: (text: string) => void;
  readonly colors: Colors;
  /** For standard error. */
  readonly noteColors: Colors;
  /** Columns of standard output; undefined when that is no terminal. */
  readonly width: number | undefined;
  /** Aborts when nobody reads standard output any more (`coral logs -f | head`). */
  readonly gone: AbortSignal;
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The terminal of this process. NO_COLOR, FORCE_COLOR and --no-color are honoured. */
export function processTerminal(): Terminal {
  const environment = processEnvironment();
  const forced = Boolean(environment['FORCE_COLOR']);
  const coloured = (stream: NodeJS.WriteStream): boolean => pc.isColorSupported && (stream.isTTY || forced);
  const gone = new AbortController();
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    gone.abort();
  });
  return {
    line: (text) => {
      if (!gone.signal.aborted) process.stdout.write(`${text}\n`);
    },
    gone: gone.signal,
    note: (text) => void process.stderr.write(`${text}\n`),
    colors: pc.createColors(coloured(process.stdout)),
    noteColors: pc.createColors(coloured(process.stderr)),
    get width() {
      // A terminal that does not know its width says 0.
      return process.stdout.isTTY ? process.stdout.columns || undefined : undefined;
    },
    cwd: process.cwd(),
    environment,
  };
}
