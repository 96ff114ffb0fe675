/** A whole engine on a hand clock, memory journal and scripted agents: the tests' own small world. */
import { createCoral } from '../../src/engine/create-coral.ts';
import type { Coral } from '../../src/engine/coral.ts';
import type { OutboxOptions } from '../../src/engine/webhook-runner.ts';
import type { Participant } from '../../src/engine/participant.ts';
import type { RegistryAgent, RuntimeKind, ScriptedRuntime } from '../../src/domain/definition.ts';
import { DEFAULT_TIMEOUTS, NO_RESTART } from '../../src/domain/definition.ts';
import type { OptionDefinition } from '../../src/domain/option.ts';
import { DEFAULT_LIMITS, type Limits } from '../../src/domain/limits.ts';
import { SessionRequest, type SessionRequestInput } from '../../src/domain/wire/request.ts';
import { openMemoryJournal } from '../../src/journal/memory.ts';
import { openMemoryVault } from '../../src/journal/vault-memory.ts';
import { openMemoryOutput } from '../../src/output/memory.ts';
import type { Host } from '../../src/ports/host.ts';
import type { Journal, JournalRecord } from '../../src/ports/journal.ts';
import { SILENT, type Log } from '../../src/ports/log.ts';
import type { OutputStore } from '../../src/ports/output.ts';
import type { Registry } from '../../src/ports/registry.ts';
import type { Runtime } from '../../src/ports/runtime.ts';
import type { Vault } from '../../src/ports/vault.ts';
import { scriptedRuntime } from '../../src/runtimes/scripted/runtime.ts';
import { HandClock } from './hand-clock.ts';

/** A hand clock that also makes ids and secrets, in order. */
export class HandHost extends HandClock implements Host {
  private made = 0;
  /** Every secret made, newest last: what an agent finds in its environment. */
  readonly secrets: string[] = [];

  uuid(): string {
    this.made += 1;
    return `00000000-0000-7000-8000-${String(this.made).padStart(12, '0')}`;
  }

  secret(): string {
    const secret = `secret-${this.secrets.length + 1}-of-an-agent-in-a-test`;
    this.secrets.push(secret);
    return secret;
  }

  random(): number {
    return 0;
  }
}

export interface AgentScript extends Partial<ScriptedRuntime> {
  options?: Record<string, Partial<OptionDefinition> & Pick<OptionDefinition, 'type'>>;
  restart?: Partial<RegistryAgent['definition']['restart']>;
  timeouts?: Partial<RegistryAgent['definition']['timeouts']>;
}

/** A registry of scripted agents, all version 1.0.0. */
export function scriptedRegistry(scripts: Record<string, AgentScript>): Registry {
  const agents = Object.entries(scripts).map(([name, given]): RegistryAgent => {
    const { options = {}, restart, timeouts, ...script } = given;
    return {
      source: { type: 'local' },
      file: `/registry/${name}.yaml`,
      folder: '/registry',
      definition: {
        edition: 4,
        name,
        version: '1.0.0',
        description: name,
        capabilities: [],
        keywords: [],
        links: {},
        runtimes: {
          scripted: {
            exitCode: 0,
            ignoreStop: false,
            output: [],
            flood: 0,
            startDelay: 0,
            transport: 'streamable_http',
            ...script,
          },
        },
        options: Object.fromEntries(
          Object.entries(options).map(([key, option]) => [
            key,
            {
              required: false,
              transport: 'env',
              secret: false,
              base64: false,
              ...option,
            },
          ]),
        ),
        restart: { ...NO_RESTART, ...restart },
        timeouts: { ...DEFAULT_TIMEOUTS, ...timeouts },
      },
    };
  });
  const named = (name: string): RegistryAgent | undefined =>
    agents.find(({ definition }) => definition.name === name);
  return {
    agents: () => agents,
    find: (id) =>
      id.version === '1.0.0' && id.registrySourceId.type === 'local' ? named(id.name) : undefined,
    newest: named,
    teams: () => [],
    team: () => undefined,
    faults: () => [],
    readAt: 0,
    onChange: () => () => {},
    close: async () => {},
  };
}

