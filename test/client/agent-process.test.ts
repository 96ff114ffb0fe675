/** An agent that is a process: how it ends, and with which exit code. */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeServer } from './fake-server.ts';

const PROGRAM = new URL('programs/parrot.ts', import.meta.url).pathname;
const ROOT = new URL('../..', import.meta.url).pathname;

let server: FakeServer;
let child: ChildProcessByStdio<null, Readable, Readable> | undefined;
let output: { out: string; err: string };

beforeEach(async () => {
  server = await new FakeServer().start();
  output = { out: '', err: '' };
});
afterEach(async () => {
  child?.kill('SIGKILL');
  await server.stop();
});

function start(environment: Record<string, string>): Promise<number | string | null> {
  child = spawn(process.execPath, ['--import', 'tsx', PROGRAM], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.on('data', (chunk: Buffer) => (output.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.err += chunk.toString()));
  return once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string | null);
}
const waiting = (): Promise<void> =>
  server.until(() => server.calls.some(({ tool }) => tool === 'coral_wait_for_mention'));

test('answers, and ends well when it has left', async () => {
  const thread = server.thread('t', ['ada', 'parrot']);
  server.post(thread.id, 'ada', 'hello', ['parrot']);
  server.post(thread.id, 'ada', 'leave', ['parrot']);
  expect(await start(server.environment('parrot'))).toBe(0);
  expect(server.messages.map(({ text }) => text)).toEqual(['hello', 'leave', 'hello!']);
  expect(output).toEqual({ out: 'here\nleaving\n', err: '' });
});

test.each(['SIGTERM', 'SIGINT'] as const)('ends well on %s, and says goodbye', async (signal) => {
  const end = start(server.environment('parrot'));
  await waiting();
  child?.kill(signal);
  expect(await end).toBe(0);
  expect(server.ended).toEqual(['parrot']);
  expect(output).toEqual({ out: 'here\nleaving\n', err: '' });
});

test('ends at once when its secret is revoked', async () => {
  const thread = server.thread('t', ['ada', 'parrot']);
  const end = start(server.environment('parrot'));
  await waiting();
  server.revoked.add('parrot');
  server.post(thread.id, 'ada', 'hello', ['parrot']);
  expect(await end).toBe(0);
  expect(output.err).toBe('The server does not know this agent any more: its session is over.\n');
});

test('an error of its own is one sentence on stderr and exit code 1', async () => {
  const thread = server.thread('t', ['ada', 'parrot']);
  server.post(thread.id, 'ada', 'fail', ['parrot']);
  expect(await start(server.environment('parrot', { STRICT: '1' }))).toBe(1);
  expect(output.err).toBe('I was told to fail.\n');
  expect(server.ended).toEqual(['parrot']);
});

test('outside of Coral it says how to start it', async () => {
  expect(await start({})).toBe(1);
  expect(output).toEqual({ out: '', err: expect.stringContaining('CORAL_CONNECTION_URL is not set') });
});
