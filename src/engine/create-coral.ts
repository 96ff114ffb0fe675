/** Makes the engine out of its parts, and is what the doors talk to. */
import { agentDetail } from '../domain/agent-detail.ts';
import type { RuntimeKind } from '../domain/definition.ts';
import { Refusal } from '../domain/refusal.ts';
import type { SessionKey } from '../domain/state.ts';
import { namespaceBase } from '../domain/view.ts';
import type { NamespaceRequest } from '../domain/wire/request.ts';
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
import { LaunchQueue } from './launch-queue.ts';
import { Endings } from './kept.ts';
import { LiveFeed } from './feed.ts';
import { Opening } from './opening.ts';
import { Outbox } from './outbox.ts';
import type { OutboxOptions } from './webhook-runner.ts';
import { ParticipantOf } from './participant-of.ts';
import { endQuarantined, stopAgents, type Quarantined } from './quarantine.ts';
import { livingOf, quarantinedIds, recover } from './recovery.ts';
import { endSessions, within } from './shutdown.ts';
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
  /**
   * The port agents will reach us on, as far as it is known before the start: running agents that were told another
   * are lost. Absent: they are let be.
   */
  readonly expectedPort?: number;
}

/** What is under way when everything has ended gets this long to be finished, ms. */
const LAST_WORDS = 5_000;

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
    endings: new Endings(),
    launches: new Map(
      [...parts.runtimes.keys()].map((kind) => [kind, new LaunchQueue(parts.settings.limits.launchesAtOnce)]),
    ),
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

  for (const lost of await directory.load()) log.error(`A namespace may be missing. ${lost}`);
  const recovered = await recover(world, directory, parts.expectedPort);
  await outbox?.load();
  const { runners: found, agents, leftovers, kept } = recovered;
  if (found.length > 0 || leftovers > 0) {
    log.info(
      `Goes on with ${found.length} sessions that had not closed and ${agents} agents that ran in them; agents left behind that belong to none and are stopped: ${leftovers}.`,
    );
  }
  if (kept > 0) {
    log.warn(
      `Agents that run for sessions in quarantine: ${kept}. They are let be; coral stop SESSION ends them, and so does a clean shutdown.`,
    );
  }
  const foundAtStart: ReadonlySet<unknown> = new Set(found);

  const opening = new Opening({ world, directory, registry, outbox });

  const leave = async (session: Quarantined): Promise<void> => {
    await endQuarantined(world, session);
    await outbox?.abandon(session.sessionId);
    directory.leaveQuarantine(session);
    await directory.settled();
  };

  const close = async (key: SessionKey): Promise<void> => {
    const quarantined = directory.findQuarantined(key);
    if (quarantined !== undefined) return leave(quarantined);
    const runner = directory.runner(key);
    if (runner.state.phase.type === 'ended') await runner.submit({ type: 'end_hold' });
    else await runner.submit({ type: 'stop_session', cause: 'requested' });
    await runner.untilGone(
      ({ phase }) => phase.type === 'closed' || (phase.type === 'ended' && phase.heldUntil !== undefined),
    );
    await directory.settled();
  };

  return {
    instance: parts.instance,
    registry,
    output: parts.output,
    now: () => host.now(),
    async open(request, key) {
      if (stopping) throw shuttingDown();
      return opening.open(request, key);
    },
    async execute(key, settings) {
      if (stopping) throw shuttingDown();
      opening.checkSettings(settings);
      const runner = directory.runner(key);
      if (runner.state.phase.type === 'pending') {
        await outbox?.open(key.sessionId, namespaceBase(directory.namespace(key.namespace)), settings);
      }
      await runner.submit({ type: 'execute', settings });
    },
    close,
    async addAgent(key, agent, groups) {
      if (stopping) throw shuttingDown();
      await opening.add(directory.runner(key), agent, groups);
    },
    async dismissAgent(key, agent) {
      const runner = directory.runner(key);
      await runner.submit({ type: 'dismiss_agent', agent });
      await runner.untilGone((state) => state.agents.get(agent)?.phase.type === 'stopped', agent);
    },
    async changeTtl(key, ttl) {
      await directory.runner(key).submit({ type: 'change_ttl', ttl });
    },
    agent(key, name) {
      const runner = directory.runner(key);
      const agent = runner.state.agents.get(name);
      if (agent === undefined) throw noSuchAgent(key, name);
      return agentDetail(runner.state, agent, runner.progressOf(name));
    },
    session: (key) => directory.runner(key).state,
    sessions: (namespace) => Array.from(directory.runners(namespace), (runner) => runner.state),
    quarantined: () => [...directory.quarantined()],
    namespaceOf: (sessionId) => directory.namespaceOf(sessionId),
    createNamespace: (request: NamespaceRequest) => directory.create(request),
    namespaces: () => directory.namespaces(),
    namespace: (name) => directory.namespace(name),
    closeNamespace: (name) =>
      directory.remove(name, async () => {
        const damaged = [...directory.quarantined()].filter(({ namespace }) => namespace === name);
        await Promise.all([
          ...damaged.map(leave),
          ...Array.from(directory.runners(name), async (runner) => {
            await runner.submit({ type: 'stop_session', cause: 'requested' });
            await runner.untilGone(({ phase }) => phase.type === 'closed' || phase.type === 'ended');
            await runner.submit({ type: 'end_hold' }).catch((error: unknown) => {
              if (!(error instanceof Refusal)) throw error;
            });
            await runner.until(({ phase }) => phase.type === 'closed');
          }),
        ]);
        await directory.settled();
      }),
    authenticate: (secret) => credentials.find(secret),
    participant(key, agent) {
      const runner = directory.runner(key);
      if (!runner.state.agents.has(agent)) throw noSuchAgent(key, agent);
      return new ParticipantOf(runner, agent);
    },
    living: () => livingOf(directory),
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
    async shutdown(keep = 'nothing') {
      stopping = true;
      const live = [...directory.runners()].filter(
        (runner) =>
          (runner.state.phase.type === 'running' || runner.state.phase.type === 'stopping') &&
          keep !== 'everything' &&
          !(keep === 'what_was_found' && foundAtStart.has(runner)),
      );
      const trouble = [...(await endSessions(world, live))];
      await within(host, LAST_WORDS, directory.settled());
      const quarantined = quarantinedIds(directory);
      if (keep === 'nothing' && quarantined.size > 0) {
        const left = await stopAgents(world, quarantined);
        if (left.length > 0)
          trouble.push(`Something of agents of sessions in quarantine is left: ${left.join('; ')}.`);
      }
      const detached = Promise.all([...directory.runners()].map((runner) => runner.detach()));
      await within(
        host,
        LAST_WORDS,
        detached.then(() => world.endings.settled()),
      );
      outbox?.close();
      feed.close();
      if (trouble.length > 0) throw new Error(trouble.join(' '));
    },
  };
}

function noSuchAgent(key: SessionKey, name: string): Refusal {
  return new Refusal('agent_not_in_session', `Session ${key.sessionId} has no agent "${name}".`);
}

function shuttingDown(): Refusal {
  return new Refusal('shutting_down', 'The server is shutting down and takes no new sessions.');
}
