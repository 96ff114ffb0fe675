/** From the environment to a connected agent. */
import { Agent } from './agent.ts';
import { Connection } from './connection.ts';
import { readEnvironment } from './environment.ts';
import { AgentClosed } from './errors.ts';
import { Options } from './options.ts';

/** How long an agent goes on trying to reach a server that does not answer, ms. */
const RECONNECT_FOR = 120_000;

/** Where an agent finds what it needs, and what ends it. */
export interface ConnectOptions {
  /**
   * The variables to read. Default: those of this process, and then the process is this agent's: SIGTERM and SIGINT
   * close it and exit with 0, and so does the server's word that its secret is revoked. With variables given,
   * several agents may live in one process and nothing ends it.
   */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Closes the agent when it aborts. */
  readonly signal?: AbortSignal;
  /** Where one-line notes about trouble go. Default: stderr. */
  readonly log?: (text: string) => void;
  /** How long to go on trying to reach a server that does not answer, ms. Default: 120000. */
  readonly reconnectForMs?: number;
}

/**
 * Connects as the agent that the environment describes. Resolves once the server has let it in (a blocking agent:
 * once the agents it waits for are there). Rejects with EnvironmentError, with AgentClosed when the secret is not
 * valid, with ConnectionLost when the server cannot be reached.
 */
export async function connect(options: ConnectOptions = {}): Promise<Agent> {
  options.signal?.throwIfAborted();
  const own = options.environment === undefined;
  const variables = options.environment ?? process.env;
  const environment = readEnvironment(variables);
  const log = options.log ?? ((text: string) => void process.stderr.write(`${text}\n`));
  const closing = new AbortController();
  const connection = new Connection({
    url: environment.connectionUrl,
    name: environment.agentId,
    reconnectFor: options.reconnectForMs ?? RECONNECT_FOR,
    onRevoked: () => {
      if (!connected) return;
      closing.abort(new AgentClosed('revoked', 'The session is over for this agent.'));
      if (!own) return;
      log('The server does not know this agent any more: its session is over.');
      process.exit(0);
    },
  });
  let connected = false;
  const agent = new Agent({ environment, options: new Options(variables), connection, closing, log });
  const stop = (): Promise<void> => agent.close(new AgentClosed('stopped', 'The agent was asked to stop.'));

  options.signal?.addEventListener('abort', () => void stop(), { once: true, signal: closing.signal });
  if (own) {
    const exit = (): void => void stop().finally(() => process.exit(0));
    process.once('SIGTERM', exit);
    process.once('SIGINT', exit);
    closing.signal.addEventListener('abort', () => {
      // Once closed in good order, the default holds again; while stopping, a second signal is no reason to hurry.
      if (closing.signal.reason instanceof AgentClosed && closing.signal.reason.reason !== 'closed') return;
      process.off('SIGTERM', exit);
      process.off('SIGINT', exit);
    });
  }
  try {
    await connection.open(options.signal);
  } catch (error) {
    await agent.close();
    throw error;
  }
  connected = true;
  return agent;
}

/**
 * Connects, does `main`, leaves. With the process's own environment an error becomes one sentence on stderr and the
 * exit code 1, and the end of the session ends the process quietly; with variables given, errors go to the caller
 * and the end of the session resolves.
 */
export async function run(
  main: (agent: Agent) => Promise<void>,
  options: ConnectOptions = {},
): Promise<void> {
  const own = options.environment === undefined;
  let agent: Agent | undefined;
  try {
    agent = await connect(options);
    await main(agent);
  } catch (error) {
    if (isOver(agent, error) || options.signal?.aborted === true) return;
    if (!own) throw error;
    const sentence = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${sentence}\n`);
    process.exitCode = 1;
  } finally {
    await agent?.close();
  }
}

/** The error is only the news that this agent's part is over. */
function isOver(agent: Agent | undefined, error: unknown): boolean {
  if (agent?.signal.aborted !== true) return false;
  const why: unknown = agent.signal.reason;
  return error instanceof AgentClosed || (why instanceof AgentClosed && why.reason !== 'closed');
}
