/** Sessions from request to closing, on the scripted runtime and a hand clock. */
import { describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/domain/refusal.ts';
import { sessionExtended } from '../../src/domain/view.ts';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import type { Runtime } from '../../src/ports/runtime.ts';
import { scriptedRuntime } from '../../src/runtimes/scripted/runtime.ts';
import { engineWorld, HandHost, sessionRequest } from '../support/engine-world.ts';

const types = (records: readonly { event: { type: string } }[]): string[] =>
  records.map(({ event }) => event.type);

async function refusal(
  promise: Promise<unknown>,
): Promise<{ code: string; message: string; issues: readonly { path: string }[] }> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isRefusal(error)) throw new Error(`expected a refusal, got ${String(error)}`);
  return { code: error.code, message: error.message, issues: error.issues ?? [] };
}

describe('a session of agents that end by themselves', () => {
  it('is launched, ends with its last agent, and closes at once without a hold', async () => {
    const world = await engineWorld({ scripts: { quick: { runFor: 10 }, slow: { runFor: 30 } } });
    const { sessionId } = await world.open(['quick', 'slow']);
    await world.settled();
    expect(world.coral.sessions()).toHaveLength(1);
    await world.advance(10);
    expect(sessionExtended(world.coral.sessions()[0]!).agents.map((agent) => agent.status.type)).toEqual([
      'stopped',
      'running',
    ]);
    await world.advance(20);
    expect(types(await world.story(sessionId))).toEqual([
      'session_opened', 'session_executed', 'agent_launching', 'agent_launching', 'agent_started', 'agent_started',
      'agent_exited', 'agent_exited', 'session_ended', 'session_closed',
    ]); // prettier-ignore
    expect(world.coral.sessions()).toEqual([]);
    expect(world.coral.namespaces()).toEqual([]);
    expect(world.host.pending).toBe(0);
  });

  it('writes down together what concerns several agents at once', async () => {
    const journal = openMemoryJournal();
    const together: string[][] = [];
    const append = journal.append.bind(journal);
    journal.append = (given) => {
      together.push(given.events.map(({ type }) => type));
      return append(given);
    };
    const world = await engineWorld({ journal, scripts: { quick: { runFor: 10 } } });
    await world.open(['quick:ann', 'quick:bob', 'quick:cem']);
    await world.settled();
    await world.advance(10);
    const thrice = (type: string): string[] => [type, type, type];
    expect(together.slice(1)).toEqual([
      ['session_opened', 'session_executed'],
      thrice('agent_launching'),
      thrice('agent_started'),
      thrice('agent_exited'),
      ['session_ended', 'session_closed'],
      ['namespace_closed'],
    ]);
  });

  it('tells how each one ended', async () => {
    const world = await engineWorld({
      scripts: {
        good: { runFor: 1 },
        bad: { runFor: 1, exitCode: 3, output: ['about to fail'] },
        shot: { runFor: 1, signal: 'SIGKILL' },
        never: { failToStart: 'There is no such program: looked in /opt.' },
        ghost: { vanishAfter: 1 },
      },
    });
    const key = await world.open(['good', 'bad', 'shot', 'never', 'ghost'], {
      execution: {
        mode: 'immediate',
        runtimeSettings: { persistenceMode: { mode: 'hold_after_exit', duration: 1000 } },
      },
    });
    await world.advance(1);
    const exits = Object.fromEntries(
      sessionExtended(world.coral.session(key)).agents.map(({ name, exit }) => [name, exit]),
    );
    expect(exits).toMatchObject({
      good: { reason: 'completed', exitCode: 0, restarts: 0 },
      bad: { reason: 'failed', exitCode: 3, lastLines: ['about to fail'] },
      shot: { reason: 'killed', signal: 'SIGKILL' },
      never: { reason: 'launch_failed', detail: 'There is no such program: looked in /opt.' },
      ghost: { reason: 'lost' },
    });
  });
});

