/** The built server is killed while it is asked under a key: asked again, it answers the same and did it once. */
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Message, SessionIdentifier, SessionStateExtended, Thread } from '../../src/domain/wire/session.ts';
import { Project } from '../support/coral-process.ts';

const KEY = 'a-key-of-this-test';
const CONFIG = `
auth: {keys: [${KEY}]}
registry: {includeDebugAgents: true, includeCoralHomeAgents: false}
`;

let project: Project | undefined;
afterEach(() => project?.remove());

const agent = (name: string): object => ({
  id: { name: 'puppet', version: '1.0.0', registrySourceId: { type: 'local' } },
  name,
  provider: { type: 'local', runtime: 'function' },
});

/** Deferred sessions run nothing, so that a killed server leaves nothing to lose. */
const session = (mode: 'defer' | 'immediate', name = 'ann'): object => ({
  agentGraphRequest: { agents: [agent(name), agent('bob')], groups: [[name, 'bob']] },
  namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'once' } },
  execution: { mode },
});

interface Given {
  readonly status: number;
  readonly body: unknown;
}

async function post(url: string, body: object, key?: string): Promise<Given> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${KEY}`,
      'content-type': 'application/json',
      ...(key !== undefined && { 'idempotency-key': key }),
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

async function opened(url: string, body: object, key: string): Promise<string> {
  const answer = await post(`${url}/api/v1/local/session`, body, key);
  if (answer.status !== 200) throw new Error(JSON.stringify(answer));
  return SessionIdentifier.parse(answer.body).sessionId;
}

async function sessions(url: string): Promise<string[]> {
  const response = await fetch(`${url}/api/v1/local/namespace/once`, {
    headers: { authorization: `Bearer ${KEY}` },
  });
  if (response.status === 404) return [];
  return z
    .array(z.object({ id: z.string() }))
    .parse(await response.json())
    .map(({ id }) => id);
}

describe('an idempotency key at the built server', () => {
  it('opens one session for a hundred who ask at once, and refuses another request', async () => {
    project = new Project({ 'coral.config.yaml': CONFIG });
    const { url } = await project.serve();
    const ids = await Promise.all(
      Array.from({ length: 100 }, () => opened(url, session('defer'), 'order 1')),
    );
    expect(new Set(ids).size).toBe(1);
    expect(await sessions(url)).toEqual([ids[0]]);
    expect(await post(`${url}/api/v1/local/session`, session('defer', 'cid'), 'order 1')).toMatchObject({
      status: 409,
      body: { code: 'idempotency_conflict' },
    });
  });

  it('sends one message for a hundred who ask at once', async () => {
    project = new Project({ 'coral.config.yaml': CONFIG });
    const { url } = await project.serve();
    const id = await opened(url, session('immediate'), 'order 2');
    const base = `${url}/api/v1/puppet/once/${id}/ann`;
    // An agent speaks once it is launched.
    let made = await post(`${base}/thread`, { threadName: 'talk', participantNames: ['bob'] });
    while (made.status === 400) {
      made = await post(`${base}/thread`, { threadName: 'talk', participantNames: ['bob'] });
    }
    const { thread } = z.object({ thread: Thread }).parse(made.body);
    const said = { threadId: thread.id, content: 'Once.', mentions: [] };
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => post(`${base}/thread/message`, said, 'word 1')),
    );
    const ids = answers.map(({ body }) => z.object({ message: Message }).parse(body).message.id);
    expect(new Set(ids).size).toBe(1);
    const response = await fetch(`${url}/api/v1/local/session/once/${id}/extended`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    const state = SessionStateExtended.parse(await response.json());
    expect(state.threads.flatMap(({ messages }) => messages.map((message) => message.id))).toEqual([ids[0]]);
  });

  it('gives the same session after kill -9, whether it was answered or not', async () => {
    project = new Project({ 'coral.config.yaml': CONFIG });
    const known = new Map<string, string>();
    let { server, url } = await project.serve();
    for (const round of [1, 2, 3]) {
      known.set(`answered ${round}`, await opened(url, session('defer'), `answered ${round}`));
      // In flight while the server dies: some are written, some are not, few are answered.
      const asked = Array.from({ length: 20 }, (_none, index) => `in flight ${round}.${index}`).map(
        async (key) => {
          const id = await opened(url, session('defer'), key).catch(() => undefined);
          if (id !== undefined) known.set(key, id);
          return key;
        },
      );
      if (round > 1) await Promise.race(asked);
      await server.kill();
      const keys = [...known.keys(), ...(await Promise.all(asked))];
      ({ server, url } = await project.serve());
      const before = await sessions(url);
      for (const key of new Set(keys)) {
        const id = await opened(url, session('defer'), key);
        expect(id).toBe(known.get(key) ?? id);
        known.set(key, id);
      }
      // What was written without an answer has been found again, and everything is there once.
      expect(new Set(known.values()).size).toBe(known.size);
      expect((await sessions(url)).toSorted()).toEqual([...known.values()].toSorted());
      expect(before.every((id) => [...known.values()].includes(id))).toBe(true);
    }
  });
});
