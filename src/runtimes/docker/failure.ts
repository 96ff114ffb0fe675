/** What went wrong, in sentences. */
import { LaunchFailure } from '../../ports/runtime.ts';
import { EngineUnreachable, isRefusal } from './engine.ts';
import type { Engine } from './engine.ts';

/** `name`: the container's. What is nobody's but a fault of ours is thrown on. */
export function failureOf(error: unknown, signal: AbortSignal, name: string): LaunchFailure {
  if (error instanceof LaunchFailure) return error;
  const cause = { cause: error };
  if (signal.aborted) return new LaunchFailure('The launch was given up.', false, cause);
  if (error instanceof EngineUnreachable)
    return new LaunchFailure(`The container could not be launched: ${error.message}`, true, cause);
  if (isRefusal(error))
    return new LaunchFailure(
      `The Docker engine refused to run the container ${name}: ${error.reason.trim().replace(/[.]?$/, '.')}`,
      error.status >= 500,
      cause,
    );
  throw error;
}

/** Pings; the sentence that says why no container can be launched, or nothing. */
export async function whyUnavailable(engine: Engine): Promise<string | undefined> {
  const { endpoint } = engine;
  try {
    await engine.ping();
    return undefined;
  } catch (error) {
    const code = error instanceof EngineUnreachable ? error.code : 'broken';
    switch (code) {
      case 'absent':
        return `There is no Docker engine at ${endpoint}; start it, or set docker.socket to where it listens.`;
      case 'forbidden':
        return `The server's user may not use the Docker engine at ${endpoint}; add it to the group that owns the socket.`;
      case 'silent':
        return `The Docker engine at ${endpoint} does not answer; restart it.`;
      default:
        return `The Docker engine at ${endpoint} cannot be used: ${(error as Error).message}`;
    }
  }
}