describe('persistence', () => {
  it('holds a session for a time after its exit', async () => {
    const world = await engineWorld({ scripts: { quick: { runFor: 5 } } });
    const key = await world.open(['quick'], {
      execution: {
        mode: 'immediate',
        runtimeSettings: { persistenceMode: { mode: 'hold_after_exit', duration: 100 } },
      },
    });
    await world.advance(5);
    expect(world.coral.session(key).phase.type).toBe('ended');
    await world.advance(99);
    expect(world.coral.session(key).phase.type).toBe('ended');
    await world.advance(1);
    expect((await refusal(Promise.resolve().then(() => world.coral.session(key)))).code).toBe(
      'unknown_session',
    );
  });

  it('keeps a session until a time after its creation', async () => {
    const world = await engineWorld({ scripts: { quick: { runFor: 5 } } });
    const key = await world.open(['quick'], {
      execution: {
        mode: 'immediate',
        runtimeSettings: { persistenceMode: { mode: 'minimum_time', time: 50 } },
      },
    });
    await world.advance(49);
    expect(world.coral.session(key).phase.type).toBe('ended');
    await world.advance(1);
    expect(world.coral.sessions()).toEqual([]);
  });

  it('ends the hold with a second close', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const key = await world.open(['worker'], {
      execution: {
        mode: 'immediate',
        runtimeSettings: { persistenceMode: { mode: 'hold_after_exit', duration: 60_000 } },
      },
    });
    await world.settled();
    await world.coral.close(key);
    expect(world.coral.session(key).phase.type).toBe('ended');
    await world.coral.close(key);
    expect(world.coral.sessions()).toEqual([]);
    expect(world.host.pending).toBe(0);
  });
});

describe('stopping', () => {
  it('ends at the ttl', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const { sessionId } = await world.open(['worker'], {
      execution: { mode: 'immediate', runtimeSettings: { ttl: 1000 } },
    });
    await world.advance(999);
    expect(world.coral.sessions()).toHaveLength(1);
    await world.advance(1);
    expect(world.coral.sessions()).toEqual([]);
    const exit = (await world.story(sessionId)).find(({ event }) => event.type === 'agent_exited')?.event;
    expect(exit).toMatchObject({ exit: { reason: 'stopped', cause: 'ttl', signal: 'SIGTERM' } });
  });

  it('waits the grace and then ends by force, and close() returns only then', async () => {
    const world = await engineWorld({ scripts: { deaf: { ignoreStop: true, timeouts: { stop: 500 } } } });
    const key = await world.open(['deaf']);
    await world.settled();
    let closed = false;
    const closing = world.coral.close(key).then(() => (closed = true));
    await world.advance(499);
    expect(closed).toBe(false);
    await world.advance(1);
    await closing;
    const exit = (await world.story(key.sessionId)).find(({ event }) => event.type === 'agent_exited')?.event;
    expect(exit).toMatchObject({ exit: { reason: 'stopped', cause: 'session_closed', signal: 'SIGKILL' } });
  });

  it('gives up a launch that is under way', async () => {
    const world = await engineWorld({ scripts: { slow: { startDelay: 60_000 } } });
    const key = await world.open(['slow']);
    await world.settled();
    await world.coral.close(key);
    expect(types(await world.story(key.sessionId))).not.toContain('agent_started');
    expect(world.host.pending).toBe(0);
  });

  it('revokes the secret with the exit', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const key = await world.open(['worker']);
    await world.settled();
    const [secret = ''] = world.host.secrets;
    expect(world.coral.authenticate(secret)?.agent).toBe('worker');
    expect(world.coral.authenticate(`${secret}x`)).toBeUndefined();
    await world.coral.close(key);
    expect(world.coral.authenticate(secret)).toBeUndefined();
  });

  it('shuts down in good order', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const { sessionId } = await world.open(['worker']);
    await world.settled();
    await world.coral.shutdown();
    expect(types(await world.story(sessionId)).slice(-2)).toEqual(['session_ended', 'session_closed']);
    expect((await refusal(world.open(['worker']))).code).toBe('shutting_down');
    expect(world.host.pending).toBe(0);
  });
});

