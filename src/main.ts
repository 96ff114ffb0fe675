#!/usr/bin/env node
/** The program `coral`. Everything it can do is in `cli/`. */
import { main } from './cli/program.ts';

process.exitCode = await main(process.argv.slice(2));
// Streams to a server, timers of a library: whatever still stands must not keep a finished command alive.
process.exit();
