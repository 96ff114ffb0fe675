/**
 * How a session comes to be, and an agent into it: everything is checked, secrets are sealed, webhooks and then the
 * session are written down; only then it lives. What fails in between leaves nothing behind.
 */
import { createHash } from 'node:crypto';
import { sessionStream } from '../domain/event.ts';
import type { AgentPlan } from '../domain/graph.ts';
import { Refusal, type Issue } from '../domain/refusal.ts';
import { resolveNewcomer, resolveRoster, type Roster, type RosterContext } from '../domain/roster.ts';
import { foldSession, type SessionKey, type SessionState } from '../domain/state.ts';
import { namespaceBase } from '../domain/view.ts';
import {
  SessionRuntimeSettings,
  type GraphAgentRequest,
  type SessionRequest,
} from '../domain/wire/request.ts';
import type { SessionIdentifier } from '../domain/wire/session.ts';
import { JournalError } from '../ports/journal.ts';
import type { Registry } from '../ports/registry.ts';
import type { Directory } from './directory.ts';
import type { Outbox } from './outbox.ts';
import { SessionRunner } from './session-runner.ts';
import type { World } from './world.ts';

/** What opening needs. */
export interface OpeningParts {
  readonly world: World;
  readonly directory: Directory;
  readonly registry: Registry;
  readonly outbox: Outbox | undefined;
}

/** Opens sessions and lets agents join. */
export class Opening {
  /** Requests with an idempotency key that are being opened: one after the other per key. */
  private readonly keyed = new Map<string, Promise<unknown>>();

  constructor(private readonly parts: OpeningParts) {}

  /** See `Coral.open`. */
  async open(request: SessionRequest, key: string | undefined): Promise<SessionIdentifier> {
    if (key === undefined) return this.begin(request, this.parts.world.host.uuid(), undefined);
    // Made of the key, the id itself keeps two sessions of one key from being written down.
    const sessionId = this.idOf(key);
    const before = this.keyed.get(key) ?? Promise.resolve();
    const opened = before.then(() => this.openOnce(request, sessionId));
    const done = opened
      .catch(() => {})
      .then(() => {
        if (this.keyed.get(key) === done) this.keyed.delete(key);
      });
    this.keyed.set(key, done);
    return opened;
  }

  /** With an idempotency key: the first time opens the session, every other time finds it. */
  private async openOnce(request: SessionRequest, sessionId: string): Promise<SessionIdentifier> {
    const digest = digestOf(request);
    const before = await this.openedBefore(sessionId, digest);
    if (before !== undefined) return before;
    try {
      return await this.begin(request, sessionId, digest);
    } catch (error) {
      // Another server on the same journal was first.
      const lost = error instanceof JournalError && error.code === 'conflict';
      const winner = lost ? await this.openedBefore(sessionId, digest) : undefined;
      if (winner === undefined) throw error;
      return winner;
    }
  }

  /** See `Coral.addAgent`. */
  async add(
    runner: SessionRunner,
    agent: GraphAgentRequest,
    groups: readonly (readonly string[])[],
  ): Promise<void> {
    const { world } = this.parts;
    const { state } = runner;
    const present = [...state.agents.values()]
      .filter(({ dismissed }) => !dismissed)
      .map(({ plan }) => plan.name);
    const newcomer = resolveNewcomer(
      agent,
      groups,
      { names: present, customTools: state.customTools },
      this.context(),
    );
    await this.checkRuntimes([newcomer.plan]);
    if (Object.keys(newcomer.sealed).length > 0) {
      await world.vault.seal(runner.stream, {
        ...(await world.vault.open(runner.stream)),
        ...newcomer.sealed,
      });
    }
    await runner.submit({ type: 'add_agent', plan: newcomer.plan, groups: newcomer.groups });
  }

  /** Throws when this server cannot do what the settings ask for. */
  checkSettings(settings: SessionRuntimeSettings): void {
    const { sessionEnd, events } = settings.webhooks;
    if (this.parts.outbox === undefined && (sessionEnd != null || events != null)) {
      throw new Refusal(
        'not_supported',
        "This server sends no webhooks; follow the session's events instead.",
      );
    }
  }

