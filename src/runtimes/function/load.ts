/** Finds the function that a definition names. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { FunctionRuntime } from '../../domain/definition.ts';
import { reasonOf } from '../../domain/reason.ts';
import { LaunchFailure } from '../../ports/runtime.ts';

/** What a function agent is called with. */
export interface FunctionContext {
  /** What an agent in a process of its own would find in its environment, and nothing of the server's. */
  readonly environment: Readonly<Record<string, string>>;
  /** Aborts when the agent is asked to end: return soon. */
  readonly signal: AbortSignal;
  /** Prints; each line of the text is one. `io` is `out` unless it says `error`. */
  readonly log: (text: string, how?: { readonly io?: 'out' | 'error'; readonly sensitive?: boolean }) => void;
}

/** An agent as a function. It ends well when it returns (or what it returns resolves), and has failed when it throws. */
export type AgentFunction = (context: FunctionContext) => unknown;

/**
 * Imports `module` (relative to `folder`) and takes its export. A module is loaded once and shared by all its
 * agents. Where the file is not there, its TypeScript or JavaScript namesake is taken: sources run as they are under
 * a loader, and as JavaScript once built. Rejects with LaunchFailure.
 */
export async function loadFunction(how: FunctionRuntime, folder: string): Promise<AgentFunction> {
  const path = findModule(resolve(folder, how.module));
  if (path === undefined) {
    throw new LaunchFailure(
      `The module "${how.module}" was not found at ${resolve(folder, how.module)}; build it, or check \`module\` in the agent's definition.`,
    );
  }
  let loaded: Record<string, unknown>;
  try {
    loaded = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (error) {
    const reason = reasonOf(error);
    throw new LaunchFailure(`The module ${path} could not be loaded: ${reason}`, false, { cause: error });
  }
  const found = loaded[how.export];
  if (typeof found === 'function') return found as AgentFunction;
  const functions = Object.keys(loaded).filter((name) => typeof loaded[name] === 'function');
  throw new LaunchFailure(
    `The module ${path} exports no function "${how.export}"; ` +
      (functions.length > 0 ? `it has: ${functions.join(', ')}.` : 'it exports no function at all.'),
  );
}

function findModule(path: string): string | undefined {
  const namesake = path.endsWith('.ts')
    ? path.replace(/\.ts$/, '.js')
    : path.endsWith('.js')
      ? path.replace(/\.js$/, '.ts')
      : path;
  return [path, namesake].find((candidate) => existsSync(candidate));
}
