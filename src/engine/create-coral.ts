/** Makes the engine: opens sessions, finds them, closes them. The runner does the rest. */
import { sessionStream } from '../domain/event.ts';
import type { RuntimeKind } from '../domain/definition.ts';
import { Refusal } from '../domain/refusal.ts';
import { resolveRoster, type Roster } from '../domain/roster.ts';
import { foldSession, type SessionKey, type SessionState } from '../domain/state.ts';
import { namespaceBase } from '../domain/view.ts';
import {
  SessionRuntimeSettings,
  type NamespaceRequest,
  type SessionRequest,
} from '../domain/wire/request.ts';
import type { SessionIdentifier } from '../domain/wire/session.ts';
import type { Host } from '../ports/host.ts';
import { JournalError, type Journal } from '../ports/journal.ts';
import type { Log } from '../ports/log.ts';
import type { OutputStore } from '../ports/output.ts';
import type { Registry } from '../ports/registry.ts';
import type { Runtime } from '../ports/runtime.ts';
import type { Vault } from '../ports/vault.ts';
import { JournalArchive } from './archive.ts';
import type { Coral } from './coral.ts';
import { Credentials } from './credentials.ts';
import { Directory } from './directory.ts';
import { LiveFeed } from './feed.ts';
import { Outbox } from './outbox.ts';
import type { OutboxOptions } from './webhook-runner.ts';
import { ParticipantOf } from './participant-of.ts';
import { recover } from './recovery.ts';
import { SessionRunner } from './session-runner.ts';
import type { EngineSettings, World } from './world.ts';

/** What the engine is made of. */
export interface CoralParts {
  readonly host: Host;
  readonly journal: Journal;
  readonly vault: Vault;
  readonly registry: Registry;
  readonly runtimes: ReadonlyMap<RuntimeKind, Runtime>;
  readonly output: OutputStore;
  /** Id of the state folder. */
  readonly instance: string;
  readonly settings: EngineSettings;
  readonly log: Log;
  /** How webhooks are sent; absent: sessions with webhooks are refused. */
  readonly webhooks?: OutboxOptions;
  /** The port agents reach us on; asked at every launch. */
  agentPort(): number;
}

/** Reads the journal, brings what was left in order, and is ready. */
export async function createCoral(parts: CoralParts): Promise<Coral> {
  const { host, journal, log, registry } = parts;
  const feed: LiveFeed = new LiveFeed(journal, (key) => directory.runner(key).state.seq);
  const directory = new Directory(journal, host, (stream, records) => feed.publish(stream, records));
  const credentials = new Credentials();
  const world: World = {
    ...parts,
    agentPort: () => parts.agentPort(),
    feed,
    credentials,
    closed: (runner) => directory.leave(runner.key),
  };
  const archive = new JournalArchive(journal);
  const outbox =
    parts.webhooks === undefined
      ? undefined
      : new Outbox(
          world,
          parts.webhooks,
          (namespace, sessionId) => directory.find({ namespace, sessionId })?.state,
        );
  let stopping = false;

  await directory.load();
  const recovered = await recover(world, directory);
  await outbox?.load();
  if (recovered.sessions > 0 || recovered.stopped > 0) {
    log.info(
      `Found ${recovered.sessions} sessions that had not closed and stopped ${recovered.stopped} agents left behind.`,
    );
  }

  const open = async (request: SessionRequest): Promise<SessionIdentifier> => {
    if (stopping) throw shuttingDown();
    const settings = request.execution?.mode === 'defer' ? undefined : settingsOf(request);
    const roster = resolveRoster(request, {
      find: (id) => registry.find(id),
      names: [...new Set(registry.agents().map(({ definition }) => definition.name))],
      runtimes: new Set(parts.runtimes.keys()),
    });
    if (settings !== undefined) checkSettings(settings, outbox);
    await checkRuntimes(roster, parts.runtimes);

    const namespace = await directory.reserve(request.namespaceProvider);
    const sessionId = host.uuid();
    try {
      if (settings !== undefined)
        await outbox?.open(sessionId, namespaceBase(directory.namespace(namespace)), settings);
      const runner = await begin(world, { namespace, sessionId }, request.annotations, roster, settings);
      directory.enter(runner, true);
      runner.start();
    } catch (error) {
      await outbox?.abandon(sessionId);
      await directory.release(namespace).catch(() => {});
      throw error;
    }
    return { sessionId, namespace };
  };

  const close = async (key: SessionKey): Promise<void> => {
    const runner = directory.runner(key);
    if (runner.state.phase.type === 'ended') await runner.submit({ type: 'end_hold' });
    else await runner.submit({ type: 'stop_session', cause: 'requested' });
    await runner.until(
      ({ phase }) => phase.type === 'closed' || (phase.type === 'ended' && phase.heldUntil !== undefined),
    );
    await directory.settled();
  };

  return {
    instance: parts.instance,
    registry,
    output: parts.output,
    now: () => host.now(),
    open,
    async execute(key, settings) {
      if (stopping) throw shuttingDown();
      checkSettings(settings, outbox);
      const runner = directory.runner(key);
      if (runner.state.phase.type === 'pending') {
        await outbox?.open(key.sessionId, namespaceBase(directory.namespace(key.namespace)), settings);
      }
      await runner.submit({ type: 'execute', settings });
    },
    close,
    session: (key) => directory.runner(key).state,
    sessions: (namespace) => Array.from(directory.runners(namespace), (runner) => runner.state),
    createNamespace: (request: NamespaceRequest) => directory.create(request),
    namespaces: () => directory.namespaces(),
    namespace: (name) => directory.namespace(name),
    closeNamespace: (name) =>
      directory.remove(name, async () => {
        await Promise.all(
          [...directory.runners(name)].map(async (runner) => {
            await runner.submit({ type: 'stop_session', cause: 'requested' });
            await runner.until(({ phase }) => phase.type === 'closed' || phase.type === 'ended');
            await runner.submit({ type: 'end_hold' }).catch((error: unknown) => {
              if (!(error instanceof Refusal)) throw error;
            });
            await runner.until(({ phase }) => phase.type === 'closed');
          }),
        );
        await directory.settled();
      }),
    authenticate: (secret) => credentials.find(secret),
    participant(key, agent) {
      const runner = directory.runner(key);
      if (!runner.state.agents.has(agent)) {
        throw new Refusal('agent_not_in_session', `Session ${key.sessionId} has no agent "${agent}".`);
      }
      return new ParticipantOf(runner, agent);
    },
    feed,
    archive,
    deliveries: () => outbox?.list() ?? [],
    async replayDelivery(id) {
      if (outbox === undefined) throw new Refusal('unknown_delivery', 'This server sends no webhooks.');
      await outbox.replay(id);
    },
    async ready() {
      const problems: string[] = [];
      await journal.probe().catch((error: unknown) => {
        problems.push(error instanceof JournalError ? error.message : 'The journal cannot be written.');
      });
      return { ready: problems.length === 0 && !stopping, problems };
    },
    async shutdown() {
      stopping = true;
      const live = [...directory.runners()].filter(
        ({ state }) => state.phase.type === 'running' || state.phase.type === 'stopping',
      );
      await Promise.all(
        live.map(async (runner) => {
          await runner.report({ type: 'stop_session', cause: 'shutdown' });
          await runner.until(({ phase }) => phase.type === 'ended' || phase.type === 'closed');
        }),
      );
      await directory.settled();
      for (const runner of directory.runners()) runner.detach();
      outbox?.close();
      feed.close();
    },
  };
}

