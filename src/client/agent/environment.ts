/** What a launched agent finds in its environment. Source: docs/wire.md, "Environment of an agent". */
import { EnvironmentError } from './errors.ts';

/** Where an LLM that the agent's definition asks for is reached. */
export interface LlmProxy {
  readonly name: string;
  readonly url: string;
  readonly format?: string;
  readonly model?: string;
  readonly provider?: string;
}

/** Everything of the environment that is not an option. */
export interface AgentEnvironment {
  /** The agent's own MCP URL; it contains its secret: do not print it. */
  readonly connectionUrl: string;
  readonly agentId: string;
  readonly sessionId: string;
  readonly apiUrl?: string;
  readonly runtimeId?: string;
  /** The session request's `systemPrompt` for this agent. */
  readonly systemPrompt?: string;
  /** By name. */
  readonly proxies: Readonly<Record<string, LlmProxy>>;
}

/** Throws EnvironmentError when this is not the environment of a launched agent. */
export function readEnvironment(variables: Readonly<Record<string, string | undefined>>): AgentEnvironment {
  const connectionUrl = variables['CORAL_CONNECTION_URL'];
  if (connectionUrl === undefined || connectionUrl === '') {
    throw new EnvironmentError(
      'CORAL_CONNECTION_URL is not set: this program is an agent and wants to be launched by Coral; ' +
        'to start it yourself use "coral dev TEAM AGENT", which prints the environment it needs.',
    );
  }
  if (!URL.canParse(connectionUrl)) {
    throw new EnvironmentError('CORAL_CONNECTION_URL is not a URL: pass it on exactly as Coral gave it.');
  }
  const apiUrl = variables['CORAL_API_URL'];
  const runtimeId = variables['CORAL_RUNTIME_ID'];
  const systemPrompt = variables['CORAL_PROMPT_SYSTEM'];
  return {
    connectionUrl,
    agentId: variables['CORAL_AGENT_ID'] ?? 'agent',
    sessionId: variables['CORAL_SESSION_ID'] ?? '',
    ...(apiUrl !== undefined && { apiUrl }),
    ...(runtimeId !== undefined && { runtimeId }),
    ...(systemPrompt !== undefined && { systemPrompt }),
    proxies: readProxies(variables),
  };
}

function readProxies(variables: Readonly<Record<string, string | undefined>>): Record<string, LlmProxy> {
  const proxies: Record<string, LlmProxy> = {};
  for (const [key, url] of Object.entries(variables)) {
    const name = /^CORAL_PROXY_URL_([A-Z_0-9]+)$/.exec(key)?.[1];
    if (name === undefined || url === undefined) continue;
    const format = variables[`CORAL_PROXY_FORMAT_${name}`];
    const model = variables[`CORAL_PROXY_MODEL_${name}`];
    const provider = variables[`CORAL_PROXY_PROVIDER_${name}`];
    proxies[name] = {
      name,
      url,
      ...(format !== undefined && { format }),
      ...(model !== undefined && { model }),
      ...(provider !== undefined && { provider }),
    };
  }
  return proxies;
}
