/** Runs the report team as real processes against the stand-in server. Needs the built agents (`npm run build:js`). */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Message } from '../../src/client/agent/index.ts';
import { FakeServer } from '../client/fake-server.ts';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export const MEMBERS = {
  scout: ['node', at('dist/agents/scout.js')],
  historian: ['node', at('dist/agents/historian.js')],
  analyst: ['python3', '-B', at('agents/analyst/main.py')],
  writer: ['node', at('dist/agents/writer.js')],
} as const;
export type MemberName = keyof typeof MEMBERS;

export interface Outcome {
  /** Exit code, or the signal, by agent. */
  readonly exits: Record<string, number | string | null>;
  readonly stderr: Record<string, string>;
  readonly stdout: Record<string, string>;
  readonly messages: readonly Message[];
  readonly closed: FakeServer['closed'];
}

/** Runs the team until every member has ended. `instead`: another command for a member; empty: it is not there. */
export async function runTeam(
  options: { readonly path: string; readonly output: string },
  instead: Partial<Record<MemberName, readonly string[]>> = {},
): Promise<Outcome> {
  const server = await new FakeServer().start();
  const running = new Set<string>();
  const children: ChildProcess[] = [];
  const outcome = {
    exits: {} as Outcome['exits'],
    stderr: {} as Record<string, string>,
    stdout: {} as Record<string, string>,
  };
  server.peers = () =>
    Object.keys(MEMBERS).map((name) => ({
      name,
      running: running.has(name),
      started: outcome.stderr[name] !== undefined,
    }));
  try {
    await Promise.all(
      Object.entries({ ...MEMBERS, ...instead }).map(async ([name, [command, ...args]]) => {
        if (command === undefined) return;
        running.add(name);
        const child = spawn(command, args, {
          env: {
            PATH: process.env['PATH'],
            ...server.environment(name, {
              ROOT: options.path,
              EXCEPT: options.output,
              OUTPUT: options.output,
            }),
          },
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        children.push(child);
        outcome.stderr[name] = '';
        outcome.stdout[name] = '';
        child.stderr.on('data', (chunk: Buffer) => (outcome.stderr[name] += chunk.toString()));
        child.stdout.on('data', (chunk: Buffer) => (outcome.stdout[name] += chunk.toString()));
        const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
        running.delete(name);
        outcome.exits[name] = code ?? signal;
      }),
    );
    return { ...outcome, messages: server.messages, closed: server.closed };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await server.stop();
  }
}