  private async begin(
    request: SessionRequest,
    sessionId: string,
    requestDigest: string | undefined,
  ): Promise<SessionIdentifier> {
    const { world, directory, outbox } = this.parts;
    const settings = request.execution?.mode === 'defer' ? undefined : settingsOf(request);
    const roster = resolveRoster(request, this.context());
    if (settings !== undefined) this.checkSettings(settings);
    await this.checkRuntimes(roster.agents);

    const most = world.settings.limits.sessions;
    if (directory.live >= most) {
      throw new Refusal(
        'limit_exceeded',
        `There are ${directory.live} live sessions, as many as this server takes (limits.sessions); close some, or try again later.`,
      );
    }
    const namespace = await directory.reserve(request.namespaceProvider);
    const key = { namespace, sessionId };
    try {
      if (settings !== undefined) {
        await outbox?.open(sessionId, namespaceBase(directory.namespace(namespace)), settings);
      }
      const runner = await write(world, key, request.annotations, roster, settings, requestDigest);
      directory.enter(runner, true);
      runner.start();
    } catch (error) {
      // Another request of the same key was first: what is there is its.
      const taken = error instanceof JournalError && error.code === 'conflict';
      if (!taken) await outbox?.abandon(sessionId);
      await directory.release(namespace).catch(() => {});
      throw error;
    }
    return { sessionId, namespace };
  }

  /** A UUID (version 8) made of this server and the caller's key. */
  private idOf(key: string): string {
    const hex = createHash('sha256').update(`${this.parts.world.instance}\n${key}`).digest('hex');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  }

  private async openedBefore(sessionId: string, digest: string): Promise<SessionIdentifier | undefined> {
    const [first] = await this.parts.world.journal.read(sessionStream(sessionId), 0, 1);
    if (first?.event.type !== 'session_opened') return undefined;
    if (first.event.requestDigest !== digest) {
      throw new Refusal(
        'idempotency_conflict',
        'This idempotency key was used for another request; use a new key for a new session.',
      );
    }
    return { sessionId, namespace: first.event.namespace };
  }

  private context(): RosterContext {
    const { registry, world } = this.parts;
    return {
      find: (id) => registry.find(id),
      names: [...new Set(registry.agents().map(({ definition }) => definition.name))],
      agentsPerSession: world.settings.limits.agentsPerSession,
      runtimes: new Set(world.runtimes.keys()),
    };
  }

  /** A runtime that cannot be reached, and what an operator does not allow, is told now, not when a launch fails. */
  private async checkRuntimes(plans: readonly AgentPlan[]): Promise<void> {
    const { runtimes } = this.parts.world;
    for (const kind of new Set(plans.map(({ runtime }) => runtime.kind))) {
      const sentence = await runtimes.get(kind)?.unavailable();
      if (sentence !== undefined) {
        throw new Refusal(kind === 'docker' ? 'docker_unavailable' : 'not_supported', sentence);
      }
    }
    const issues: Issue[] = [];
    for (const plan of plans) {
      for (const sentence of (await runtimes.get(plan.runtime.kind)?.refuses?.(plan)) ?? []) {
        const message = `Agent "${plan.name}": ${sentence}`;
        issues.push({ path: `agentGraphRequest.agents.${plan.name}`, message });
      }
    }
    const [first] = issues;
    if (first !== undefined) throw new Refusal('invalid_graph', first.message, issues);
  }
}

/** Seals the secrets, writes the session down and makes its runner. */
async function write(
  world: World,
  key: SessionKey,
  annotations: Readonly<Record<string, string>>,
  roster: Roster,
  settings: SessionRuntimeSettings | undefined,
  requestDigest: string | undefined,
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
          ...(requestDigest !== undefined && { requestDigest }),
        },
        ...(settings === undefined ? [] : [{ type: 'session_executed' as const, settings }]),
      ],
      header: { kind: 'session', id: key.sessionId, namespace: key.namespace, annotations },
    });
    const runner = new SessionRunner(world, foldSession(records) as SessionState);
    world.feed.publish(stream, records);
    return runner;
  } catch (error) {
    const taken = error instanceof JournalError && error.code === 'conflict';
    if (hasSecrets && !taken) await world.vault.erase(stream);
    throw error;
  }
}

function settingsOf(request: SessionRequest): SessionRuntimeSettings {
  const given = request.execution?.mode === 'immediate' ? request.execution.runtimeSettings : undefined;
  return given ?? SessionRuntimeSettings.parse({});
}

/** Hex SHA-256 of a request as parsed. */
function digestOf(request: SessionRequest): string {
  const text = JSON.stringify(request, (_key, value: unknown) =>
    typeof value === 'bigint' ? `${value}n` : value,
  );
  return createHash('sha256').update(text).digest('hex');
}
