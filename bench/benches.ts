/** Every benchmark there is, in the order in which they run and stand in docs/performance.md. */
import { coldStart } from './cold-start.ts';
import { docker } from './docker.ts';
import { flood } from './flood.ts';
import type { Bench } from './harness.ts';
import { idleSessions } from './idle-sessions.ts';
import { journal } from './journal-rows.ts';
import { keeper } from './keeper.ts';
import { recovery } from './recovery.ts';
import { sessions } from './sessions.ts';
import { sockets } from './sockets.ts';
import { threads } from './threads.ts';
import { toolCalls } from './tool-calls.ts';
import { wakes } from './wakes.ts';

export const BENCHES: readonly Bench[] = [
  toolCalls,
  wakes,
  sessions,
  sockets,
  journal,
  threads,
  recovery,
  coldStart,
  idleSessions,
  keeper,
  flood,
  docker,
];
