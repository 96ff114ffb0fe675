/** Servers that come to a keeper one after the other. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Desk } from '../../src/runtimes/executable/keeper/desk.ts';
import { Keeper } from '../../src/runtimes/executable/keeper/keeper.ts';
import { JsonLines, line, toWire } from '../../src/runtimes/executable/keeper/protocol.ts';
import type { Question } from '../../src/runtimes/executable/keeper/protocol.ts';
import { executableRuntime } from '../../src/runtimes/executable/runtime.ts';
import { INSTANCE } from '../contracts/runtime.ts';
import { executableSpec } from './executable-world.ts';

let folder: string;
let keeper: Keeper;
let desk: Desk;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'coral-desk-'));
  const runtime = executableRuntime({
    instance: INSTANCE,
    environment: {},
    now: Date.now,
    temporaryFolder: folder,
  });
  keeper = new Keeper({ folder, runtime, grown: () => undefined, ended: () => undefined });
  desk = new Desk(keeper, INSTANCE, () => undefined);
  await desk.open(join(folder, 'socket'));
});
afterEach(async () => {
  await keeper.endAll(0);
  desk.close();
  rmSync(folder, { recursive: true, force: true });
});

const hello: Question = { id: 1, call: 'hello', ask: { instance: INSTANCE } };
const launch: Question = {
  id: 2,
  call: 'launch',
  ask: { spec: toWire(executableSpec('./wait.sh', [])), inherited: process.env as never, debug: {} },
};
const list: Question = { id: 3, call: 'list', ask: {} };

/** A server that has come; `answer` resolves with what it is told under a number. */
async function come(): Promise<{ socket: Socket; answer: (id: number) => Promise<unknown> }> {
  const socket = connect(join(folder, 'socket'));
  const answers = new Map<number, unknown>();
  const lines = new JsonLines((message) => {
    const { id, answer } = message as { id: number; answer: unknown };
    answers.set(id, answer);
    socket.emit('told');
  });
  socket.on('data', (chunk: Buffer) => lines.push(chunk));
  await once(socket, 'connect');
  return {
    socket,
    answer: async (id) => {
      while (!answers.has(id)) await once(socket, 'told');
      return answers.get(id);
    },
  };
}

it('a launch that a server was killed over goes on, and the next server finds it', async () => {
  const first = await come();
  first.socket.write(line(hello));
  await first.answer(1);
  first.socket.write(line(launch), () => first.socket.destroy());
  await once(first.socket, 'close');
  const second = await come();
  second.socket.write(line(hello) + line(list));
  expect(await second.answer(3)).toMatchObject({ handles: [{ runtime: 'executable' }] });
  second.socket.destroy();
});

it('what an earlier server asked and nobody has read yet is not done behind the back of the next', async () => {
  const first = await come();
  first.socket.write(line(hello));
  await first.answer(1);
  const second = await come();
  second.socket.write(line(hello));
  await second.answer(1);
  // As if it had lain there: the keeper was frozen while one server was followed by another.
  first.socket.write(line(launch));
  await once(first.socket, 'close');
  second.socket.write(line(list));
  expect(await second.answer(3)).toEqual({ handles: [] });
  second.socket.destroy();
});