describe('what cannot be ended', () => {
  it('is told instead of success, and tried again until it is gone', async () => {
    const host = new HandHost();
    const scripted = scriptedRuntime({ host });
    let stuck = true;
    const stubborn: Runtime = {
      kind: scripted.kind,
      unavailable: () => scripted.unavailable(),
      launch: (spec, signal, observer) => scripted.launch(spec, signal, observer),
      attach: (handle, observer) => scripted.attach(handle, observer),
      stop: async (handle, grace) =>
        stuck ? { gone: false, left: ['process 7 (uninterruptible)'] } : scripted.stop(handle, grace),
      list: () => scripted.list(),
      addressOf: (port) => scripted.addressOf(port),
      close: () => scripted.close(),
    };
    const world = await engineWorld({ host, runtimes: [stubborn] });
    const key = await world.open(['worker']);
    await world.settled();
    // An agent that is stopped by itself, too.
    await expect(world.coral.participant(key, 'worker').stop()).rejects.toMatchObject({
      code: 'not_gone',
      message: expect.stringMatching(/^Agent "worker" cannot be ended yet.*process 7/),
    });
    await expect(world.coral.close(key)).rejects.toMatchObject({
      code: 'not_gone',
      message: expect.stringContaining('worker: process 7'),
    });
    await expect(world.coral.closeNamespace(key.namespace)).rejects.toMatchObject({ code: 'not_gone' });
    expect(world.coral.session(key).agents.get('worker')?.phase.type).toBe('stopping');
    stuck = false;
    await world.advance(30_000);
    expect(world.coral.sessions()).toEqual([]);
    expect(host.pending).toBe(0);
  });
});

describe('restarts', () => {
  it('starts a failing agent again with growing delays and a new secret, and gives up at the maximum', async () => {
    const world = await engineWorld({
      scripts: {
        flaky: {
          runFor: 1,
          exitCode: 1,
          restart: { policy: 'on_failure', maxRestarts: 2, delay: 100, maxDelay: 1000 },
        },
      },
    });
    const { sessionId } = await world.open(['flaky']);
    await world.advance(1);
    expect(sessionExtended(world.coral.sessions()[0]!).agents[0]!.status).toEqual({ type: 'waiting' });
    await world.advance(100);
    expect(sessionExtended(world.coral.sessions()[0]!).agents[0]!.status.type).toBe('running');
    await world.advance(1);
    await world.advance(200);
    await world.advance(1);
    expect(world.host.secrets).toHaveLength(3);
    expect(types(await world.story(sessionId)).filter((type) => type === 'agent_exited' || type === 'agent_retry_due')).toEqual([
      'agent_exited', 'agent_retry_due', 'agent_exited', 'agent_retry_due', 'agent_exited',
    ]); // prettier-ignore
    expect(world.coral.sessions()).toEqual([]);
  });

  it('stops an agent that never connects, after its connect time-out', async () => {
    const world = await engineWorld({ scripts: { mute: { timeouts: { connect: 300 } } } });
    const { sessionId } = await world.open(['mute']);
    await world.advance(300);
    const exit = (await world.story(sessionId)).find(({ event }) => event.type === 'agent_exited')?.event;
    expect(exit).toMatchObject({ exit: { reason: 'connect_timeout' } });
  });
});

describe('the watchdog', () => {
  it('stops an agent that neither calls nor prints, and its policy starts it again', async () => {
    const world = await engineWorld({
      scripts: { idle: { timeouts: { inactivity: 1000 }, restart: { policy: 'on_failure', delay: 100 } } },
    });
    const key = await world.open(['idle']);
    await world.advance(900);
    world.agent(key.sessionId, 'idle');
    await world.advance(900);
    expect(world.coral.session(key).agents.get('idle')?.attempts).toBe(1);
    const waiting = world.agent(key.sessionId, 'idle').wait({ filters: [], maxWaitMs: 5000 });
    await world.advance(5000);
    await waiting;
    expect(world.coral.session(key).agents.get('idle')?.attempts).toBe(1);
    await world.advance(1000);
    expect(world.coral.session(key).agents.get('idle')?.exits).toMatchObject([
      { reason: 'stopped', cause: 'watchdog' },
    ]);
    await world.advance(100);
    expect(world.coral.session(key).agents.get('idle')?.phase.type).toBe('running');
  });
});

