/** One agent prints as fast as it can: the server stays small, and everybody else is served. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { Message, SessionIdentifier, SessionStateBase, Thread } from '../../src/domain/wire/session.ts';
import { ArchivedLines } from '../../src/http/archive-routes.ts';
import { SocketReader } from '../http/socket-reader.ts';
import { definition, Project } from '../support/coral-process.ts';

const KEY = 'a-key-of-this-test';
const MB = 1024 * 1024;
/** Said in the other session meanwhile; bounded, for they are kept in memory too. */
const WORDS = 100;
const LINE = 'one line of very many that say nothing new to anybody';
const LAST = 'and the last one, which says why it ended';
const LINES = Math.floor((200 * MB) / (LINE.length + 1));
const PRINTED = LINES * (LINE.length + 1) + LAST.length + 1;

let project: Project | undefined;
afterEach(() => project?.remove());

async function ask<T extends z.ZodType>(answer: T, url: string, body?: object): Promise<z.output<T>> {
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${KEY}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${text}`);
  return answer.parse(text === '' ? undefined : JSON.parse(text));
}

const session = (agent: string, runtime: string): object => ({
  agentGraphRequest: {
    agents: ['one', 'two'].slice(0, agent === 'puppet' ? 2 : 1).map((name) => ({
      id: { name: agent, version: '1.0.0', registrySourceId: { type: 'local' } },
      name,
      provider: { type: 'local', runtime },
    })),
    groups: agent === 'puppet' ? [['one', 'two']] : [],
  },
  namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'flood' } },
});

/** Resident memory of a process: now, or at its highest since `forgetPeak`. Bytes. */
function memory(pid: number, which: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`^${which}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}
const forgetPeak = (pid: number): void => writeFileSync(`/proc/${pid}/clear_refs`, '5');

it('200 MB of output grow the server by a fraction of that, are counted, and hold nobody up', async () => {
  const printing = `{executable: {path: sh, arguments: [-c, "yes '${LINE}' | head -n ${LINES}; echo '${LAST}'"]}}`;
  project = new Project({
    'coral.config.yaml': `
auth: {keys: [${KEY}]}
registry: {localAgents: [agents/*.yaml], includeDebugAgents: true, includeCoralHomeAgents: false}
`,
    'agents/flooder.yaml': definition('flooder', printing),
  });
  const { server, url } = await project.serve();
  const calm = await ask(SessionIdentifier, `${url}/api/v1/local/session`, session('puppet', 'function'));
  const socket = `${url}/ws/v1/events/${KEY}/session/flood`;
  const reader = await SocketReader.open(`${socket}/${calm.sessionId}?after=0`);
  await reader.until(() => reader.types.filter((type) => type === 'agent_connected').length === 2);
  const puppet = `${url}/api/v1/puppet/flood/${calm.sessionId}/one`;
  const { thread } = await ask(z.object({ thread: Thread }), `${puppet}/thread`, {
    threadName: 'calm',
    participantNames: ['two'],
  });

  let said = 0;
  /** Heard of before the next one is said, whatever the other agent prints. */
  const speak = async (): Promise<void> => {
    const { message } = await ask(z.object({ message: Message }), `${puppet}/thread/message`, {
      threadId: thread.id,
      content: `word ${said}`,
      mentions: [],
    });
    await reader.until(() => idOf(reader.seen.at(-1) ?? {}) === message.id);
    said += 1;
  };
  // What talking costs is not what a flood costs.
  while (said < WORDS) await speak();

  const before = memory(server.pid, 'VmRSS');
  forgetPeak(server.pid);
  const { sessionId } = await ask(
    SessionIdentifier,
    `${url}/api/v1/local/session`,
    session('flooder', 'executable'),
  );
  const flood = await SocketReader.open(`${socket}/${sessionId}?after=0`);
  await flood.until(() => flood.types.includes('runtime_started'));
  while (said < 2 * WORDS && !flood.types.includes('runtime_stopped')) await speak();
  await flood.until(() => flood.types.includes('runtime_stopped'));
  expect(said).toBeGreaterThan(WORDS + 1);
  // How much exactly is measured by `npm run bench -- flood`: a machine that is busy collects garbage later.
  expect(memory(server.pid, 'VmHWM') - before).toBeLessThan(PRINTED / 2);

  const archived = `${url}/api/v1/archive/session/flood/${sessionId}`;
  await flood.closed;
  await ask(SessionStateBase.loose(), `${url}/api/v1/local/session/flood/${calm.sessionId}`);
  const { dropped, kept, last } = await output(`${archived}/logs`);
  // Every byte was kept or counted.
  expect(kept).toBeGreaterThan(0);
  expect(kept).toBeLessThan(32 * MB);
  expect(dropped + kept).toBe(PRINTED);
  expect(last).toEqual([LINE, LAST]);
  for (const one of [reader, flood]) await one.close();
}, 240_000);

const idOf = (event: object): unknown => ('message' in event ? (event.message as { id?: unknown }).id : 0);

/** Bytes of what is kept with the ends of lines, how many were not, and the last two lines. */
async function output(url: string): Promise<{ dropped: number; kept: number; last: string[] }> {
  let kept = 0;
  let last: string[] = [];
  for (let after = 0; ;) {
    const page = await ask(ArchivedLines, `${url}?after=${after}&limit=1000`);
    kept += page.lines.reduce((sum, { text }) => sum + Buffer.byteLength(text) + 1, 0);
    last = [...last, ...page.lines.slice(-2).map(({ text }) => text)].slice(-2);
    if (page.next === undefined) return { dropped: page.droppedBytes, kept, last };
    after = page.next;
  }
}