export interface WorldParts {
  scripts?: Record<string, AgentScript>;
  /** In place of one made of `scripts`. */
  registry?: Registry;
  host?: HandHost;
  journal?: Journal;
  vault?: Vault;
  output?: OutputStore;
  runtimes?: readonly Runtime[];
  log?: Log;
  webhooks?: OutboxOptions;
  limits?: Partial<Limits>;
}

export interface EngineWorld {
  readonly coral: Coral;
  readonly host: HandHost;
  readonly journal: Journal;
  readonly vault: Vault;
  readonly output: OutputStore;
  readonly runtimes: ReadonlyMap<RuntimeKind, Runtime>;
  /** Opens a session of these agents (all in one group) and returns its key. */
  open(
    agents: readonly string[],
    given?: Partial<SessionRequestInput>,
  ): Promise<{ namespace: string; sessionId: string }>;
  /** Every record of a session so far. */
  story(sessionId: string): Promise<readonly JournalRecord[]>;
  /** Resolves when nothing is left to do but wait for the clock. */
  settled(): Promise<void>;
  /** Moves the clock and lets everything that follows happen. */
  advance(ms: number): Promise<void>;
  /** The participant behind the secret of an agent's newest attempt. */
  agent(sessionId: string, name: string): Participant;
}

/** Turns of the event loop until every promise chain of the in-memory world has run out. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export async function engineWorld(parts: WorldParts = {}): Promise<EngineWorld> {
  const host = parts.host ?? new HandHost();
  const journal = parts.journal ?? openMemoryJournal({ now: () => host.now() });
  const vault = parts.vault ?? openMemoryVault();
  const output = parts.output ?? openMemoryOutput();
  const runtimes = new Map<RuntimeKind, Runtime>(
    (parts.runtimes ?? [scriptedRuntime({ host })]).map((runtime) => [runtime.kind, runtime]),
  );
  const coral = await createCoral({
    host,
    journal,
    vault,
    output,
    runtimes,
    registry: parts.registry ?? scriptedRegistry(parts.scripts ?? { worker: {} }),
    instance: 'instance-of-a-test',
    settings: {
      defaultWaitMs: 30_000,
      stateMessageLimit: 500,
      limits: { ...DEFAULT_LIMITS, ...parts.limits },
    },
    log: parts.log ?? SILENT,
    agentPort: () => 5555,
    ...(parts.webhooks !== undefined && { webhooks: parts.webhooks }),
  });
  return {
    coral,
    host,
    journal,
    vault,
    output,
    runtimes,
    async open(agents, given = {}) {
      return coral.open(sessionRequest(agents, given));
    },
    story: (sessionId) => journal.read(`session/${sessionId}`, 0, 100_000),
    settled: turns,
    async advance(ms) {
      await turns();
      host.advance(ms);
      await turns();
    },
    agent(sessionId, name) {
      for (const secret of host.secrets.toReversed()) {
        const found = coral.authenticate(secret);
        if (found?.agent === name && found.key.sessionId === sessionId) return found;
      }
      throw new Error(`no valid secret of agent ${name} in session ${sessionId}`);
    },
  };
}

/** A request for scripted agents `NAME` or `SCRIPT:NAME`, all in one group, in a namespace of their own. */
export function sessionRequest(
  agents: readonly string[],
  given: Partial<SessionRequestInput> = {},
): SessionRequest {
  const named = agents.map((text) => {
    const [script = '', name = script] = text.split(':');
    return { script, name };
  });
  return SessionRequest.parse({
    agentGraphRequest: {
      agents: named.map(({ script, name }) => ({
        id: { name: script, version: '1.0.0', registrySourceId: { type: 'local' } },
        name,
        provider: { type: 'local', runtime: 'scripted' },
      })),
      groups: [named.map(({ name }) => name)],
    },
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'test' } },
    ...given,
  });
}