describe('deferred execution', () => {
  it('launches nothing until executed, and can be executed once', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const key = await world.open(['worker'], { execution: { mode: 'defer' } });
    await world.settled();
    expect(world.coral.session(key).phase.type).toBe('pending');
    expect(world.host.secrets).toEqual([]);
    const settings = { extendedEndReport: false, persistenceMode: { mode: 'none' as const }, webhooks: {} };
    const results = await Promise.allSettled([
      world.coral.execute(key, settings),
      world.coral.execute(key, settings),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await world.settled();
    expect(world.coral.session(key).agents.get('worker')?.phase.type).toBe('running');
  });

  it('is simply closed when it never was executed', async () => {
    const world = await engineWorld();
    const key = await world.open(['worker'], { execution: { mode: 'defer' } });
    await world.coral.close(key);
    expect(types(await world.story(key.sessionId))).toEqual(['session_opened', 'session_closed']);
    expect(world.coral.namespaces()).toEqual([]);
  });
});

describe('what a request may ask for', () => {
  it('is told every fault at once', async () => {
    const world = await engineWorld({
      scripts: { worker: { options: { COUNT: { type: 'u32' }, URL: { type: 'string', required: true } } } },
    });
    const request = sessionRequest(['worker', 'worker', 'nobody:x']);
    request.agentGraphRequest.agents[0]!.options = {
      COUNT: { type: 'string', value: 'many' },
      COLOUR: { type: 'string', value: 'x' },
    };
    request.agentGraphRequest.agents[0]!.customToolAccess = ['missing'];
    request.agentGraphRequest.groups.push(['stranger']);
    const told = await refusal(world.coral.open(request));
    expect(told.code).toBe('invalid_graph');
    expect(told.issues.map(({ path }) => path).sort()).toEqual([
      'agentGraphRequest.agents[0].customToolAccess',
      'agentGraphRequest.agents[0].options.COLOUR',
      'agentGraphRequest.agents[0].options.COUNT',
      'agentGraphRequest.agents[0].options.URL',
      'agentGraphRequest.agents[1].name',
      'agentGraphRequest.agents[1].options.URL',
      'agentGraphRequest.agents[2].id',
      'agentGraphRequest.groups[1]',
    ]);
    expect(world.coral.namespaces()).toEqual([]);
  });

  it('names an unknown agent and the nearest one', async () => {
    const world = await engineWorld({ scripts: { worker: {} } });
    const told = await refusal(world.open(['workr:w']));
    expect(told.code).toBe('unknown_agent');
    expect(told.message).toContain('workr@1.0.0');
    expect(told.message).toContain('worker');
  });

  it('keeps secret option values out of every fact, and erases them with the session', async () => {
    const world = await engineWorld({ scripts: { worker: { options: { API_KEY: { type: 'string' } } } } });
    const request = sessionRequest(['worker']);
    request.agentGraphRequest.agents[0]!.options = { API_KEY: { type: 'string', value: 'canary-value' } };
    const key = await world.coral.open(request);
    await world.settled();
    expect(await world.vault.open(`session/${key.sessionId}`)).toHaveProperty(['worker/API_KEY']);
    await world.coral.close(key);
    expect(JSON.stringify(await world.story(key.sessionId))).not.toContain('canary-value');
    await world.settled();
    expect(await world.vault.streams()).toEqual([]);
  });
});

describe('namespaces', () => {
  it('lives on its own when created on its own, and refuses its name twice', async () => {
    const world = await engineWorld();
    await world.coral.createNamespace({ name: 'mine', deleteOnLastSessionExit: true, annotations: {} });
    expect(
      (
        await refusal(
          world.coral.createNamespace({ name: 'mine', deleteOnLastSessionExit: true, annotations: {} }),
        )
      ).code,
    ).toBe('namespace_exists');
    expect(world.coral.namespaces().map(({ name }) => name)).toEqual(['mine']);
  });

  it('stays without sessions when told so, and closes all its sessions with itself', async () => {
    const world = await engineWorld();
    const namespaceProvider = {
      type: 'create_if_not_exists' as const,
      namespaceRequest: { name: 'kept', deleteOnLastSessionExit: false },
    };
    const first = await world.open(['worker'], { namespaceProvider });
    await world.coral.close(first);
    expect(world.coral.namespaces()).toHaveLength(1);
    await world.open(['worker'], { namespaceProvider: { type: 'use_existing', name: 'kept' } });
    await world.open(['worker'], {
      namespaceProvider,
      execution: {
        mode: 'immediate',
        runtimeSettings: { persistenceMode: { mode: 'hold_after_exit', duration: 60_000 } },
      },
    });
    await world.settled();
    await world.coral.closeNamespace('kept');
    expect(world.coral.sessions()).toEqual([]);
    expect(world.coral.namespaces()).toEqual([]);
    expect(
      (await refusal(world.open(['worker'], { namespaceProvider: { type: 'use_existing', name: 'kept' } })))
        .code,
    ).toBe('unknown_namespace');
  });
});