/** Seals the secrets, writes the session down and makes its runner. */
async function begin(
  world: World,
  key: SessionKey,
  annotations: Readonly<Record<string, string>>,
  roster: Roster,
  settings: SessionRuntimeSettings | undefined,
): Promise<SessionRunner> {
  const stream = sessionStream(key.sessionId);
  const hasSecrets = Object.keys(roster.sealed).length > 0;
  if (hasSecrets) await world.vault.seal(stream, roster.sealed);
  try {
    const records = await world.journal.append({
      stream,
      expectedSeq: 0,
      time: world.host.now(),
      events: [
        {
          type: 'session_opened',
          ...key,
          annotations,
          agents: roster.agents,
          groups: roster.groups,
          customTools: roster.customTools,
        },
        ...(settings === undefined ? [] : [{ type: 'session_executed' as const, settings }]),
      ],
      header: { kind: 'session', id: key.sessionId, namespace: key.namespace, annotations },
    });
    const runner = new SessionRunner(world, foldSession(records) as SessionState);
    world.feed.publish(stream, records);
    return runner;
  } catch (error) {
    if (hasSecrets) await world.vault.erase(stream);
    throw error;
  }
}

function settingsOf(request: SessionRequest): SessionRuntimeSettings {
  const given = request.execution?.mode === 'immediate' ? request.execution.runtimeSettings : undefined;
  return given ?? SessionRuntimeSettings.parse({});
}

function checkSettings(settings: SessionRuntimeSettings, outbox: Outbox | undefined): void {
  const { sessionEnd, events } = settings.webhooks;
  if (outbox === undefined && (sessionEnd != null || events != null)) {
    throw new Refusal('not_supported', "This server sends no webhooks; follow the session's events instead.");
  }
}

/** An engine that cannot be reached is told now, not when the first launch fails. */
async function checkRuntimes(roster: Roster, runtimes: ReadonlyMap<RuntimeKind, Runtime>): Promise<void> {
  for (const kind of new Set(roster.agents.map((agent) => agent.runtime.kind))) {
    const sentence = await runtimes.get(kind)?.unavailable();
    if (sentence !== undefined)
      throw new Refusal(kind === 'docker' ? 'docker_unavailable' : 'not_supported', sentence);
  }
}

function shuttingDown(): Refusal {
  return new Refusal('shutting_down', 'The server is shutting down and takes no new sessions.');
}
