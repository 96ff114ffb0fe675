/** A running session changes over HTTP, and requests asked twice. */
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AgentDetail } from '../../src/domain/agent-detail.ts';
import { SessionIdentifier, SessionStateExtended } from '../../src/domain/wire/session.ts';
import type { Runtime } from '../../src/ports/runtime.ts';
import { scriptedRuntime } from '../../src/runtimes/scripted/runtime.ts';
import { HandHost } from '../support/engine-world.ts';
import { KEY, openDoor, request, type Door } from './door.ts';

let door: Door;
afterEach(() => door.close());

const SESSION = '/api/v1/local/session';

async function opened(agents: readonly string[]): Promise<string> {
  door = await openDoor();
  const { namespace, sessionId } = (await door.send('POST', SESSION, request([...agents]))).as(
    SessionIdentifier,
  );
  await door.world.settled();
  return `${SESSION}/${namespace}/${sessionId}`;
}

const joining = (name: string): object => ({ ...request([name]).agentGraphRequest.agents[0] });

describe('agents of a running session', () => {
  it('join, are explained, and are dismissed', async () => {
    const path = await opened(['ann']);
    const added = await door.send('POST', `${path}/agents`, { ...joining('bob'), groups: [['ann']] });
    expect(added.as(AgentDetail)).toMatchObject({ name: 'bob', links: ['ann'], status: { type: 'waiting' } });
    await door.world.settled();
    const detail = (await door.send('GET', `${path}/agents/bob`)).as(AgentDetail);
    expect(detail).toMatchObject({
      phase: 'running',
      attempt: 1,
      because: expect.stringContaining('not connected'),
    });
    (await door.send('DELETE', `${path}/agents/bob`)).as(z.undefined());
    const after = (await door.send('GET', `${path}/extended`)).as(SessionStateExtended);
    expect(after.agents.map(({ name, status, links }) => [name, status.type, links])).toEqual([
      ['ann', 'running', []],
      ['bob', 'stopped', []],
    ]);
  });

  it('are refused with a sentence where they do not fit', async () => {
    const path = await opened(['ann']);
    (await door.send('POST', `${path}/agents`, joining('ann'))).refused(409, 'conflict');
    (await door.send('POST', `${path}/agents`, { ...joining('bob'), groups: [['zoe']] })).refused(
      400,
      'invalid_graph',
    );
    (await door.send('GET', `${path}/agents/zoe`)).refused(404, 'agent_not_in_session');
    (await door.send('DELETE', `${path}/agents/zoe`)).refused(404, 'agent_not_in_session');
    (await door.send('POST', `${SESSION}/no/no/agents`, joining('bob'))).refused(404, 'unknown_session');
  });
});

describe('why an agent does not run', () => {
  it('is told over HTTP: a deferred session, an image that is pulled, peers that are awaited, ends with their last words', async () => {
    const host = new HandHost();
    const scripted = scriptedRuntime({ host });
    let pulled = (): void => {};
    const runtime: Runtime = {
      kind: 'scripted',
      unavailable: () => scripted.unavailable(),
      async launch(spec, signal, observer) {
        if (spec.labels.agent === 'ann') {
          observer.noted?.({ type: 'progress', text: 'Pulling image busybox: 3 of 5 MB.' });
          await new Promise<void>((resolve) => (pulled = resolve));
        }
        return scripted.launch(spec, signal, observer);
      },
      attach: (handle, observer) => scripted.attach(handle, observer),
      stop: (handle, graceMs) => scripted.stop(handle, graceMs),
      list: () => scripted.list(),
      addressOf: (port) => scripted.addressOf(port),
      close: () => scripted.close(),
    };
    door = await openDoor({
      host,
      runtimes: [runtime],
      scripts: { worker: {}, brief: { runFor: 5, exitCode: 7, output: ['first', 'last words'] } },
    });
    const given = request(['ann', 'bob', 'eve'], { execution: { mode: 'defer' } });
    const [ann, bob, eve] = given.agentGraphRequest.agents;
    Object.assign(ann!, { blocking: true });
    Object.assign(bob!, { blocking: true });
    Object.assign(eve!.id, { name: 'brief' });
    const { namespace, sessionId } = (await door.send('POST', SESSION, given)).as(SessionIdentifier);
    const path = `${SESSION}/${namespace}/${sessionId}`;
    const why = async (name: string): Promise<AgentDetail> => {
      await door.world.settled();
      return (await door.send('GET', `${path}/agents/${name}`)).as(AgentDetail);
    };
    expect(await why('ann')).toMatchObject({
      phase: 'waiting',
      because: 'The session is deferred: nothing is launched until it is executed.',
    });
    (await door.send('POST', path, {})).as(z.undefined());
    expect(await why('ann')).toMatchObject({
      phase: 'launching',
      attempt: 1,
      progress: 'Pulling image busybox: 3 of 5 MB.',
      because: expect.stringContaining('3 of 5 MB'),
      exits: [],
    });
    pulled();
    const running = await why('bob');
    expect(running).toMatchObject({ phase: 'running', waitsFor: ['ann'], handle: { runtime: 'scripted' } });
    for (const secret of host.secrets) expect(JSON.stringify(running)).not.toContain(secret);
    await door.world.advance(5);
    expect(await why('eve')).toMatchObject({
      phase: 'stopped',
      because: expect.stringContaining('failed'),
      exits: [{ attempt: 1, reason: 'failed', exitCode: 7, lastLines: ['first', 'last words'] }],
    });
  });
});

describe('the deadline', () => {
  it('moves', async () => {
    const path = await opened(['ann']);
    (await door.send('PATCH', `${path}/ttl`, { ttl: 1000 })).as(z.undefined());
    await door.world.advance(1000);
    (await door.send('GET', path)).refused(404, 'unknown_session');
  });
  it('is a number of milliseconds or null', async () => {
    const path = await opened(['ann']);
    (await door.send('PATCH', `${path}/ttl`, { ttl: null })).as(z.undefined());
    (await door.send('PATCH', `${path}/ttl`, {})).refused(400, 'invalid_request');
    (await door.send('PATCH', `${path}/ttl`, { ttl: -1 })).refused(400, 'invalid_request');
  });
});

describe('an idempotency key', () => {
  const keyed = { authorization: `Bearer ${KEY}`, 'idempotency-key': 'order 7' };

  it('opens one session, however often it is asked', async () => {
    door = await openDoor();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => door.send('POST', SESSION, request(['worker']), keyed)),
    );
    expect(new Set(answers.map((answer) => answer.as(SessionIdentifier).sessionId)).size).toBe(1);
    (await door.send('POST', SESSION, request(['other']), keyed)).refused(409, 'idempotency_conflict');
  });

  it('sends one message, however often it is asked', async () => {
    const path = await opened(['ann', 'bob']);
    const puppet = path.replace('/local/session', '/puppet');
    const { thread } = (
      await door.send('POST', `${puppet}/ann/thread`, { threadName: 'talk', participantNames: ['bob'] })
    ).as(z.object({ thread: z.object({ id: z.string() }) }));
    const body = { threadId: thread.id, content: 'hello', mentions: [] };
    const Sent = z.object({ message: z.object({ id: z.string() }) });
    const first = (await door.send('POST', `${puppet}/ann/thread/message`, body, keyed)).as(Sent);
    const second = (await door.send('POST', `${puppet}/ann/thread/message`, body, keyed)).as(Sent);
    expect(second).toEqual(first);
    (await door.send('POST', `${puppet}/ann/thread/message`, { ...body, content: 'other' }, keyed)).refused(
      409,
      'idempotency_conflict',
    );
  });
});
